// RUN: fdpp-opt %s --onnx-lift-shapes -split-input-file | FileCheck %s
// RUN: fdpp-opt %s --onnx-lift-shapes -split-input-file --remarks-filter=recognition 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: remark: [Passed] lift-shapes {{.*}}Function=lengths | Remark="shape arithmetic is a function of the inputs' extents", extents=4, tensors=5

// CHECK-DAG: #[[ID:.*]] = affine_map<()[s0] -> (s0)>
// CHECK-DAG: #[[SUM:.*]] = affine_map<()[s0, s1] -> (s0 + s1)>
// CHECK-LABEL: func.func @lengths
// CHECK: %[[P:.*]] = onnx.extents(%[[PAST:.*]]) dims [2] map #[[ID]] : (tensor<?x2x?x4xf32>) -> tensor<i64>
// CHECK: %[[T:.*]] = onnx.extents(%[[IDS:.*]], %[[PAST]]) dims [1, 2] map #[[SUM]] : {{.*}} -> tensor<i64>
// CHECK-NEXT: return %[[P]], %[[T]]
func.func @lengths(%ids: tensor<?x?xi64>, %past: tensor<?x2x?x4xf32>) -> (tensor<i64>, tensor<i64>) {
  %0 = onnx.Shape(%ids) {end = 2 : i64, start = 1 : i64} : (tensor<?x?xi64>) -> tensor<1xi64>
  %s = onnx.Squeeze(%0) : (tensor<1xi64>) -> tensor<i64>
  %1 = onnx.Shape(%past) {end = 3 : i64, start = 2 : i64} : (tensor<?x2x?x4xf32>) -> tensor<1xi64>
  %p = onnx.Squeeze(%1) : (tensor<1xi64>) -> tensor<i64>
  %t = onnx.Add(%p, %s) : (tensor<i64>, tensor<i64>) -> tensor<i64>
  return %p, %t : tensor<i64>, tensor<i64>
}

// -----

// Extents with one name are equal; what cancels becomes a constant.
// CHECK-LABEL: func.func @names
// CHECK: onnx.Constant dense<0> : tensor<i64>
func.func @names(%a: tensor<?xf32> {onnx.dims = ["batch"]}, %b: tensor<?xf32> {onnx.dims = ["batch"]}) -> tensor<i64> {
  %0 = onnx.Shape(%a) : (tensor<?xf32>) -> tensor<1xi64>
  %1 = onnx.Shape(%b) : (tensor<?xf32>) -> tensor<1xi64>
  %2 = onnx.Sub(%0, %1) : (tensor<1xi64>, tensor<1xi64>) -> tensor<1xi64>
  %3 = onnx.Squeeze(%2) : (tensor<1xi64>) -> tensor<i64>
  return %3 : tensor<i64>
}

// -----

// The shape of a computed value, taken apart and put together again.
// CHECK: #[[SHAPE:.*]] = affine_map<()[s0, s1] -> (s0, s1, 3, 4)>
// CHECK-LABEL: func.func @computed
// CHECK: onnx.extents(%{{.*}}, %{{.*}}) dims [0, 1] map #[[SHAPE]] : {{.*}} -> tensor<4xi64>
func.func @computed(%x: tensor<?x?x8xf32>, %w: tensor<8x12xf32>) -> tensor<?x?x3x4xf32> {
  %y = onnx.MatMul(%x, %w) : (tensor<?x?x8xf32>, tensor<8x12xf32>) -> tensor<?x?x12xf32>
  %s = onnx.Shape(%y) : (tensor<?x?x12xf32>) -> tensor<3xi64>
  %zero = onnx.Constant dense<0> : tensor<i64>
  %one = onnx.Constant dense<1> : tensor<i64>
  %axis = onnx.Constant dense<0> : tensor<1xi64>
  %b = onnx.Gather(%s, %zero) : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %q = onnx.Gather(%s, %one) : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %b1 = onnx.Unsqueeze(%b, %axis) : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %q1 = onnx.Unsqueeze(%q, %axis) : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %heads = onnx.Constant dense<[3, 4]> : tensor<2xi64>
  %to = onnx.Concat(%b1, %q1, %heads) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<2xi64>) -> tensor<4xi64>
  %r = onnx.Reshape(%y, %to) : (tensor<?x?x12xf32>, tensor<4xi64>) -> tensor<?x?x3x4xf32>
  return %r : tensor<?x?x3x4xf32>
}

// -----

// A cast to a type that does not hold every extent is not the extent.
// CHECK-LABEL: func.func @narrowed
// CHECK: %[[B:.*]] = onnx.Cast(%{{.*}}) {to = 9 : i64}
// CHECK: %[[I:.*]] = onnx.Cast(%[[B]])
// CHECK: return %[[I]]
func.func @narrowed(%a: tensor<?xf32>) -> tensor<1xi64> {
  %0 = onnx.Shape(%a) : (tensor<?xf32>) -> tensor<1xi64>
  %1 = onnx.Cast(%0) {to = 9 : i64} : (tensor<1xi64>) -> tensor<1xi1>
  %2 = onnx.Cast(%1) {to = 7 : i64} : (tensor<1xi1>) -> tensor<1xi64>
  return %2 : tensor<1xi64>
}
