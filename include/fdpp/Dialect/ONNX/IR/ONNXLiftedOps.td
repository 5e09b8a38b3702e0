// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ONNXLiftedOps.td - What shape and mask arithmetic means -*- tablegen -*-//
//
// The two ops that --onnx-lift-shapes and --onnx-lift-masks leave in place of
// the subgraphs that exporters write.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_DIALECT_ONNX_IR_ONNXLIFTEDOPS_TD
#define FDPP_DIALECT_ONNX_IR_ONNXLIFTEDOPS_TD

include "fdpp/Dialect/FDPP/IR/FDPPBase.td"
include "fdpp/Dialect/ONNX/IR/ONNXDialect.td"
include "mlir/IR/BuiltinAttributes.td"

def ONNX_ExtentsOp : Op<ONNX_Dialect, "extents", [Pure]> {
  let summary = "integers that are functions of input extents";
  let description = [{
    The elements, in order, are the results of `map`; its symbol i is extent
    `dims[i]` of source i. What shape arithmetic is once it is understood.

    ```mlir
    %total = onnx.extents(%past, %ids) dims [2, 1] map affine_map<()[s0, s1] -> (s0 + s1)>
        : (tensor<?x4x?x8xf32>, tensor<?x?xi64>) -> tensor<i64>
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$sources,
                       DenseI64ArrayAttr:$dims, AffineMapAttr:$map);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = [{
    `(` $sources `)` `dims` $dims `map` $map attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def ONNX_MaskOp : Op<ONNX_Dialect, "mask", [Pure]> {
  let summary = "a boolean attention mask given by one predicate";
  let description = [{
    Of shape [B, 1, Q, P + Q]: whether the query at row i, which stands at slot
    P + i, sees the key at slot j. The predicate is `visible`; its padding reads
    element [b, j] of `padding`, an attention mask [B, P + Q]. Without padding
    B is 1.

    ```mlir
    %m = onnx.mask(%q, %p) padding(%attention_mask) <causal = true, padding = true>
        : (tensor<i64>, tensor<i64>, tensor<?x?xi64>) -> tensor<?x1x?x?xi1>
    ```
  }];
  let arguments = (ins 0DTensorOf<[I64]>:$queries, 0DTensorOf<[I64]>:$past,
                       Optional<AnyRankedTensor>:$padding,
                       FDPP_MaskAttr:$visible);
  let results = (outs TensorOf<[I1]>:$result);
  let assemblyFormat = [{
    `(` $queries `,` $past `)` (`padding` `(` $padding^ `)`)? $visible attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif // FDPP_DIALECT_ONNX_IR_ONNXLIFTEDOPS_TD
