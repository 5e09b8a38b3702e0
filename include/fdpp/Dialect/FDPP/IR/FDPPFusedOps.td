// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Fused linears, what their epilogues hold, and the dispatch around them.

#ifndef FDPP_DIALECT_FDPP_IR_FDPPFUSEDOPS_TD
#define FDPP_DIALECT_FDPP_IR_FDPPFUSEDOPS_TD

include "fdpp/Dialect/FDPP/IR/FDPPOpBase.td"

def FDPP_FusedLinearOp : FDPP_ComputeOp<"fused_linear",
    [AttrSizedOperandSegments, RecursiveMemoryEffects, SingleBlock]> {
  let summary = "a linear with a row-norm prologue and epilogues by segment";
  let description = [{
    Computes `acc = round(norm(x)) . W^T` in f32, round being the rounding to the
    weight's element type, and runs the epilogue region of the segment each
    column belongs to. `gamma` and `eps` give the RMS norm of the rows, with
    `centered` their layer norm, to which `beta` is added; without a gamma x is
    taken as it is.

    A region has the arguments `(value, partner, row, column, old)`: f32, f32,
    index, index, f32. `column` counts within the segment (of the pair's first
    half when there is a partner). `old` is the element of the destination that
    `fdpp.store` will overwrite. Values captured from outside are read-only and
    never a destination of the op. The region ends with `fdpp.store` or
    `fdpp.kv_store`.

    ```mlir
    %y = fdpp.fused_linear %x, %w norm(%gamma) outs(%d)
        segments [#fdpp.segment<columns = 3072, partner = gate_up, dest = 0>] ({
    ^bb0(%gate: f32, %up: f32, %row: index, %col: index, %old: f32):
      %a = fdpp.scalar_activation %gate {activation = #fdpp.activation<silu>} : f32
      %p = arith.mulf %a, %up : f32
      fdpp.store %p : f32
    }) {eps = 1.0e-5 : f64} : (tensor<?x576xf32>, tensor<3072x576xbf16>, tensor<576xf32>,
        tensor<?x1536xbf16>) -> tensor<?x1536xbf16>
    ```
  }];
  let arguments = (ins FDPP_Shaped:$input, FDPP_Shaped:$weight,
      Optional<FDPP_Shaped>:$gamma, Optional<FDPP_Shaped>:$beta,
      Optional<F64>:$eps_of_layer,
      TypedArrayAttrBase<FDPP_SegmentAttr, "segments">:$segments,
      OptionalAttr<F64Attr>:$eps, UnitAttr:$centered,
      OptionalAttr<FDPP_VariantAttr>:$variant,
      Variadic<FDPP_Shaped>:$outs);
  let regions = (region VariadicRegion<SizedRegion<1>>:$epilogues);
  let assemblyFormat = [{
    $input `,` $weight (`norm` `(` $gamma^ `)`)? (`beta` `(` $beta^ `)`)?
    (`eps` `(` $eps_of_layer^ `)`)? (`variant` $variant^)? `outs` `(` $outs `)` `segments` $segments
    `(` $epilogues `)` attr-dict `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = [{
    /// The segment at index `i`.
    ::mlir::fdpp::SegmentAttr getSegment(unsigned i) {
      return ::mlir::cast<::mlir::fdpp::SegmentAttr>(getSegments()[i]);
    }
  }];
}

def FDPP_StoreOp : FDPP_Op<"store", [Terminator, Pure, ParentOneOf<["FusedLinearOp"]>]> {
  let summary = "stores an epilogue's value in its segment's destination";
  let description = [{
    One value, or with partner `half` two: for the column and for its partner.
    Row and column are those of the region's arguments.
  }];
  let arguments = (ins Variadic<F32>:$values);
  let assemblyFormat = "$values attr-dict `:` type($values)";
}

def FDPP_KVStoreOp : FDPP_Op<"kv_store", [Terminator, Pure, ParentOneOf<["FusedLinearOp"]>]> {
  let summary = "stores an epilogue's value in the paged cache";
  let description = [{
    The segment's destination is the cache. Column c of the segment belongs to
    KV head `c / D` and dimension `c mod D`. Two values with partner `half`.
  }];
  let arguments = (ins FDPP_CachePlaneAttr:$plane, I32:$slot, Index:$layer,
                       Variadic<F32>:$values);
  let assemblyFormat = [{
    $plane `slot` $slot `layer` $layer `,` $values attr-dict `:` type($values)
  }];
}

def FDPP_ScalarActivationOp : FDPP_Op<"scalar_activation",
    [Pure, SameOperandsAndResultType]> {
  let summary = "an activation function of one element";
  let description = [{ The scalar form of `fdpp.activation`, for epilogues. }];
  let arguments = (ins F32:$input, FDPP_ActivationAttr:$activation);
  let results = (outs F32:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
}

def FDPP_DispatchOp : FDPP_Op<"dispatch", [RecursiveMemoryEffects,
    SingleBlockImplicitTerminator<"YieldOp">, NoRegionArguments]> {
  let summary = "heuristic dataflow: one region per range of M";
  let description = [{
    Runs the first region whose limit is at least `rows`; the last one has no
    limit. Every region computes the same, with another kernel variant.

    ```mlir
    fdpp.dispatch %rows limits [1, 16] ({...}, {...}, {...})
    ```
  }];
  let arguments = (ins Index:$rows, DenseI64ArrayAttr:$limits);
  let regions = (region VariadicRegion<SizedRegion<1>>:$variants);
  let assemblyFormat = "$rows `limits` $limits `(` $variants `)` attr-dict";
  let hasVerifier = 1;
}

#endif // FDPP_DIALECT_FDPP_IR_FDPPFUSEDOPS_TD
