// RUN: fdpp-opt %s -split-input-file -verify-diagnostics

func.func @elements(%a: tensor<2xf32>, %b: tensor<2xf64>) {
  // expected-error @below {{'B' has element type 'f64' but 'A' has 'f32'; they must be equal}}
  %c = onnx.Add(%a, %b) : (tensor<2xf32>, tensor<2xf64>) -> tensor<2xf32>
  return
}

// -----

func.func @constraint(%a: tensor<2xi1>) {
  // expected-error @below {{operand #0 must be tensor of}}
  %c = onnx.Sqrt(%a) : (tensor<2xi1>) -> tensor<2xi1>
  return
}

// -----

func.func @arity(%a: tensor<2xf32>) {
  // expected-error @below {{inputs or outputs do not fit Add's schema}}
  %c = onnx.Add(%a, _) : (tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @attribute(%a: tensor<2xf32>) {
  // expected-error @below {{requires attribute 'axis'}}
  %c = onnx.Concat(%a, %a) : (tensor<2xf32>, tensor<2xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @extents(%a: tensor<2x?xf32>) {
  // expected-error @below {{dimension 2 is outside of a source's rank}}
  %c = onnx.extents(%a) dims [2] map affine_map<()[s0] -> (s0)> : (tensor<2x?xf32>) -> tensor<i64>
  return
}

// -----

func.func @results(%a: tensor<2x?xf32>) {
  // expected-error @below {{needs an integer result with one element per result of the map}}
  %c = onnx.extents(%a) dims [1] map affine_map<()[s0] -> (s0, s0)> : (tensor<2x?xf32>) -> tensor<i64>
  return
}

// -----

func.func @padding(%q: tensor<i64>) {
  // expected-error @below {{has padding in one of predicate and operands only}}
  %c = onnx.mask(%q, %q) <causal = true, padding = true> : (tensor<i64>, tensor<i64>) -> tensor<1x1x?x?xi1>
  return
}
