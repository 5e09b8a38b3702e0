// RUN: fdpp-opt %s --onnx-fold-constants -split-input-file -verify-diagnostics

func.func @lists(%x: tensor<4x4xf32>) -> tensor<*xf32> {
  %two = onnx.Constant dense<[0, 1]> : tensor<2xi64>
  %one = onnx.Constant dense<1> : tensor<1xi64>
  // expected-error @below {{starts, ends, axes and steps differ in number}}
  %s = onnx.Slice(%x, %two, %two, %two, %one) : (tensor<4x4xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>, tensor<1xi64>) -> tensor<*xf32>
  return %s : tensor<*xf32>
}

// -----

func.func @batch(%x: tensor<4x4xf32>, %at: tensor<2x1xi64>) -> tensor<*xf32> {
  // expected-error @below {{indices are longer than the data's rank}}
  %s = onnx.GatherND(%x, %at) {batch_dims = -7 : i64} : (tensor<4x4xf32>, tensor<2x1xi64>) -> tensor<*xf32>
  return %s : tensor<*xf32>
}

// -----

func.func @repeats(%x: tensor<4xf32>) -> tensor<*xf32> {
  %many = onnx.Constant dense<4611686018427387904> : tensor<1xi64>
  // expected-error @below {{repeats are negative or too large}}
  %s = onnx.Tile(%x, %many) : (tensor<4xf32>, tensor<1xi64>) -> tensor<*xf32>
  return %s : tensor<*xf32>
}

// -----

func.func @fill() -> tensor<*xi64> {
  %many = onnx.Constant dense<4611686018427387904> : tensor<1xi64>
  // expected-error @below {{has a result with a negative extent or of more than 2^48 elements}}
  %s = onnx.ConstantOfShape(%many) {value = dense<0> : tensor<1xi64>} : (tensor<1xi64>) -> tensor<*xi64>
  return %s : tensor<*xi64>
}

// -----

func.func @huge(%x: tensor<4611686018427387904x4xf32>) -> tensor<*xf32> {
  // expected-error @below {{has an operand of more than 2^48 elements}}
  %s = onnx.Flatten(%x) : (tensor<4611686018427387904x4xf32>) -> tensor<*xf32>
  return %s : tensor<*xf32>
}

// -----

// A step may be as large as a number gets.
func.func @step(%x: tensor<4xf32>) -> tensor<*xf32> {
  %zero = onnx.Constant dense<0> : tensor<1xi64>
  %far = onnx.Constant dense<9223372036854775807> : tensor<1xi64>
  %s = onnx.Slice(%x, %zero, %far, %zero, %far) : (tensor<4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<*xf32>
  return %s : tensor<*xf32>
}

// -----

func.func @permutations(%x: tensor<?x3x4xf32>) -> tensor<*xf32> {
  %0 = onnx.Transpose(%x) {perm = array<i64: 1, 2, 0>} : (tensor<?x3x4xf32>) -> tensor<3x4x?xf32>
  // expected-error @below {{perm is not a permutation}}
  %1 = onnx.Transpose(%0) {perm = array<i64: 2, 0, 7>} : (tensor<3x4x?xf32>) -> tensor<*xf32>
  return %1 : tensor<*xf32>
}
