// RUN: fdpp-opt %s --onnx-inline-functions --mlir-print-debuginfo -split-input-file -verify-diagnostics | FileCheck %s
// RUN: not fdpp-opt %s --onnx-inline-functions -split-input-file --remarks-filter=recognition 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: remark: [Passed] inline-functions {{.*}}Function=main | Remark="function @twice inlined", calls=1
// REMARK: remark: [Passed] inline-functions {{.*}}Remark="function @other inlined", calls=1

// CHECK-LABEL: func.func @main
// CHECK: %[[A:.*]] = onnx.Swish(%arg0{{.*}}) : (tensor<2xf32>) -> tensor<2xf32> loc(#[[LOC:.*]])
// CHECK: %[[B:.*]] = onnx.Neg(%[[A]])
// CHECK: %[[C:.*]] = onnx.Swish(%[[B]])
// CHECK: return %[[C]]
// CHECK-NOT: func.func private
// CHECK-DAG: #[[INNER:.*]] = loc("inner")
// CHECK-DAG: #[[OUTER:.*]] = loc("outer")
// CHECK: #[[LOC]] = loc(callsite(#[[INNER]] at #[[OUTER]]))
func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = call @twice(%x) : (tensor<2xf32>) -> tensor<2xf32> loc("outer")
  return %0 : tensor<2xf32>
}
func.func private @twice(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = onnx.Swish(%x) : (tensor<2xf32>) -> tensor<2xf32> loc("inner")
  %1 = func.call @other(%0) : (tensor<2xf32>) -> tensor<2xf32>
  return %1 : tensor<2xf32>
}
func.func private @other(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = onnx.Neg(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %1 = onnx.Swish(%0) : (tensor<2xf32>) -> tensor<2xf32>
  return %1 : tensor<2xf32>
}

// -----

func.func private @nothing(tensor<2xf32>) -> tensor<2xf32>
func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @below {{@nothing has no body of one block to inline}}
  %0 = call @nothing(%x) : (tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
