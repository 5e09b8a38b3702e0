// RUN: fdpp-opt %s --onnx-lift-masks -split-input-file -verify-diagnostics | FileCheck %s
// RUN: not fdpp-opt %s --onnx-lift-masks -split-input-file --remarks-filter=recognition 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: remark: [Passed] lift-masks {{.*}}Function=causal_padding | Remark="attention mask means causal, padding", attentions=1
// REMARK: remark: [Passed] lift-masks {{.*}}Function=window | Remark="attention mask means causal, a window of 5", attentions=1
// REMARK: remark: [Failure] lift-masks {{.*}}Function=misaligned | Remark="attention mask not lifted: neither causal, window nor padding, but d2 - d3 >= 0"
// REMARK: remark: [Failure] lift-masks {{.*}}Function=unreadable | Remark="attention mask not lifted: it is no condition on query and key; reading stops at onnx.Exp"

// Causal and padding, as fdpp-export writes it.
// CHECK: #[[ID:.*]] = affine_map<()[s0] -> (s0)>
// CHECK-LABEL: func.func @causal_padding
// CHECK: %[[Q:.*]] = onnx.extents(%arg0) dims [1] map #[[ID]] :
// CHECK: %[[P:.*]] = onnx.extents(%arg2) dims [2] map #[[ID]] :
// CHECK: %[[M:.*]] = onnx.mask(%[[Q]], %[[P]]) padding(%arg1) <causal = true, padding = true> : (tensor<i64>, tensor<i64>, tensor<?x?xi64>) -> tensor<?x1x?x?xi1>
// CHECK-NOT: onnx.Range
// CHECK: onnx.Attention(%arg0, %arg0, %arg0, %[[M]], %arg2, %arg2)
func.func @causal_padding(%x: tensor<?x?x8xf32> {onnx.dims = ["b", "s", ""]}, %mask: tensor<?x?xi64>, %past: tensor<?x2x?x4xf32>) -> tensor<?x?x8xf32> {
  %zero = onnx.Constant dense<0> : tensor<i64>
  %one = onnx.Constant dense<1> : tensor<i64>
  %a0 = onnx.Constant dense<0> : tensor<1xi64>
  %a1 = onnx.Constant dense<1> : tensor<1xi64>
  %a12 = onnx.Constant dense<[1, 2]> : tensor<2xi64>
  %p = onnx.extents(%past) dims [2] map affine_map<()[s0] -> (s0)> : (tensor<?x2x?x4xf32>) -> tensor<i64>
  %t = onnx.extents(%past, %x) dims [2, 1] map affine_map<()[s0, s1] -> (s0 + s1)> : (tensor<?x2x?x4xf32>, tensor<?x?x8xf32>) -> tensor<i64>
  %qs = onnx.Range(%p, %t, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %q = onnx.Unsqueeze(%qs, %a1) : (tensor<?xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %ks = onnx.Range(%zero, %t, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %k = onnx.Unsqueeze(%ks, %a0) : (tensor<?xi64>, tensor<1xi64>) -> tensor<1x?xi64>
  %c = onnx.LessOrEqual(%k, %q) : (tensor<1x?xi64>, tensor<?x1xi64>) -> tensor<?x?xi1>
  %pb = onnx.Cast(%mask) {to = 9 : i64} : (tensor<?x?xi64>) -> tensor<?x?xi1>
  %pad = onnx.Unsqueeze(%pb, %a12) : (tensor<?x?xi1>, tensor<2xi64>) -> tensor<?x1x1x?xi1>
  %m = onnx.And(%c, %pad) : (tensor<?x?xi1>, tensor<?x1x1x?xi1>) -> tensor<?x1x?x?xi1>
  %y, %pk, %pv = onnx.Attention(%x, %x, %x, %m, %past, %past) {kv_num_heads = 2 : i64, q_num_heads = 2 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x1x?x?xi1>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> (tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y : tensor<?x?x8xf32>
}

// -----

// A window of 5, as a bias of 0 and -inf, the comparison the other way round.
// CHECK-LABEL: func.func @window
// CHECK: onnx.mask(%{{.*}}, %{{.*}}) <causal = true, window = 5> : (tensor<i64>, tensor<i64>) -> tensor<1x1x?x?xi1>
func.func @window(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %zero = onnx.Constant dense<0> : tensor<i64>
  %one = onnx.Constant dense<1> : tensor<i64>
  %five = onnx.Constant dense<5> : tensor<i64>
  %a1 = onnx.Constant dense<1> : tensor<1xi64>
  %s = onnx.extents(%x) dims [1] map affine_map<()[s0] -> (s0)> : (tensor<?x?x8xf32>) -> tensor<i64>
  %i = onnx.Range(%zero, %s, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %q = onnx.Unsqueeze(%i, %a1) : (tensor<?xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %future = onnx.Less(%q, %i) : (tensor<?x1xi64>, tensor<?xi64>) -> tensor<?x?xi1>
  %low = onnx.Sub(%q, %five) : (tensor<?x1xi64>, tensor<i64>) -> tensor<?x1xi64>
  %old = onnx.GreaterOrEqual(%low, %i) : (tensor<?x1xi64>, tensor<?xi64>) -> tensor<?x?xi1>
  %hidden = onnx.Or(%future, %old) : (tensor<?x?xi1>, tensor<?x?xi1>) -> tensor<?x?xi1>
  %inf = onnx.Constant dense<0xFF800000> : tensor<f32>
  %none = onnx.Constant dense<0.0> : tensor<f32>
  %seen = onnx.Not(%hidden) : (tensor<?x?xi1>) -> tensor<?x?xi1>
  %m = onnx.Where(%seen, %none, %inf) : (tensor<?x?xi1>, tensor<f32>, tensor<f32>) -> tensor<?x?xf32>
  %y = onnx.Attention(%x, %x, %x, %m) {kv_num_heads = 2 : i64, q_num_heads = 2 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?xf32>) -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// -----

// Behind a cache the triangle of @window would be wrong, and is refused.
func.func @misaligned(%x: tensor<?x?x8xf32> {onnx.dims = ["b", "s", ""]}, %past: tensor<?x2x?x4xf32> {onnx.dims = ["b", "", "p", ""]}) -> tensor<?x?x8xf32> {
  %zero = onnx.Constant dense<0> : tensor<i64>
  %one = onnx.Constant dense<1> : tensor<i64>
  %a1 = onnx.Constant dense<1> : tensor<1xi64>
  %s = onnx.extents(%x) dims [1] map affine_map<()[s0] -> (s0)> : (tensor<?x?x8xf32>) -> tensor<i64>
  %t = onnx.extents(%past, %x) dims [2, 1] map affine_map<()[s0, s1] -> (s0 + s1)> : (tensor<?x2x?x4xf32>, tensor<?x?x8xf32>) -> tensor<i64>
  %i = onnx.Range(%zero, %s, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %j = onnx.Range(%zero, %t, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %q = onnx.Unsqueeze(%i, %a1) : (tensor<?xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %m = onnx.LessOrEqual(%j, %q) : (tensor<?xi64>, tensor<?x1xi64>) -> tensor<?x?xi1>
  // expected-error @below {{has a mask that is not causal, window or padding: key d3 is seen by query d2 of batch d0 where d2 - d3 >= 0}}
  %y, %pk, %pv = onnx.Attention(%x, %x, %x, %m, %past, %past) {kv_num_heads = 2 : i64, q_num_heads = 2 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?xi1>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> (tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y : tensor<?x?x8xf32>
}

// -----

func.func @unreadable(%x: tensor<?x?x8xf32>, %m: tensor<?x?xf32>) -> tensor<?x?x8xf32> {
  // expected-note @below {{reading stops at 'onnx.Exp'}}
  %e = onnx.Exp(%m) : (tensor<?x?xf32>) -> tensor<?x?xf32>
  // expected-error @below {{has a mask that cannot be read as a condition on query and key}}
  %y = onnx.Attention(%x, %x, %x, %e) {kv_num_heads = 2 : i64, q_num_heads = 2 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?xf32>) -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// -----

// One key, as the length is cast to a bool, is broadcast to all.
func.func @one_key(%x: tensor<?x?x8xf32> {onnx.dims = ["b", "s", ""]}) -> tensor<?x?x8xf32> {
  %zero = onnx.Constant dense<0> : tensor<i64>
  %one = onnx.Constant dense<1> : tensor<i64>
  %a1 = onnx.Constant dense<1> : tensor<1xi64>
  %s = onnx.extents(%x) dims [1] map affine_map<()[s0] -> (s0)> : (tensor<?x?x8xf32>) -> tensor<i64>
  %b = onnx.Cast(%s) {to = 9 : i64} : (tensor<i64>) -> tensor<i1>
  %t = onnx.Cast(%b) {to = 7 : i64} : (tensor<i1>) -> tensor<i64>
  %i = onnx.Range(%zero, %s, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %j = onnx.Range(%zero, %t, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %q = onnx.Unsqueeze(%i, %a1) : (tensor<?xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %m = onnx.LessOrEqual(%j, %q) : (tensor<?xi64>, tensor<?x1xi64>) -> tensor<?x?xi1>
  // expected-error @below {{has a mask of which nobody knows that it has an element for every query and key}}
  %y = onnx.Attention(%x, %x, %x, %m) {kv_num_heads = 2 : i64, q_num_heads = 2 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?xi1>) -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// -----

// A mask of one key, unless there is none, is broadcast to all.
func.func @first_key(%x: tensor<?x?x8xf32> {onnx.dims = ["b", "s", ""]}) -> tensor<?x?x8xf32> {
  %zero = onnx.Constant dense<0> : tensor<i64>
  %one = onnx.Constant dense<1> : tensor<i64>
  %a0 = onnx.Constant dense<0> : tensor<1xi64>
  %a1 = onnx.Constant dense<1> : tensor<1xi64>
  %s = onnx.extents(%x) dims [1] map affine_map<()[s0] -> (s0)> : (tensor<?x?x8xf32>) -> tensor<i64>
  %i = onnx.Range(%zero, %s, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %q = onnx.Unsqueeze(%i, %a1) : (tensor<?xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %m = onnx.LessOrEqual(%i, %q) : (tensor<?xi64>, tensor<?x1xi64>) -> tensor<?x?xi1>
  %first = onnx.Slice(%m, %a0, %a1, %a1) : (tensor<?x?xi1>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x?xi1>
  // expected-error @below {{has a mask of which nobody knows that it has an element for every query and key}}
  %y = onnx.Attention(%x, %x, %x, %first) {kv_num_heads = 2 : i64, q_num_heads = 2 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?xi1>) -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// -----

// Padding first, and lengths that are sums in two orders: the extents are the
// same all the same, also past + sequence - past.
// CHECK-LABEL: func.func @commuted
// CHECK: onnx.mask(%{{.*}}, %{{.*}}) padding(%arg1) <causal = true, padding = true>
func.func @commuted(%x: tensor<?x?x8xf32> {onnx.dims = ["b", "s", ""]}, %mask: tensor<?x?xi64> {onnx.dims = ["b", "t"]}, %past: tensor<?x2x?x4xf32> {onnx.dims = ["b", "", "p", ""]}) -> tensor<?x?x8xf32> {
  %zero = onnx.Constant dense<0> : tensor<i64>
  %one = onnx.Constant dense<1> : tensor<i64>
  %a1 = onnx.Constant dense<1> : tensor<1xi64>
  %a12 = onnx.Constant dense<[1, 2]> : tensor<2xi64>
  %p = onnx.extents(%past) dims [2] map affine_map<()[s0] -> (s0)> : (tensor<?x2x?x4xf32>) -> tensor<i64>
  %t = onnx.extents(%past, %x) dims [2, 1] map affine_map<()[s0, s1] -> (s0 + s1)> : (tensor<?x2x?x4xf32>, tensor<?x?x8xf32>) -> tensor<i64>
  %all = onnx.extents(%x, %x, %past) dims [0, 1, 2] map affine_map<()[s0, s1, s2] -> (s0, 1, s1, s1 + s2)> : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x2x?x4xf32>) -> tensor<4xi64>
  %qs = onnx.Range(%p, %t, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %q = onnx.Unsqueeze(%qs, %a1) : (tensor<?xi64>, tensor<1xi64>) -> tensor<?x1xi64>
  %ks = onnx.Range(%zero, %t, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %c = onnx.LessOrEqual(%ks, %q) : (tensor<?xi64>, tensor<?x1xi64>) -> tensor<?x?xi1>
  %pb = onnx.Cast(%mask) {to = 9 : i64} : (tensor<?x?xi64>) -> tensor<?x?xi1>
  %pad = onnx.Unsqueeze(%pb, %a12) : (tensor<?x?xi1>, tensor<2xi64>) -> tensor<?x1x1x?xi1>
  %both = onnx.And(%pad, %c) : (tensor<?x1x1x?xi1>, tensor<?x?xi1>) -> tensor<?x1x?x?xi1>
  %m = onnx.Reshape(%both, %all) : (tensor<?x1x?x?xi1>, tensor<4xi64>) -> tensor<?x1x?x?xi1>
  %y, %pk, %pv = onnx.Attention(%x, %x, %x, %m, %past, %past) {kv_num_heads = 2 : i64, q_num_heads = 2 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x1x?x?xi1>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> (tensor<?x?x8xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
  return %y : tensor<?x?x8xf32>
}
