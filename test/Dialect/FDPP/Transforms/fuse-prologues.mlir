// RUN: fdpp-opt %s --fdpp-fuse-prologues | FileCheck %s
// RUN: fdpp-opt %s --fdpp-fuse-prologues --remarks-filter=fusion 2>&1 | FileCheck %s --check-prefix=REMARK

fdpp.weight @table [#fdpp.seeded<1>] : tensor<8x8xf32>
fdpp.weight @gamma [#fdpp.seeded<2>] : tensor<8xf32>
fdpp.weight @bias [#fdpp.seeded<3>] : tensor<8xf32>

// CHECK-LABEL: func.func @step
// CHECK: %[[X:.*]] = fdpp.embed
// CHECK-NOT: fdpp.rms_norm
// CHECK: %[[D:.*]] = tensor.empty(%{{.*}}) : tensor<?x8xf32>
// CHECK: fdpp.fused_linear %[[X]], %{{.*}} norm(%{{.*}}) outs(%[[D]]) segments [#fdpp.segment<columns = 8, dest = 0>]
// CHECK: ^bb0(%[[V:.*]]: f32, %{{.*}}: f32, %{{.*}}: index, %[[C:.*]]: index, %{{.*}}: f32):
// CHECK: %[[B:.*]] = tensor.extract %{{.*}}[%[[C]]] : tensor<8xf32>
// CHECK: %[[S:.*]] = arith.addf %[[V]], %[[B]]
// CHECK: fdpp.store %[[S]] : f32
// CHECK: eps = 1.000000e-05
// CHECK: fdpp.rms_norm
// CHECK-NOT: fdpp.layer_norm
// CHECK: fdpp.fused_linear %[[X]], %{{.*}} norm(%{{.*}}) beta(%{{.*}}) outs(
// CHECK: }) {centered, eps = 1.000000e-05 : f64}
// CHECK: %[[EPS:.*]] = fdpp.layer_constant
// CHECK: fdpp.fused_linear %[[X]], %{{.*}} norm(%{{.*}}) eps(%[[EPS]]) outs(
// CHECK: }) {centered} :
func.func @step(%tokens: tensor<?xi32> {fdpp.role = "tokens"}, %layer: index) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) attributes {fdpp.entry = "step"} {
  %table = fdpp.weight_at @table : tensor<8x8xf32>
  %gamma = fdpp.weight_at @gamma : tensor<8xf32>
  %bias = fdpp.weight_at @bias : tensor<8xf32>
  %x = fdpp.embed %tokens, %table : (tensor<?xi32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  // REMARK: [Passed] fuse-prologues {{.*}}rms_norm became the prologue of 1 linear", columns=8
  %n = fdpp.rms_norm %x, %gamma {eps = 1.0e-5 : f64} : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %a = fdpp.linear %n, %table bias(%bias) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  // REMARK: [Missed] fuse-prologues {{.*}}rms_norm stays on its own: read by func.return
  %m = fdpp.rms_norm %x, %gamma {eps = 1.0e-5 : f64} : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  // REMARK: [Passed] fuse-prologues {{.*}}layer_norm became the prologue of 1 linear"
  %l = fdpp.layer_norm %x, %gamma beta(%bias) {eps = 1.0e-5 : f64} : (tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %b = fdpp.linear %l, %table : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  // The eps of a layer goes with its norm.
  %eps = fdpp.layer_constant dense<[1.0e-5, 2.0e-5]> : tensor<2xf64> at %layer : f64
  %k = fdpp.layer_norm %x, %gamma eps(%eps) : (tensor<?x8xf32>, tensor<8xf32>, f64) -> tensor<?x8xf32>
  %c = fdpp.linear %k, %table : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  return %a, %m, %b, %c : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>
}
