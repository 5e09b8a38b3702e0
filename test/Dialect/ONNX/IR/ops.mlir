// RUN: fdpp-opt %s | fdpp-opt | FileCheck %s
// The one form of all operators: omitted inputs and results are `_`, defaults
// are left out.

// CHECK: #[[SUM:.*]] = affine_map<()[s0, s1] -> (s0 + s1)>
// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<1x2x16xf32>, %k: tensor<1x2x8xf32>, %pk: tensor<1x2x?x4xf32>) -> tensor<1x2x16xf32> {
  // CHECK: %Y, %present_key, %present_value = onnx.Attention(%{{.*}}, %{{.*}}, %{{.*}}, _, %{{.*}}, %{{.*}}) {kv_num_heads = 2 : i64, q_num_heads = 4 : i64} : (tensor<1x2x16xf32>, tensor<1x2x8xf32>, tensor<1x2x8xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> (tensor<1x2x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  %y, %a, %b = onnx.Attention(%q, %k, %k, _, %pk, %pk) {kv_num_heads = 2 : i64, q_num_heads = 4 : i64, is_causal = 0 : i64} : (tensor<1x2x16xf32>, tensor<1x2x8xf32>, tensor<1x2x8xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> (tensor<1x2x16xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  // CHECK: onnx.Attention(%{{.*}}) {{.*}} -> (tensor<1x2x16xf32>, _, _, tensor<1x4x2x2xf32>)
  %z, %qk = onnx.Attention(%q, %k, %k) {kv_num_heads = 2 : i64, q_num_heads = 4 : i64} : (tensor<1x2x16xf32>, tensor<1x2x8xf32>, tensor<1x2x8xf32>) -> (tensor<1x2x16xf32>, _, _, tensor<1x4x2x2xf32>)
  return %y : tensor<1x2x16xf32>
}

// CHECK-LABEL: func.func @variadic
func.func @variadic(%a: tensor<2xf32>, %b: tensor<4xf32>) -> tensor<2xf32> {
  // CHECK: onnx.Concat(%{{.*}}, %{{.*}}) {axis = 0 : i64} : (tensor<2xf32>, tensor<4xf32>) -> tensor<6xf32>
  %c = onnx.Concat(%a, %b) {axis = 0 : i64} : (tensor<2xf32>, tensor<4xf32>) -> tensor<6xf32>
  // CHECK: %{{.*}}:3 = onnx.Split(%{{.*}}) {num_outputs = 3 : i64} : (tensor<6xf32>) -> (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>)
  %d, %e, %f = onnx.Split(%c) {num_outputs = 3 : i64} : (tensor<6xf32>) -> (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>)
  // CHECK: onnx.microsoft.QuickGelu(%{{.*}}) : (tensor<2xf32>) -> tensor<2xf32>
  %g = onnx.microsoft.QuickGelu(%d) : (tensor<2xf32>) -> tensor<2xf32>
  return %g : tensor<2xf32>
}

// CHECK-LABEL: func.func @lifted
func.func @lifted(%past: tensor<?x2x?x4xf32>, %ids: tensor<?x?xi64>, %m: tensor<?x?xi64>) -> tensor<?x1x?x?xi1> {
  // CHECK: onnx.extents(%{{.*}}, %{{.*}}) dims [2, 1] map #[[SUM]] : (tensor<?x2x?x4xf32>, tensor<?x?xi64>) -> tensor<i64>
  %t = onnx.extents(%past, %ids) dims [2, 1] map affine_map<()[s0, s1] -> (s0 + s1)> : (tensor<?x2x?x4xf32>, tensor<?x?xi64>) -> tensor<i64>
  // CHECK: onnx.mask(%{{.*}}, %{{.*}}) padding(%{{.*}}) <causal = true, padding = true> :
  %r = onnx.mask(%t, %t) padding(%m) <causal = true, padding = true> : (tensor<i64>, tensor<i64>, tensor<?x?xi64>) -> tensor<?x1x?x?xi1>
  return %r : tensor<?x1x?x?xi1>
}
