// RUN: fdpp-opt %s --onnx-fold-constants -split-input-file -verify-diagnostics | FileCheck %s
// RUN: not fdpp-opt %s --onnx-fold-constants -split-input-file --remarks-filter=recognition 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: remark: [Passed] fold-constants {{.*}}Function=arithmetic | Remark="constants and operations without effect folded", evaluated=4, without effect=0
// REMARK: remark: [Passed] fold-constants {{.*}}Function=shapes {{.*}}evaluated=1, without effect=2
// REMARK: remark: [Missed] fold-constants {{.*}}Function=large | Remark="onnx.Range of constants stays: its value takes more than 1024 bytes"

// CHECK-LABEL: func.func @arithmetic
// CHECK-NEXT: %[[C:.*]] = onnx.Constant dense<[-4, 1, 9]> : tensor<3xi64>
// CHECK-NEXT: return %[[C]]
func.func @arithmetic() -> tensor<3xi64> {
  %a = onnx.Constant dense<[-7, 4, 12]> : tensor<3xi64>
  %b = onnx.Constant dense<3> : tensor<i64>
  %n = onnx.Constant dense<-2> : tensor<i64>
  %0 = onnx.Add(%a, %b) : (tensor<3xi64>, tensor<i64>) -> tensor<3xi64>
  %1 = onnx.Mul(%0, %n) : (tensor<3xi64>, tensor<i64>) -> tensor<3xi64>
  %2 = onnx.Div(%1, %n) : (tensor<3xi64>, tensor<i64>) -> tensor<3xi64>
  %3 = onnx.Constant dense<[0, -6, -6]> : tensor<3xi64>
  %4 = onnx.Add(%2, %3) : (tensor<3xi64>, tensor<3xi64>) -> tensor<3xi64>
  return %4 : tensor<3xi64>
}

// -----

// Floats round to their type at every step: 1 + 2^-8 is 1 in bf16.
// CHECK-LABEL: func.func @rounding
// CHECK-NEXT: onnx.Constant dense<1.000000e+00> : tensor<bf16>
func.func @rounding() -> tensor<bf16> {
  %a = onnx.Constant dense<1.0> : tensor<bf16>
  %b = onnx.Constant dense<0.00390625> : tensor<bf16>
  %0 = onnx.Add(%a, %b) : (tensor<bf16>, tensor<bf16>) -> tensor<bf16>
  return %0 : tensor<bf16>
}

// -----

