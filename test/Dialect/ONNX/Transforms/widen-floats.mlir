// RUN: fdpp-opt %s --pass-pipeline='builtin.module(func.func(onnx-widen-floats))' | FileCheck %s

fdpp.weight @w [#fdpp.seeded<1>] : tensor<4x4xf16>

// CHECK-LABEL: func.func @main(%arg0: tensor<?x4xf32>) -> tensor<?x4xf32>
func.func @main(%x: tensor<?x4xf16>) -> tensor<?x4xf16> {
  // A weight stays as it is stored.
  // CHECK: %[[W:.*]] = fdpp.weight_at @w : tensor<4x4xf16>
  // CHECK: %[[WIDE:.*]] = onnx.Cast(%[[W]]) {to = 1 : i64} : (tensor<4x4xf16>) -> tensor<4x4xf32>
  %w = fdpp.weight_at @w : tensor<4x4xf16>
  // CHECK: onnx.MatMul(%arg0, %[[WIDE]]) : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<?x4xf16>, tensor<4x4xf16>) -> tensor<?x4xf16>
  // CHECK: onnx.Constant dense<-6.550400e+04> : tensor<f32>
  %c = onnx.Constant dense<-6.550400e+04> : tensor<f16>
  // CHECK: onnx.Constant dense<[1.000000e+00, 5.000000e-01, 2.500000e-01, 2.000000e+00]> : tensor<4xf32>
  %d = onnx.Constant dense<[1.0, 0.5, 0.25, 2.0]> : tensor<4xbf16>
  %e = onnx.Cast(%d) {to = 10 : i64} : (tensor<4xbf16>) -> tensor<4xf16>
  // CHECK: onnx.Cast({{.*}}) {to = 1 : i64} : (tensor<4xf32>) -> tensor<4xf32>
  %a = onnx.Add(%y, %c) : (tensor<?x4xf16>, tensor<f16>) -> tensor<?x4xf16>
  %b = onnx.Add(%a, %e) : (tensor<?x4xf16>, tensor<4xf16>) -> tensor<?x4xf16>
  return %b : tensor<?x4xf16>
}

// Of single precision: rounding in between is meant.
// CHECK-LABEL: func.func @rounds
func.func @rounds(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // CHECK: onnx.Cast(%arg0) {to = 10 : i64} : (tensor<?x4xf32>) -> tensor<?x4xf16>
  %a = onnx.Cast(%x) {to = 10 : i64} : (tensor<?x4xf32>) -> tensor<?x4xf16>
  %b = onnx.Cast(%a) {to = 1 : i64} : (tensor<?x4xf16>) -> tensor<?x4xf32>
  return %b : tensor<?x4xf32>
}
