// RUN: fdpp-opt %s --fdpp-pack-weights --split-input-file --verify-diagnostics | FileCheck %s

// bf16 interleaves pairs of k, f32 does not; a pair of partners is part of the
// order, a plain linear needs no segments.
// CHECK: fdpp.weight @gate_up [#fdpp.seeded<1>] layout <panel = 16, interleave = 2, [<columns = 32, partner = gate_up, dest = 0>]> : tensor<32x8xbf16>
fdpp.weight @gate_up [#fdpp.seeded<1>] : tensor<32x8xbf16>
// CHECK: fdpp.weight @down [#fdpp.seeded<2>] layout <panel = 16, interleave = 1> : tensor<8x16xf32>
fdpp.weight @down [#fdpp.seeded<2>] : tensor<8x16xf32>
// CHECK: fdpp.weight @norm [#fdpp.seeded<3>] : tensor<8xf32>
fdpp.weight @norm [#fdpp.seeded<3>] : tensor<8xf32>
func.func @decode(%x: memref<?x8xf32>, %mid: memref<?x16xf32>) attributes {fdpp.entry = "decode"} {
  %w = fdpp.weight_at @gate_up : memref<32x8xbf16>
  fdpp.fused_linear %x, %w outs(%mid) segments [#fdpp.segment<columns = 32, partner = gate_up, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    %p = arith.mulf %value, %partner : f32
    fdpp.store %p : f32
  }) : (memref<?x8xf32>, memref<32x8xbf16>, memref<?x16xf32>) -> ()
  %d = fdpp.weight_at @down : memref<8x16xf32>
  fdpp.fused_linear %mid, %d outs(%x) segments [#fdpp.segment<columns = 8, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x16xf32>, memref<8x16xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

fdpp.weight @both [#fdpp.seeded<1>] : tensor<32x8xf32>
func.func @decode(%x: memref<?x8xf32>, %a: memref<?x16xf32>, %b: memref<?x32xf32>) attributes {fdpp.entry = "decode"} {
  %w = fdpp.weight_at @both : memref<32x8xf32>
  fdpp.fused_linear %x, %w outs(%a) segments [#fdpp.segment<columns = 32, partner = gate_up, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x8xf32>, memref<32x8xf32>, memref<?x16xf32>) -> ()
  // expected-error @below {{needs @both in layout}}
  fdpp.fused_linear %x, %w outs(%b) segments [#fdpp.segment<columns = 32, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x8xf32>, memref<32x8xf32>, memref<?x32xf32>) -> ()
  return
}
