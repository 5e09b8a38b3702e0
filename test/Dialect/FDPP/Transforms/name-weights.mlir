// RUN: fdpp-opt %S/../raised.mlir --fdpp-name-weights | FileCheck %s
// RUN: %python %source/utils/make_step.py --layers 1 --tied --bias all | fdpp-opt --fdpp-name-weights | FileCheck %s --check-prefix=TIED
// RUN: fdpp-opt %s --fdpp-name-weights | FileCheck %s --check-prefix=CONSTANT

// Roles come from the dataflow; the second layer's weights get its number.

// CHECK: fdpp.weight @inv_freq
// CHECK: fdpp.weight @embed
// CHECK: fdpp.weight @attn_norm [
// CHECK: fdpp.weight @wq [
// CHECK: fdpp.weight @wk [
// CHECK: fdpp.weight @wv [
// CHECK: fdpp.weight @wo [
// CHECK: fdpp.weight @ffn_norm [
// CHECK: fdpp.weight @gate [
// CHECK: fdpp.weight @up [
// CHECK: fdpp.weight @down [
// CHECK: fdpp.weight @attn_norm_1 [
// CHECK: fdpp.weight @wq_1 [
// CHECK: fdpp.weight @down_1 [
// CHECK: fdpp.weight @final_norm
// CHECK: fdpp.weight @lm_head
// CHECK: fdpp.weight_at @attn_norm :
// CHECK: fdpp.weight_at @down_1 :

// A tied head reads the embedding; biases are named after their linears.
// TIED: fdpp.weight @embed
// TIED: fdpp.weight @bq
// TIED: fdpp.weight @bo
// TIED: fdpp.weight @gate_bias
// TIED-NOT: @lm_head
// TIED: %[[W:.*]] = fdpp.weight_at @embed
// TIED: fdpp.linear %{{.*}}, %[[HEAD:.*]] outs(

// A small parameter arrives as a constant.
// CONSTANT: fdpp.weight @final_norm [dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>] : tensor<2xf32>
// CONSTANT: func.func @step
// CONSTANT: %[[G:.*]] = fdpp.weight_at @final_norm : tensor<2xf32>
// CONSTANT: fdpp.rms_norm %{{.*}}, %[[G]]
fdpp.weight @w [#fdpp.seeded<1>] : tensor<2x2xf32>
func.func @step(%x: tensor<?x2xf32>) -> tensor<?x2xf32> attributes {fdpp.entry = "step"} {
  %g = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %n = fdpp.rms_norm %x, %g {eps = 1.0e-5 : f64} : (tensor<?x2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
  %w = fdpp.weight_at @w : tensor<2x2xf32>
  %y = fdpp.linear %n, %w : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}
