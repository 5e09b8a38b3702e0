// RUN: fdpp-opt %s --fdpp-choose-variants="tuning=%S/Inputs/tuning.json device=AuthenticAMD-25-1 kernels=avx2 features=avx2,gfni" | FileCheck %s
// RUN: fdpp-opt %s --fdpp-choose-variants="tuning=%S/Inputs/tuning.json" --remarks-filter=".*" --remark-policy=all --remark-format=emitRemark 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// RUN: fdpp-opt %s --fdpp-choose-variants="tuning=%S/Inputs/tuning.json device=GenuineIntel-6-143" --remarks-filter=".*" --remark-policy=all --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=FOREIGN
// RUN: fdpp-opt %s --fdpp-choose-variants="tuning=%S/Inputs/tuning.json kernels=avx512" --remarks-filter=".*" --remark-policy=all --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=KERNELS
// RUN: fdpp-opt %s --fdpp-choose-variants="tuning=%S/Inputs/tuning.json kernels=avx2 features=avx2,gfni" --remarks-filter=".*" --remark-policy=all --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=FEATURES

// A table decides for the shapes it has; for others the roofline does.
// REMARK: 16x8 f32: gemv<1, 2048> to M = 1, flat<5, 8192> to M = 5, large<4, 0> to M = 8, large<6, 0>; measured, table tuning.json
// REMARK: 32x8 f32: gemv<1, 4096> to M = 1, flat<6, 4096> to M = {{[0-9]+}}, large<6, 0>; roofline, {{.*}}; table tuning.json has no such shape
// REMARK: 16x8 f32: gemv<1, 2048> to M = 1, flat<5, 8192> to M = 5, large<4, 0>; measured, table tuning.json

// A foreign table decides nothing.
// FOREIGN: the tuning table is not used: tuning.json is for A CPU (AuthenticAMD-25-1), not for GenuineIntel-6-143
// FOREIGN: 16x8 f32: gemv<1, 4096> {{.*}}; roofline, {{.*}}; tuning.json is for A CPU (AuthenticAMD-25-1), not for GenuineIntel-6-143
// FOREIGN: variant <flat, panels = 1, tokens = 6, prefetch = 4096>
// KERNELS: the tuning table is not used: tuning.json is for avx2 kernels, not for avx512 ones
// Nobody knows the processor, but it must have all that the code uses.
// FEATURES: the tuning table is not used: tuning.json is for A CPU, which has no gfni

fdpp.weight @w [#fdpp.seeded<1>] : tensor<16x8xf32>
fdpp.weight @wide [#fdpp.seeded<1>] : tensor<32x8xf32>

// CHECK-LABEL: func.func @prefill
func.func @prefill(%tokens: memref<?xi32> {fdpp.role = "tokens", fdpp.max = 512 : i64}, %x: memref<?x8xf32>, %y: memref<?x16xf32>, %z: memref<?x32xf32>) attributes {fdpp.entry = "prefill"} {
  // CHECK: fdpp.dispatch %{{.*}} limits [1, 5, 8]
  // CHECK: variant <gemv, panels = 1, tokens = 1, prefetch = 2048>
  // CHECK: variant <flat, panels = 1, tokens = 5, prefetch = 8192>
  // CHECK: variant <large, panels = 1, tokens = 4, prefetch = 0>
  // CHECK: variant <large, panels = 1, tokens = 6, prefetch = 0>
  %w = fdpp.weight_at @w : memref<16x8xf32>
  fdpp.fused_linear %x, %w outs(%y) segments [#fdpp.segment<columns = 16, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x8xf32>, memref<16x8xf32>, memref<?x16xf32>) -> ()
  %wide = fdpp.weight_at @wide : memref<32x8xf32>
  fdpp.fused_linear %x, %wide outs(%z) segments [#fdpp.segment<columns = 32, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x8xf32>, memref<32x8xf32>, memref<?x32xf32>) -> ()
  return
}

// Ranges that the entry cannot reach are left out.
// CHECK-LABEL: func.func @decode
// CHECK: limits [1, 5](
// CHECK: variant <large, panels = 1, tokens = 4, prefetch = 0>
// CHECK-NOT: tokens = 6
func.func @decode(%tokens: memref<?xi32> {fdpp.role = "tokens", fdpp.max = 8 : i64}, %x: memref<?x8xf32>, %y: memref<?x16xf32>) attributes {fdpp.entry = "decode"} {
  %w = fdpp.weight_at @w : memref<16x8xf32>
  fdpp.fused_linear %x, %w outs(%y) segments [#fdpp.segment<columns = 16, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x8xf32>, memref<16x8xf32>, memref<?x16xf32>) -> ()
  return
}
