// RUN: fdpp-opt %S/../raised.mlir --fdpp-name-weights --fdpp-roll-layers --fdpp-merge-linears | FileCheck %s
// RUN: %python %source/utils/make_step.py --layers 1 --bias q --up-first | fdpp-opt --fdpp-name-weights --fdpp-merge-linears | FileCheck %s --check-prefix=BIAS
// RUN: fdpp-opt %s --fdpp-merge-linears --remarks-filter=fusion 2>&1 | FileCheck %s --check-prefix=SHARED

// CHECK: fdpp.weight @wqkv bank 2 init {
// CHECK-NEXT: ^bb0(%[[L:.*]]: index):
// CHECK-NEXT: %[[Q:.*]] = fdpp.weight_at @wq[%[[L]]]
// CHECK-NEXT: %[[K:.*]] = fdpp.weight_at @wk[%[[L]]]
// CHECK-NEXT: %[[V:.*]] = fdpp.weight_at @wv[%[[L]]]
// CHECK-NEXT: tensor.concat dim(0) %[[Q]], %[[K]], %[[V]]
// CHECK: fdpp.weight @gate_up bank 2 init
// CHECK: %[[W:.*]] = fdpp.weight_at @wqkv
// CHECK: %[[Y:.*]] = fdpp.linear %{{.*}}, %[[W]] {{.*}} -> tensor<?x32xf32>
// CHECK: tensor.extract_slice %[[Y]][0, 0] [%{{.*}}, 16] [1, 1]
// CHECK: tensor.extract_slice %[[Y]][0, 16] [%{{.*}}, 8] [1, 1]
// CHECK: tensor.extract_slice %[[Y]][0, 24] [%{{.*}}, 8] [1, 1]
// CHECK-NOT: fdpp.weight_at @wq[

// Zeros stand for the biases that k and v lack; gates stand before ups though
// the graph computes ups first.
// BIAS: fdpp.weight @bqkv init {
// BIAS: %[[Q:.*]] = fdpp.weight_at @bq :
// BIAS: %[[Z:.*]] = arith.constant dense<0.000000e+00> : tensor<8xf32>
// BIAS: tensor.concat dim(0) %[[Q]], %[[Z]], %{{.*}} -> tensor<32xf32>
// BIAS: %[[G:.*]] = fdpp.weight_at @gate :
// BIAS: %[[U:.*]] = fdpp.weight_at @up :
// BIAS: tensor.concat dim(0) %[[G]], %[[U]]
// BIAS: fdpp.linear {{.*}} bias(

fdpp.weight @table [#fdpp.seeded<1>] : tensor<8x8xf32>
fdpp.weight @other [#fdpp.seeded<2>] : tensor<8x8xf32>
func.func @step(%tokens: tensor<?xi32> {fdpp.role = "tokens"}) -> tensor<?x8xf32> attributes {fdpp.entry = "step"} {
  %table = fdpp.weight_at @table : tensor<8x8xf32>
  %other = fdpp.weight_at @other : tensor<8x8xf32>
  %x = fdpp.embed %tokens, %table : (tensor<?xi32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  // SHARED: remark: [Missed] merge-linears {{.*}}2 linears with one input stay apart: @table is read elsewhere too and would be stored twice
  %a = fdpp.linear %x, %table : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %b = fdpp.linear %x, %other : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %y = fdpp.add %a, %b : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
