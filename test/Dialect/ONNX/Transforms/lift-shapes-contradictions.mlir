// RUN: fdpp-opt %s --onnx-lift-shapes -split-input-file | FileCheck %s

// Lists that others made: an empty one beside a number, axes that no dimension
// has, lists of other lengths than their partners'. Nothing is known of them,
// and nothing is read behind their end.

// CHECK-LABEL: func.func @no_elements
// CHECK: onnx.Constant dense<> : tensor<0xi64>
func.func @no_elements(%x: tensor<?xf32>) -> tensor<0xi64> {
  %none = onnx.Shape(%x) {end = 0 : i64} : (tensor<?xf32>) -> tensor<0xi64>
  %one = onnx.Shape(%x) : (tensor<?xf32>) -> tensor<1xi64>
  %sum = onnx.Mul(%none, %one) : (tensor<0xi64>, tensor<1xi64>) -> tensor<0xi64>
  return %sum : tensor<0xi64>
}

// -----

// CHECK-LABEL: func.func @no_axis
// CHECK: onnx.Shape
func.func @no_axis(%x: tensor<?x4xf32>) -> tensor<?xi64> {
  %axes = onnx.Constant dense<[7, -9]> : tensor<2xi64>
  %y = onnx.Unsqueeze(%x, %axes) : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<*xf32>
  %z = onnx.Squeeze(%x, %axes) : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<*xf32>
  %c = onnx.Concat(%x, %x) {axis = 5 : i64} : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<*xf32>
  %t = onnx.Transpose(%x) {perm = array<i64: 4, 5>} : (tensor<?x4xf32>) -> tensor<*xf32>
  %n = onnx.Shape(%y) : (tensor<*xf32>) -> tensor<?xi64>
  %m = onnx.Shape(%z) : (tensor<*xf32>) -> tensor<?xi64>
  %k = onnx.Shape(%c) : (tensor<*xf32>) -> tensor<?xi64>
  %l = onnx.Shape(%t) : (tensor<*xf32>) -> tensor<?xi64>
  %all = onnx.Concat(%n, %m, %k, %l) {axis = 0 : i64} : (tensor<?xi64>, tensor<?xi64>, tensor<?xi64>, tensor<?xi64>) -> tensor<?xi64>
  return %all : tensor<?xi64>
}

// -----

// CHECK-LABEL: func.func @other_lengths
// CHECK: onnx.Slice
func.func @other_lengths(%x: tensor<?x4xf32>) -> tensor<?xi64> {
  %two = onnx.Constant dense<[0, 1]> : tensor<2xi64>
  %one = onnx.Constant dense<1> : tensor<1xi64>
  %s = onnx.Slice(%x, %two, %one, %one, %one) : (tensor<?x4xf32>, tensor<2xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<*xf32>
  %n = onnx.Shape(%s) : (tensor<*xf32>) -> tensor<?xi64>
  return %n : tensor<?xi64>
}

// -----

// Names of extents that are no strings are none.
// CHECK-LABEL: func.func @names
func.func @names(%x: tensor<?xf32> {onnx.dims = [3]}) -> tensor<1xi64> {
  // CHECK: onnx.extents
  %n = onnx.Shape(%x) : (tensor<?xf32>) -> tensor<1xi64>
  return %n : tensor<1xi64>
}
