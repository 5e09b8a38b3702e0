// RUN: fdpp-opt %s --pass-pipeline='builtin.module(func.func(onnx-compose))' --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @norms
// CHECK-COUNT-2: onnx.RMSNormalization(%{{.*}}, %{{.*}}) {epsilon = 0.00999999977 : f32}
// CHECK-NOT: onnx.RMSNormalization
func.func @norms(%x: tensor<?x?x8xf32>, %g: tensor<8xf32>, %z: tensor<?x?x8xf32>)
    -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) {
  %two = onnx.Constant dense<2.0> : tensor<f32>
  %one = onnx.Constant dense<1.0> : tensor<f32>
  %half = onnx.Constant dense<-0.5> : tensor<f32>
  %eps = onnx.Constant dense<1.0e-2> : tensor<f32>
  %last = onnx.Constant dense<-1> : tensor<1xi64>
  %first = onnx.Constant dense<1> : tensor<1xi64>
  // Sqrt and Div.
  %a0 = onnx.Pow(%x, %two) : (tensor<?x?x8xf32>, tensor<f32>) -> tensor<?x?x8xf32>
  %a1 = onnx.ReduceMean(%a0, %last) : (tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>
  %a2 = onnx.Add(%a1, %eps) : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
  %a3 = onnx.Sqrt(%a2) : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %a4 = onnx.Div(%one, %a3) : (tensor<f32>, tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %a5 = onnx.Mul(%x, %a4) : (tensor<?x?x8xf32>, tensor<?x?x1xf32>) -> tensor<?x?x8xf32>
  %a = onnx.Mul(%g, %a5) : (tensor<8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  // A square as a product, the inverse root as a power.
  %b0 = onnx.Mul(%x, %x) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %b1 = onnx.ReduceMean(%b0, %last) : (tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x?x1xf32>
  %b2 = onnx.Add(%eps, %b1) : (tensor<f32>, tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %b3 = onnx.Pow(%b2, %half) : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32>
  %b4 = onnx.Mul(%b3, %x) : (tensor<?x?x1xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %b = onnx.Mul(%b4, %g) : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  // The deviation of something else.
  %c = onnx.Mul(%z, %b3) : (tensor<?x?x8xf32>, tensor<?x?x1xf32>) -> tensor<?x?x8xf32>
  %c1 = onnx.Mul(%c, %g) : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  // The mean of another dimension.
  %d1 = onnx.ReduceMean(%b0, %first) : (tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x1x8xf32>
  %d2 = onnx.Add(%eps, %d1) : (tensor<f32>, tensor<?x1x8xf32>) -> tensor<?x1x8xf32>
  %d3 = onnx.Pow(%d2, %half) : (tensor<?x1x8xf32>, tensor<f32>) -> tensor<?x1x8xf32>
  %d4 = onnx.Mul(%d3, %x) : (tensor<?x1x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %d = onnx.Mul(%d4, %g) : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  return %a, %b, %c1, %d : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

// Rotated heads [batch, 2, sequence, 4] of rows, at positions counted from 0.
// CHECK-LABEL: func.func @rotary
// CHECK: %[[P:.*]] = fdpp.slot_positions %arg0
// CHECK: %[[COLUMN:.*]] = onnx.Unsqueeze(%[[P]],
// CHECK: %[[FLOAT:.*]] = onnx.Cast(%[[COLUMN]])
// CHECK: %[[ANGLES:.*]] = onnx.Mul(%[[FLOAT]],
// CHECK: %[[COS:.*]] = onnx.Cos(%[[ANGLES]])
// CHECK: %[[SIN:.*]] = onnx.Sin(%[[ANGLES]])
// CHECK: %[[TURNED:.*]] = onnx.RotaryEmbedding(%arg1, %[[COS]], %[[SIN]]) {{{.*}}num_heads = 2 : i64
// CHECK-NOT: onnx.Neg
// The halves the other way round stay as they are.
// CHECK-LABEL: func.func @swapped
// CHECK-NOT: onnx.RotaryEmbedding
func.func @rotary(%ids: tensor<?x?xi64> {onnx.dims = ["b", "s"]}, %x: tensor<?x?x8xf32> {onnx.dims = ["b", "s", ""]}) -> tensor<?x2x?x4xf32> {
  %zero = onnx.Constant dense<0> : tensor<i64>
  %one = onnx.Constant dense<1> : tensor<i64>
  %c0 = onnx.Constant dense<0> : tensor<1xi64>
  %c1 = onnx.Constant dense<1> : tensor<1xi64>
  %c2 = onnx.Constant dense<2> : tensor<1xi64>
  %c3 = onnx.Constant dense<3> : tensor<1xi64>
  %far = onnx.Constant dense<9223372036854775807> : tensor<1xi64>
  %s = onnx.extents(%ids) dims [1] map affine_map<()[s0] -> (s0)> : (tensor<?x?xi64>) -> tensor<i64>
  %range = onnx.Range(%zero, %s, %one) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %row = onnx.Unsqueeze(%range, %c0) : (tensor<?xi64>, tensor<1xi64>) -> tensor<1x?xi64>
  %middle = onnx.Unsqueeze(%row, %c1) : (tensor<1x?xi64>, tensor<1xi64>) -> tensor<1x1x?xi64>
  %float = onnx.Cast(%middle) {to = 1 : i64} : (tensor<1x1x?xi64>) -> tensor<1x1x?xf32>
  %inv = onnx.Constant dense<[[[1.0], [0.1]]]> : tensor<1x2x1xf32>
  %m = onnx.MatMul(%inv, %float) : (tensor<1x2x1xf32>, tensor<1x1x?xf32>) -> tensor<1x2x?xf32>
  %t = onnx.Transpose(%m) {perm = array<i64: 0, 2, 1>} : (tensor<1x2x?xf32>) -> tensor<1x?x2xf32>
  %both = onnx.Concat(%t, %t) {axis = -1 : i64} : (tensor<1x?x2xf32>, tensor<1x?x2xf32>) -> tensor<1x?x4xf32>
  %cos3 = onnx.Cos(%both) : (tensor<1x?x4xf32>) -> tensor<1x?x4xf32>
  %sin3 = onnx.Sin(%both) : (tensor<1x?x4xf32>) -> tensor<1x?x4xf32>
  %cos = onnx.Unsqueeze(%cos3, %c1) : (tensor<1x?x4xf32>, tensor<1xi64>) -> tensor<1x1x?x4xf32>
  %sin = onnx.Unsqueeze(%sin3, %c1) : (tensor<1x?x4xf32>, tensor<1xi64>) -> tensor<1x1x?x4xf32>
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %lo = onnx.Slice(%h, %c0, %c2, %c3, %c1) : (tensor<?x2x?x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x2x?x2xf32>
  %hi = onnx.Slice(%h, %c2, %far, %c3, %c1) : (tensor<?x2x?x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x2x?x2xf32>
  %neg = onnx.Neg(%hi) : (tensor<?x2x?x2xf32>) -> tensor<?x2x?x2xf32>
  %turned = onnx.Concat(%neg, %lo) {axis = -1 : i64} : (tensor<?x2x?x2xf32>, tensor<?x2x?x2xf32>) -> tensor<?x2x?x4xf32>
  %a = onnx.Mul(%h, %cos) : (tensor<?x2x?x4xf32>, tensor<1x1x?x4xf32>) -> tensor<?x2x?x4xf32>
  %b = onnx.Mul(%turned, %sin) : (tensor<?x2x?x4xf32>, tensor<1x1x?x4xf32>) -> tensor<?x2x?x4xf32>
  %y = onnx.Add(%a, %b) : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  return %y : tensor<?x2x?x4xf32>
}

func.func @swapped(%ids: tensor<?x?xi64> {onnx.dims = ["b", "s"]}, %x: tensor<?x?x8xf32> {onnx.dims = ["b", "s", ""]}) -> tensor<?x2x?x4xf32> {
  %c0 = onnx.Constant dense<0> : tensor<1xi64>
  %c1 = onnx.Constant dense<1> : tensor<1xi64>
  %c2 = onnx.Constant dense<2> : tensor<1xi64>
  %c3 = onnx.Constant dense<3> : tensor<1xi64>
  %far = onnx.Constant dense<9223372036854775807> : tensor<1xi64>
  %column = onnx.Unsqueeze(%ids, %c2) : (tensor<?x?xi64>, tensor<1xi64>) -> tensor<?x?x1xi64>
  %float = onnx.Cast(%column) {to = 1 : i64} : (tensor<?x?x1xi64>) -> tensor<?x?x1xf32>
  %inv = onnx.Constant dense<[1.0, 0.1]> : tensor<2xf32>
  %t = onnx.Mul(%float, %inv) : (tensor<?x?x1xf32>, tensor<2xf32>) -> tensor<?x?x2xf32>
  %both = onnx.Concat(%t, %t) {axis = -1 : i64} : (tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x?x4xf32>
  %cos3 = onnx.Cos(%both) : (tensor<?x?x4xf32>) -> tensor<?x?x4xf32>
  %sin3 = onnx.Sin(%both) : (tensor<?x?x4xf32>) -> tensor<?x?x4xf32>
  %cos = onnx.Unsqueeze(%cos3, %c1) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
  %sin = onnx.Unsqueeze(%sin3, %c1) : (tensor<?x?x4xf32>, tensor<1xi64>) -> tensor<?x1x?x4xf32>
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %lo = onnx.Slice(%h, %c0, %c2, %c3, %c1) : (tensor<?x2x?x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x2x?x2xf32>
  %hi = onnx.Slice(%h, %c2, %far, %c3, %c1) : (tensor<?x2x?x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x2x?x2xf32>
  %neg = onnx.Neg(%lo) : (tensor<?x2x?x2xf32>) -> tensor<?x2x?x2xf32>
  %turned = onnx.Concat(%neg, %hi) {axis = -1 : i64} : (tensor<?x2x?x2xf32>, tensor<?x2x?x2xf32>) -> tensor<?x2x?x4xf32>
  %a = onnx.Mul(%h, %cos) : (tensor<?x2x?x4xf32>, tensor<?x1x?x4xf32>) -> tensor<?x2x?x4xf32>
  %b = onnx.Mul(%turned, %sin) : (tensor<?x2x?x4xf32>, tensor<?x1x?x4xf32>) -> tensor<?x2x?x4xf32>
  %y = onnx.Add(%a, %b) : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  return %y : tensor<?x2x?x4xf32>
}

// -----

// Two query heads on one KV head behind a past; the scale is on both sides.
// CHECK-LABEL: func.func @attention
// CHECK: %[[Y:.*]], %[[K:.*]], %[[V:.*]] = onnx.Attention(%arg0, %arg1, %arg2, %arg3, %arg4, %arg5) {{{.*}}kv_num_heads = 1 : i64, q_num_heads = 2 : i64, scale = 2.500000e-01 : f32
// CHECK: return %[[Y]], %[[K]], %[[V]]
func.func @attention(%q: tensor<?x?x8xf32> {onnx.dims = ["b", "s", ""]}, %k: tensor<?x?x4xf32> {onnx.dims = ["b", "s", ""]},
                     %v: tensor<?x?x4xf32> {onnx.dims = ["b", "s", ""]}, %mask: tensor<?x1x?x?xf32> {onnx.dims = ["b", "", "s", "p + s"]},
                     %pk: tensor<?x1x?x4xf32> {onnx.dims = ["b", "", "p", ""]}, %pv: tensor<?x1x?x4xf32> {onnx.dims = ["b", "", "p", ""]})
    -> (tensor<?x?x8xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) {
  %s2 = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %s1 = onnx.Constant dense<[0, 0, 1, 4]> : tensor<4xi64>
  %half = onnx.Constant dense<0.5> : tensor<f32>
  %q4 = onnx.Reshape(%q, %s2) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
  %qh = onnx.Transpose(%q4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k4 = onnx.Reshape(%k, %s1) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
  %kh = onnx.Transpose(%k4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
  %v4 = onnx.Reshape(%v, %s1) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
  %vh = onnx.Transpose(%v4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
  %kc = onnx.Concat(%pk, %kh) {axis = 2 : i64} : (tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) -> tensor<?x1x?x4xf32>
  %vc = onnx.Concat(%pv, %vh) {axis = -2 : i64} : (tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) -> tensor<?x1x?x4xf32>
  %shape = onnx.extents(%q, %pk) dims [0, 2] map affine_map<()[s0, s1] -> (1, 2, 1, 1)> : (tensor<?x?x8xf32>, tensor<?x1x?x4xf32>) -> tensor<4xi64>
  %kr = onnx.Expand(%kc, %shape) : (tensor<?x1x?x4xf32>, tensor<4xi64>) -> tensor<?x2x?x4xf32>
  %vr = onnx.Expand(%vc, %shape) : (tensor<?x1x?x4xf32>, tensor<4xi64>) -> tensor<?x2x?x4xf32>
  %kt = onnx.Transpose(%kr) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x?x4xf32>) -> tensor<?x2x4x?xf32>
  %qs = onnx.Mul(%qh, %half) : (tensor<?x2x?x4xf32>, tensor<f32>) -> tensor<?x2x?x4xf32>
  %ks = onnx.Mul(%kt, %half) : (tensor<?x2x4x?xf32>, tensor<f32>) -> tensor<?x2x4x?xf32>
  %scores = onnx.MatMul(%qs, %ks) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %hidden = onnx.Add(%scores, %mask) : (tensor<?x2x?x?xf32>, tensor<?x1x?x?xf32>) -> tensor<?x2x?x?xf32>
  %p = onnx.Softmax(%hidden) {axis = -1 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = onnx.MatMul(%p, %vr) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %ot = onnx.Transpose(%o) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %s3 = onnx.Constant dense<[0, 0, 8]> : tensor<3xi64>
  %y = onnx.Reshape(%ot, %s3) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
  return %y, %kc, %vc : tensor<?x?x8xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>
}

// -----

// A factor of the mask is none of the scores, whichever stands first.
// CHECK-LABEL: func.func @mask_first
// CHECK: %[[BIAS:.*]] = onnx.Mul
// CHECK: onnx.Attention({{.*}}%[[BIAS]]{{.*}}scale = 2.500000e-01 : f32
func.func @mask_first(%q: tensor<?x?x8xf32> {onnx.dims = ["b", "s", ""]}, %k: tensor<?x?x4xf32> {onnx.dims = ["b", "s", ""]},
                     %v: tensor<?x?x4xf32> {onnx.dims = ["b", "s", ""]}, %mask: tensor<?x1x?x?xf32> {onnx.dims = ["b", "", "s", "p + s"]},
                     %pk: tensor<?x1x?x4xf32> {onnx.dims = ["b", "", "p", ""]}, %pv: tensor<?x1x?x4xf32> {onnx.dims = ["b", "", "p", ""]})
    -> (tensor<?x?x8xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) {
  %s2 = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %s1 = onnx.Constant dense<[0, 0, 1, 4]> : tensor<4xi64>
  %half = onnx.Constant dense<0.5> : tensor<f32>
  %q4 = onnx.Reshape(%q, %s2) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
  %qh = onnx.Transpose(%q4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %k4 = onnx.Reshape(%k, %s1) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
  %kh = onnx.Transpose(%k4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
  %v4 = onnx.Reshape(%v, %s1) : (tensor<?x?x4xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32>
  %vh = onnx.Transpose(%v4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x1x4xf32>) -> tensor<?x1x?x4xf32>
  %kc = onnx.Concat(%pk, %kh) {axis = 2 : i64} : (tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) -> tensor<?x1x?x4xf32>
  %vc = onnx.Concat(%pv, %vh) {axis = -2 : i64} : (tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>) -> tensor<?x1x?x4xf32>
  %shape = onnx.extents(%q, %pk) dims [0, 2] map affine_map<()[s0, s1] -> (1, 2, 1, 1)> : (tensor<?x?x8xf32>, tensor<?x1x?x4xf32>) -> tensor<4xi64>
  %kr = onnx.Expand(%kc, %shape) : (tensor<?x1x?x4xf32>, tensor<4xi64>) -> tensor<?x2x?x4xf32>
  %vr = onnx.Expand(%vc, %shape) : (tensor<?x1x?x4xf32>, tensor<4xi64>) -> tensor<?x2x?x4xf32>
  %kt = onnx.Transpose(%kr) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x?x4xf32>) -> tensor<?x2x4x?xf32>
  %qs = onnx.Mul(%qh, %half) : (tensor<?x2x?x4xf32>, tensor<f32>) -> tensor<?x2x?x4xf32>
  %ks = onnx.Mul(%kt, %half) : (tensor<?x2x4x?xf32>, tensor<f32>) -> tensor<?x2x4x?xf32>
  %scores = onnx.MatMul(%qs, %ks) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %third = onnx.Constant dense<3.0> : tensor<f32>
  %bias = onnx.Mul(%mask, %third) : (tensor<?x1x?x?xf32>, tensor<f32>) -> tensor<?x1x?x?xf32>
  %hidden = onnx.Add(%bias, %scores) : (tensor<?x1x?x?xf32>, tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %p = onnx.Softmax(%hidden) {axis = -1 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = onnx.MatMul(%p, %vr) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %ot = onnx.Transpose(%o) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32>
  %s3 = onnx.Constant dense<[0, 0, 8]> : tensor<3xi64>
  %y = onnx.Reshape(%ot, %s3) : (tensor<?x?x2x4xf32>, tensor<3xi64>) -> tensor<?x?x8xf32>
  return %y, %kc, %vc : tensor<?x?x8xf32>, tensor<?x1x?x4xf32>, tensor<?x1x?x4xf32>
}

// -----

// A softmax over the queries is no attention.
// CHECK-LABEL: func.func @other_axis
// CHECK-NOT: onnx.Attention
func.func @other_axis(%q: tensor<?x?x8xf32> {onnx.dims = ["b", "s", ""]}) -> tensor<?x2x?x4xf32> {
  %s2 = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %q4 = onnx.Reshape(%q, %s2) : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
  %h = onnx.Transpose(%q4) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  %t = onnx.Transpose(%h) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x?x4xf32>) -> tensor<?x2x4x?xf32>
  %scores = onnx.MatMul(%h, %t) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
  %p = onnx.Softmax(%scores) {axis = 2 : i64} : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
  %o = onnx.MatMul(%p, %h) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  return %o : tensor<?x2x?x4xf32>
}
