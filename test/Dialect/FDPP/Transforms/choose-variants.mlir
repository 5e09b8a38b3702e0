// RUN: fdpp-opt %s --fdpp-choose-variants="bandwidth-gbs=40 gflops=400 tile-tokens=6" | FileCheck %s
// RUN: fdpp-opt %s --fdpp-choose-variants="bandwidth-gbs=40 gflops=400" --remarks-filter-analyse="variants" --remark-policy=all --remark-format=emitRemark 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// RUN: fdpp-opt %s --fdpp-choose-variants="bandwidth-gbs=40 gflops=400 tile-tokens=12 kernels=avx512bf16" --remarks-filter-analyse="variants" --remark-policy=all --remark-format=emitRemark 2>&1 >/dev/null | FileCheck %s --check-prefix=ZEN4

// One tile for 16 tokens, and more on its way where it computes longer; measured, not modelled.
// ZEN4: 16x8 f32: gemv<1, 4096> to M = 1, flat<12, 4096> to M = 6, flat<12, 8192> to M = 12, flat<16, 8192> to M = 20, large<12, 0>; roofline

// The ridge of an f32 weight: 400 * 4 / (2 * 40) = 20 tokens.
// REMARK: 16x8 f32: gemv<1, 4096> to M = 1, flat<6, 4096> to M = 20, large<6, 0>; roofline, ridge at M = 20 from 400 GFLOP/s and 40 GB/s

fdpp.weight @w [#fdpp.seeded<1>] : tensor<16x8xf32>

// CHECK-LABEL: func.func @prefill
func.func @prefill(%tokens: memref<?xi32> {fdpp.role = "tokens", fdpp.max = 512 : i64}, %x: memref<?x8xf32>, %y: memref<?x16xf32>) attributes {fdpp.entry = "prefill"} {
  // CHECK: %[[M:.*]] = memref.dim %{{.*}} : memref<?x8xf32>
  // CHECK: fdpp.dispatch %[[M]] limits [1, 20]
  // CHECK: variant <gemv, panels = 1, tokens = 1, prefetch = 4096>
  // CHECK: variant <flat, panels = 1, tokens = 6, prefetch = 4096>
  // CHECK: variant <large, panels = 1, tokens = 6, prefetch = 0>
  %w = fdpp.weight_at @w : memref<16x8xf32>
  fdpp.fused_linear %x, %w outs(%y) segments [#fdpp.segment<columns = 16, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x8xf32>, memref<16x8xf32>, memref<?x16xf32>) -> ()
  return
}

// An entry that never has more than 8 tokens needs no variant for more.
// CHECK-LABEL: func.func @decode
// CHECK: limits [1](
// CHECK-NOT: large
func.func @decode(%tokens: memref<?xi32> {fdpp.role = "tokens", fdpp.max = 8 : i64}, %x: memref<?x8xf32>, %y: memref<?x16xf32>) attributes {fdpp.entry = "decode"} {
  %w = fdpp.weight_at @w : memref<16x8xf32>
  fdpp.fused_linear %x, %w outs(%y) segments [#fdpp.segment<columns = 16, dest = 0>] ({
  ^bb0(%value: f32, %partner: f32, %row: index, %column: index, %old: f32):
    fdpp.store %value : f32
  }) : (memref<?x8xf32>, memref<16x8xf32>, memref<?x16xf32>) -> ()
  return
}