// CHECK-LABEL: func.func @movement
// CHECK-NEXT: onnx.Constant dense<{{\[\[}}4, 1], [5, 2]]> : tensor<2x2xi64>
func.func @movement() -> tensor<2x2xi64> {
  %a = onnx.Constant dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xi64>
  %t = onnx.Transpose(%a) {perm = array<i64: 1, 0>} : (tensor<2x3xi64>) -> tensor<3x2xi64>
  %zero = onnx.Constant dense<0> : tensor<1xi64>
  %two = onnx.Constant dense<2> : tensor<1xi64>
  %s = onnx.Slice(%t, %zero, %two, %zero) : (tensor<3x2xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<2x2xi64>
  %order = onnx.Constant dense<[1, 0]> : tensor<2xi64>
  %g = onnx.Gather(%s, %order) {axis = 1 : i64} : (tensor<2x2xi64>, tensor<2xi64>) -> tensor<2x2xi64>
  return %g : tensor<2x2xi64>
}

// -----

// CHECK-LABEL: func.func @shapes
// CHECK: %[[S:.*]] = onnx.Constant dense<[4, 8]> : tensor<2xi64>
// CHECK: %[[D:.*]] = onnx.Shape(%arg0)
// CHECK: return %[[S]], %[[D]], %arg1
func.func @shapes(%x: tensor<?x4x8xf32>, %y: tensor<2xf32>) -> (tensor<2xi64>, tensor<3xi64>, tensor<2xf32>) {
  %0 = onnx.Shape(%x) {start = 1 : i64} : (tensor<?x4x8xf32>) -> tensor<2xi64>
  %1 = onnx.Shape(%x) : (tensor<?x4x8xf32>) -> tensor<3xi64>
  %2 = onnx.Identity(%y) : (tensor<2xf32>) -> tensor<2xf32>
  %3 = onnx.Cast(%2) {to = 1 : i64} : (tensor<2xf32>) -> tensor<2xf32>
  return %0, %1, %3 : tensor<2xi64>, tensor<3xi64>, tensor<2xf32>
}

// -----

// Larger than the limit: stays.
// CHECK-LABEL: func.func @large
// CHECK: onnx.Range
func.func @large() -> tensor<1000xi64> {
  %0 = onnx.Constant dense<0> : tensor<i64>
  %1 = onnx.Constant dense<1> : tensor<i64>
  %n = onnx.Constant dense<1000> : tensor<i64>
  %r = onnx.Range(%0, %n, %1) : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<1000xi64>
  return %r : tensor<1000xi64>
}

// -----

func.func @wrong() -> tensor<i64> {
  %a = onnx.Constant dense<[1, 2]> : tensor<2xi64>
  %i = onnx.Constant dense<5> : tensor<i64>
  // expected-error @below {{index 5 is outside an extent of 2}}
  %g = onnx.Gather(%a, %i) : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  return %g : tensor<i64>
}

// -----

// To a wider type and back, or on to a third one; not to a narrower one.
// CHECK-LABEL: func.func @casts
// CHECK-SAME: (%[[X:.*]]: tensor<?x3xf32>, %[[B:.*]]: tensor<?xi1>)
// CHECK-DAG: %[[I:.*]] = onnx.Cast(%[[B]]) {to = 1 : i64} : (tensor<?xi1>) -> tensor<?xf32>
// CHECK-DAG: %[[H:.*]] = onnx.Cast(%[[X]]) {to = 10 : i64} : (tensor<?x3xf32>) -> tensor<?x3xf16>
// CHECK-DAG: %[[N:.*]] = onnx.Cast(%[[H]]) {to = 1 : i64} : (tensor<?x3xf16>) -> tensor<?x3xf32>
// CHECK: return %[[X]], %[[I]], %[[N]]
func.func @casts(%x: tensor<?x3xf32>, %b: tensor<?xi1>) -> (tensor<?x3xf32>, tensor<?xf32>, tensor<?x3xf32>) {
  %0 = onnx.Cast(%x) {to = 11 : i64} : (tensor<?x3xf32>) -> tensor<?x3xf64>
  %1 = onnx.Cast(%0) {to = 1 : i64} : (tensor<?x3xf64>) -> tensor<?x3xf32>
  %2 = onnx.Cast(%b) {to = 7 : i64} : (tensor<?xi1>) -> tensor<?xi64>
  %3 = onnx.Cast(%2) {to = 1 : i64} : (tensor<?xi64>) -> tensor<?xf32>
  %4 = onnx.Cast(%x) {to = 10 : i64} : (tensor<?x3xf32>) -> tensor<?x3xf16>
  %5 = onnx.Cast(%4) {to = 1 : i64} : (tensor<?x3xf16>) -> tensor<?x3xf32>
  return %1, %3, %5 : tensor<?x3xf32>, tensor<?xf32>, tensor<?x3xf32>
}

// -----

// CHECK-LABEL: func.func @transposes
// CHECK-SAME: (%[[X:.*]]: tensor<?x3x4xf32>)
// CHECK: %[[T:.*]] = onnx.Transpose(%[[X]]) {perm = array<i64: 0, 2, 1>} : (tensor<?x3x4xf32>) -> tensor<?x4x3xf32>
// CHECK: return %[[X]], %[[T]]
func.func @transposes(%x: tensor<?x3x4xf32>) -> (tensor<?x3x4xf32>, tensor<?x4x3xf32>) {
  %0 = onnx.Transpose(%x) {perm = array<i64: 1, 2, 0>} : (tensor<?x3x4xf32>) -> tensor<3x4x?xf32>
  %1 = onnx.Transpose(%0) {perm = array<i64: 2, 0, 1>} : (tensor<3x4x?xf32>) -> tensor<?x3x4xf32>
  %2 = onnx.Transpose(%0) : (tensor<3x4x?xf32>) -> tensor<?x4x3xf32>
  return %1, %2 : tensor<?x3x4xf32>, tensor<?x4x3xf32>
}

// -----

// Constants behind an Identity are constants, and tell the shapes behind them.
// CHECK-LABEL: func.func @refined
// CHECK-SAME: -> tensor<1x?xi64>
// CHECK: %[[U:.*]] = onnx.Unsqueeze(%arg0, %{{.*}}) : (tensor<?xi64>, tensor<1xi64>) -> tensor<1x?xi64>
// CHECK: return %[[U]] : tensor<1x?xi64>
func.func @refined(%x: tensor<?xi64>) -> tensor<*xi64> {
  %c = onnx.Constant dense<0> : tensor<1xi64>
  %axes = onnx.Identity(%c) : (tensor<1xi64>) -> tensor<?xi64>
  %0 = onnx.Unsqueeze(%x, %axes) : (tensor<?xi64>, tensor<?xi64>) -> tensor<*xi64>
  return %0 : tensor<*xi64>
}
