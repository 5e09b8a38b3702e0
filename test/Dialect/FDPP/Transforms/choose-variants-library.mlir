// RUN: fdpp-opt %s --fdpp-choose-variants="tuning=%S/Inputs/library.json" | FileCheck %s
// RUN: fdpp-opt %s --fdpp-choose-variants="tuning=%S/Inputs/library.json" --remarks-filter=".*" --remark-policy=all --remark-format=emitRemark 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// RUN: fdpp-opt %s --fdpp-choose-variants="tuning=%S/Inputs/library.json" --fdpp-place-arena --cse --canonicalize | FileCheck %s --check-prefix=PLACED

// REMARK: 40x8 bf16: gemv<1, 2048> to M = 1, library; measured, table library.json
// REMARK: 16x8 f32: library; measured, table library.json

// Three heads of 8 and a partner each, so that panels have padding; then 16
// plain columns.
fdpp.weight @w [#fdpp.seeded<1>] layout <panel = 16, interleave = 2, [<columns = 24, partner = half, group = 8, dest = 0>, <columns = 16, dest = 1>]> : tensor<40x8xbf16>
fdpp.weight @plain [#fdpp.seeded<1>] layout <panel = 16, interleave = 1> : tensor<16x8xf32>

// CHECK-LABEL: func.func @prefill
// CHECK-SAME: %[[TOKENS:[a-z0-9]+]]: memref<?xi32>
func.func @prefill(%tokens: memref<?xi32> {fdpp.role = "tokens", fdpp.max = 512 : i64}, %gamma: memref<8xf32>, %q: memref<?x24xbf16>, %z: memref<?x16xf32>) attributes {fdpp.entry = "prefill"} {
  %c0 = arith.constant 0 : index
  // CHECK: %[[T:.*]] = memref.dim %[[TOKENS]]
  %t = memref.dim %tokens, %c0 : memref<?xi32>
  // CHECK: %[[X:.*]] = memref.alloc(%[[T]]) : memref<?x8xf32>
  %x = memref.alloc(%t) : memref<?x8xf32>
  %y = memref.alloc(%t) : memref<?x16xf32>
  // A range of its own kernels is a fused linear, the library's are three ops
  // with a buffer between each two: rows rounded but f32, sums with padding.
  // CHECK: fdpp.dispatch %{{.*}} limits [1]({
  // CHECK-NEXT: fdpp.fused_linear %[[X]], %{{.*}} variant <gemv
  // CHECK: %[[ROWS:.*]] = memref.alloc(%[[T]]) : memref<?x8xf32>
  // CHECK-NEXT: fdpp.prologue %[[X]] norm(%{{.*}}) round bf16 outs(%[[ROWS]]) {eps = 1.000000e-05 : f64}
  // CHECK-NEXT: %[[SUMS:.*]] = memref.alloc(%[[T]]) : memref<?x112xf32>
  // CHECK-NEXT: fdpp.library_gemm %[[ROWS]], %{{.*}} outs(%[[SUMS]]) : (memref<?x8xf32>, memref<40x8xbf16>, memref<?x112xf32>) -> ()
  // CHECK-NEXT: fdpp.epilogue %[[SUMS]] outs(%{{.*}}, %{{.*}}) segments [#fdpp.segment<columns = 24, partner = half, group = 8, dest = 0>, #fdpp.segment<columns = 16, dest = 1>]({
  // CHECK: fdpp.store %{{.*}}, %{{.*}} : f32, f32
  // CHECK: fdpp.store %{{.*}} : f32
  // CHECK: }) : (memref<?x112xf32>, memref<?x24xbf16>, memref<?x16xf32>) -> ()
  // PLACED: fdpp.dispatch
  // PLACED: fdpp.prologue
  // PLACED: memref.view %{{.*}} : memref<?xi8> to memref<?x112xf32>
  // PLACED-NOT: memref.alloc
  %w = fdpp.weight_at @w : memref<40x8xbf16>
  fdpp.fused_linear %x, %w norm(%gamma) outs(%q, %y) segments [#fdpp.segment<columns = 24, partner = half, group = 8, dest = 0>, #fdpp.segment<columns = 16, dest = 1>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value, %partner : f32, f32
  }, {
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) {eps = 1.0e-5 : f64} : (memref<?x8xf32>, memref<40x8xbf16>, memref<8xf32>, memref<?x24xbf16>, memref<?x16xf32>) -> ()
  // One range: no limits.
  // CHECK: fdpp.dispatch %{{.*}} limits []({
  // CHECK-NEXT: memref.alloc
  // CHECK-NEXT: fdpp.prologue %[[X]] round f32
  // CHECK-NEXT: memref.alloc(%[[T]]) : memref<?x16xf32>
  %plain = fdpp.weight_at @plain : memref<16x8xf32>
  fdpp.fused_linear %x, %plain outs(%z) segments [#fdpp.segment<columns = 16, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x8xf32>, memref<16x8xf32>, memref<?x16xf32>) -> ()
  return
}
