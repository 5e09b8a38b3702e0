// RUN: fdpp-opt %s --fdpp-name-for-emission --split-input-file --verify-diagnostics | FileCheck %s

fdpp.weight @w [#fdpp.seeded<1>] : tensor<16x16xf32>

// Buffers are named after the values they hold, once each; equal epilogues
// share a name, different ones do not.
// CHECK-LABEL: func.func @step
func.func @step(%workspace: memref<?xi8> {fdpp.role = "workspace"}, %n: index) attributes {fdpp.entry = "step"} {
  %c0 = arith.constant 0 : index
  // CHECK: memref.view {{.*}} {fdpp.name = "hidden"}
  %a = memref.view %workspace[%c0][%n] : memref<?xi8> to memref<?x16xf32> loc("hidden")
  // CHECK: memref.view {{.*}} {fdpp.name = "hidden2"}
  %b = memref.view %workspace[%c0][%n] : memref<?xi8> to memref<?x16xf32> loc("hidden")
  // CHECK: memref.view {{.*}} {fdpp.name = "buffer"}
  %c = memref.view %workspace[%c0][%n] : memref<?xi8> to memref<?x16xf32>
  // Not like a kernel, which it would hide.
  // CHECK: memref.view {{.*}} {fdpp.name = "rope2"}
  %d = memref.view %workspace[%c0][%n] : memref<?xi8> to memref<?x16xf32> loc("rope")
  %w = fdpp.weight_at @w : memref<16x16xf32>
  // CHECK: fdpp.epilogues = ["AddResidual"]
  fdpp.fused_linear %a, %w outs(%b) segments [#fdpp.segment<columns = 16, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    %s = arith.addf %old, %value : f32
    fdpp.store %s : f32
  }) : (memref<?x16xf32>, memref<16x16xf32>, memref<?x16xf32>) -> ()
  // CHECK: fdpp.epilogues = ["AddResidual"]
  fdpp.fused_linear %b, %w outs(%a) segments [#fdpp.segment<columns = 16, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    %s = arith.addf %old, %value : f32
    fdpp.store %s : f32
  }) : (memref<?x16xf32>, memref<16x16xf32>, memref<?x16xf32>) -> ()
  // CHECK: fdpp.epilogues = ["AddResidual2"]
  fdpp.fused_linear %a, %w outs(%c) segments [#fdpp.segment<columns = 16, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    %s = arith.subf %old, %value : f32
    fdpp.store %s : f32
  }) : (memref<?x16xf32>, memref<16x16xf32>, memref<?x16xf32>) -> ()
  return
}

// -----

fdpp.weight @w [#fdpp.seeded<1>] : tensor<4x16xf32>

// The layer is printed inside, so layers share no epilogue that knows it.
// CHECK-LABEL: func.func @step
func.func @step(%x: memref<?x16xf32>, %slots: memref<?xi32> {fdpp.role = "slots"}, %cache: memref<2x?x2x1x16x4xf32> {fdpp.role = "cache"}) attributes {fdpp.entry = "step"} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %w = fdpp.weight_at @w : memref<4x16xf32>
  // CHECK: fdpp.epilogues = ["StoreKey"]
  fdpp.fused_linear %x, %w outs(%cache) segments [#fdpp.segment<columns = 4, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    %slot = memref.load %slots[%row] : memref<?xi32>
    fdpp.kv_store <key> slot %slot layer %c0, %value : f32
  }) : (memref<?x16xf32>, memref<4x16xf32>, memref<2x?x2x1x16x4xf32>) -> ()
  // CHECK: fdpp.epilogues = ["StoreKey2"]
  fdpp.fused_linear %x, %w outs(%cache) segments [#fdpp.segment<columns = 4, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    %slot = memref.load %slots[%row] : memref<?xi32>
    fdpp.kv_store <key> slot %slot layer %c1, %value : f32
  }) : (memref<?x16xf32>, memref<4x16xf32>, memref<2x?x2x1x16x4xf32>) -> ()
  return
}

// -----

// Scalars that differ between layers, and choices of variants: equal ones share a
// name.
// CHECK: fdpp.layer_constant {{.*}} {fdpp.name = "norm_eps"}
// CHECK: fdpp.layer_constant {{.*}} {fdpp.name = "factor"}
// CHECK: fdpp.layer_constant {{.*}} {fdpp.name = "norm_eps2"}
// CHECK: fdpp.layer_constant {{.*}} {fdpp.name = "norm_eps"}
func.func @step(%x: memref<?x16xf32>, %g: memref<16xf32>, %layer: index) attributes {fdpp.entry = "step"} {
  %a = fdpp.layer_constant dense<[1.0e-5, 2.0e-5]> : tensor<2xf64> at %layer : f64
  fdpp.rms_norm %x, %g eps(%a) outs(%x) : (memref<?x16xf32>, memref<16xf32>, f64, memref<?x16xf32>) -> ()
  %f = fdpp.layer_constant dense<[1.0e-5, 2.0e-5]> : tensor<2xf64> at %layer : f64
  fdpp.scale %x factor(%f) outs(%x) : (memref<?x16xf32>, f64, memref<?x16xf32>) -> ()
  %b = fdpp.layer_constant dense<[1.0e-5, 3.0e-5]> : tensor<2xf64> at %layer : f64
  fdpp.layer_norm %x, %g eps(%b) outs(%x) : (memref<?x16xf32>, memref<16xf32>, f64, memref<?x16xf32>) -> ()
  %c = fdpp.layer_constant dense<[1.0e-5, 2.0e-5]> : tensor<2xf64> at %layer : f64
  fdpp.layer_norm %x, %g eps(%c) outs(%x) : (memref<?x16xf32>, memref<16xf32>, f64, memref<?x16xf32>) -> ()
  return
}

// -----

func.func @step(%x: memref<?x16xf32>, %w: memref<8x16xf32>, %y: memref<?x8xf32>) attributes {fdpp.entry = "step"} {
  // expected-error @below {{has no kernel on this target; take the module to the phase 'planned' first (--fdpp-to-fused, --fdpp-to-planned)}}
  fdpp.linear %x, %w outs(%y) : (memref<?x16xf32>, memref<8x16xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @step(%x: memref<?x16xf32>, %w: memref<8x16xf32>, %y: memref<?x16xf32>) attributes {fdpp.entry = "step"} {
  // expected-error @below {{reads a weight that is not packed; choose variants behind --fdpp-pack-weights}}
  fdpp.library_gemm %x, %w outs(%y) : (memref<?x16xf32>, memref<8x16xf32>, memref<?x16xf32>) -> ()
  return
}

// -----

fdpp.weight @w [#fdpp.seeded<1>] layout <panel = 16, interleave = 1> : tensor<8x16xf32>
func.func @step(%x: memref<?x16xf32>, %y: memref<?x8xf32>) attributes {fdpp.entry = "step"} {
  %w = fdpp.weight_at @w : memref<8x16xf32>
  // expected-error @below {{needs a destination of 16 columns, the rows of the packed weight}}
  fdpp.library_gemm %x, %w outs(%y) : (memref<?x16xf32>, memref<8x16xf32>, memref<?x8xf32>) -> ()
  return
}

// -----

func.func @step(%sums: memref<?x16xf32>, %y: memref<?x8xf32>) attributes {fdpp.entry = "step"} {
  // expected-error @below {{has no fdpp.library_gemm before it in its block}}
  fdpp.epilogue %sums outs(%y) segments [#fdpp.segment<columns = 8, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x16xf32>, memref<?x8xf32>) -> ()
  return
}
