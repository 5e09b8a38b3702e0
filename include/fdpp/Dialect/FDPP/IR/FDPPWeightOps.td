// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights and what their init regions hold.

#ifndef FDPP_DIALECT_FDPP_IR_FDPPWEIGHTOPS_TD
#define FDPP_DIALECT_FDPP_IR_FDPPWEIGHTOPS_TD

include "fdpp/Dialect/FDPP/IR/FDPPOpBase.td"

def FDPP_WeightOp : FDPP_Op<"weight", [Symbol]> {
  let summary = "a weight, or a bank of one weight a layer, by reference";
  let description = [{
    Names a tensor whose elements are not part of the IR. A bank has `layers`
    tensors of the same type. The elements come from one `sources` attribute per
    layer (`#fdpp.file`, `#fdpp.seeded` or an inline `dense`), or from `init`, a
    region that maps the layer's index to the tensor by reading other weights.
    `layout` is the order in which the engine stores the elements; the type is
    always the logical one. Evaluated once, streaming, when the engine is
    written.

    ```mlir
    fdpp.weight @norm [#fdpp.file<"model.onnx.data", 4096, 2304>] : tensor<576xf32>
    fdpp.weight @qkv bank 2 layout <panel = 16, interleave = 2> init {
    ^bb0(%layer: index):
      %q = fdpp.weight_at @q[%layer] : tensor<576x576xbf16>
      %k = fdpp.weight_at @k[%layer] : tensor<192x576xbf16>
      %c = tensor.concat dim(0) %q, %k : (tensor<576x576xbf16>, tensor<192x576xbf16>) -> tensor<768x576xbf16>
      fdpp.yield %c : tensor<768x576xbf16>
    } : tensor<768x576xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
      OptionalAttr<StrAttr>:$sym_visibility, TypeAttrOf<AnyRankedTensor>:$type,
      DefaultValuedAttr<I64Attr, "1">:$layers, OptionalAttr<ArrayAttr>:$sources,
      OptionalAttr<FDPP_PanelsAttr>:$layout);
  let regions = (region MaxSizedRegion<1>:$init);
  let assemblyFormat = [{
    $sym_name (`bank` $layers^)? ($sources^)? (`layout` $layout^)?
    (`init` $init^)? attr-dict `:` $type
  }];
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() {
      return ::mlir::cast<::mlir::RankedTensorType>(getType());
    }
    bool isBank() { return getLayers() != 1; }
  }];
  let hasVerifier = 1;
}

def FDPP_WeightAtOp : FDPP_Op<"weight_at", [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the tensor of a weight, of one layer of a bank";
  let description = [{
    ```mlir
    %w = fdpp.weight_at @qkv[%layer] : tensor<768x576xbf16>
    ```
    The layer is given exactly when the weight is a bank. The value is read-only.
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight, Optional<Index>:$layer);
  let results = (outs FDPP_Shaped:$result);
  let assemblyFormat = "$weight (`[` $layer^ `]`)? attr-dict `:` type($result)";
}

def FDPP_LayerConstantOp : FDPP_Op<"layer_constant", [Pure]> {
  let summary = "a scalar of the model that differs between layers";
  let description = [{
    The element of `values` at `layer`: what a bank is for weights, small enough
    to stand in the program. Operations take it in the place of the attribute
    that layers have in common otherwise.

    ```mlir
    %eps = fdpp.layer_constant dense<[1.0e-5, 1.0e-6]> : tensor<2xf64> at %layer : f64
    %h = fdpp.rms_norm %x, %gamma eps(%eps)
        : (tensor<?x576xf32>, tensor<576xf32>, f64) -> tensor<?x576xf32>
    ```
  }];
  let arguments = (ins ElementsAttr:$values, Index:$layer);
  let results = (outs AnyTypeOf<[F64, Index]>:$result);
  let assemblyFormat = "$values `at` $layer attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def FDPP_YieldOp : FDPP_Op<"yield", [Pure, ReturnLike, Terminator,
    ParentOneOf<["WeightOp", "DispatchOp"]>]> {
  let summary = "ends a weight's init region or a dispatch's region";
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let builders = [OpBuilder<(ins), [{ /* no values */ }]>];
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

def FDPP_TransposeOp : FDPP_Op<"transpose", [Pure]> {
  let summary = "a matrix with rows and columns exchanged";
  let description = [{
    Used in the init regions of weights that a graph stores as [K, N].

    ```mlir
    %t = fdpp.transpose %w : tensor<576x192xf32> -> tensor<192x576xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$input);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

#endif // FDPP_DIALECT_FDPP_IR_FDPPWEIGHTOPS_TD
