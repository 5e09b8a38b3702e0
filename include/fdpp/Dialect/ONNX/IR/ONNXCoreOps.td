// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ONNXCoreOps.td - The onnx ops without a schema ------*- tablegen -*-===//
#ifndef FDPP_DIALECT_ONNX_IR_ONNXCOREOPS_TD
#define FDPP_DIALECT_ONNX_IR_ONNXCOREOPS_TD

include "fdpp/Dialect/ONNX/IR/ONNXDialect.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"

def ONNX_ConstantOp : Op<ONNX_Dialect, "Constant", [Pure, ConstantLike, AllTypesMatch<["value", "result"]>]> {
  let summary = "a small constant";
  let description = [{
    A constant up to 1 KiB; larger initializers are `fdpp.weight`.

    ```mlir
    %axes = onnx.Constant dense<[0, 1]> : tensor<2xi64>
    ```
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "attr-dict $value";
  let hasFolder = 1;
}

def ONNX_UnsupportedOp : Op<ONNX_Dialect, "unsupported"> {
  let summary = "an operator outside the dialect, kept as it was written";
  let description = [{
    Keeps name, domain and attributes of a node that has no op here, so that
    raising can list everything it cannot take at once. `reason` says why.
    `omitted` lists the positions of omitted inputs.

    ```mlir
    %y = onnx.unsupported "" : "LSTM"(%x) {node_attributes = {hidden = 8 : i64},
        reason = "not an operator of the onnx dialect"}
        : (tensor<1x8xf32>) -> tensor<*x!onnx.unknown>
    ```
  }];
  let arguments = (ins StrAttr:$domain, StrAttr:$op_name,
                       DictionaryAttr:$node_attributes, StrAttr:$reason,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$omitted,
                       Variadic<AnyTensor>:$inputs);
  let results = (outs Variadic<AnyTensor>:$outputs);
  let assemblyFormat = [{
    $domain `:` $op_name `(` $inputs `)` attr-dict `:` functional-type($inputs, $outputs)
  }];
}

#endif // FDPP_DIALECT_ONNX_IR_ONNXCOREOPS_TD
