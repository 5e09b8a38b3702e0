// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Fused linears, what their epilogues hold, and the dispatch around them.

#ifndef FDPP_DIALECT_FDPP_IR_FDPPFUSEDOPS_TD
#define FDPP_DIALECT_FDPP_IR_FDPPFUSEDOPS_TD

include "fdpp/Dialect/FDPP/IR/FDPPOpBase.td"

def FDPP_FusedLinearOp : FDPP_ComputeOp<"fused_linear",
    [AttrSizedOperandSegments, RecursiveMemoryEffects, SingleBlock,
     FDPP_EpilogueInterface]> {
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
}

//===----------------------------------------------------------------------===//
// The same by a library.
//===----------------------------------------------------------------------===//

def FDPP_PrologueOp : FDPP_ComputeOp<"prologue", [AttrSizedOperandSegments]> {
  let summary = "rows on their way into a library's GEMM";
  let description = [{
    What `fdpp.fused_linear` does to its rows before it multiplies them: the
    norm, if there is one, and the rounding to the weight's element type. The
    result is f32 all the same, since that is what the library reads.

    ```mlir
    fdpp.prologue %x norm(%gamma) round bf16 outs(%rows) {eps = 1.0e-5 : f64}
        : (memref<?x576xf32>, memref<576xf32>, memref<?x576xf32>) -> ()
    ```
  }];
  let arguments = (ins FDPP_Shaped:$input,
      Optional<FDPP_Shaped>:$gamma, Optional<FDPP_Shaped>:$beta,
      Optional<F64>:$eps_of_layer, OptionalAttr<F64Attr>:$eps,
      UnitAttr:$centered, TypeAttr:$rounding, Variadic<FDPP_Shaped>:$outs);
  let assemblyFormat = [{
    $input (`norm` `(` $gamma^ `)`)? (`beta` `(` $beta^ `)`)?
    (`eps` `(` $eps_of_layer^ `)`)? `round` $rounding `outs` `(` $outs `)`
    attr-dict `:` functional-type(operands, results)
  }];
}

def FDPP_LibraryGemmOp : FDPP_ComputeOp<"library_gemm"> {
  let summary = "rows times a packed weight, by a BLAS library";
  let description = [{
    `sums = rows . W^T` in f32, by the sgemm of a library that the runtime
    opens. A library reads no packed weights: the kernel unpacks them, a block
    at a time. Columns of the sums stand in the order of the weight's layout and
    include its padding, as far as memory goes; here they are those of W.

    ```mlir
    fdpp.library_gemm %rows, %w outs(%sums)
        : (memref<?x576xf32>, memref<3072x576xbf16>, memref<?x3072xf32>) -> ()
    ```
  }];
  let arguments = (ins FDPP_Shaped:$input, FDPP_Shaped:$weight,
                       Variadic<FDPP_Shaped>:$outs);
  let assemblyFormat = [{
    $input `,` $weight `outs` `(` $outs `)` attr-dict `:`
    functional-type(operands, results)
  }];
}

def FDPP_EpilogueOp : FDPP_ComputeOp<"epilogue",
    [RecursiveMemoryEffects, SingleBlock, FDPP_EpilogueInterface]> {
  let summary = "the epilogues of a linear over sums that a library computed";
  let description = [{
    Segments, regions and destinations are those of `fdpp.fused_linear`, `value`
    and `partner` come from the sums.

    ```mlir
    fdpp.epilogue %sums outs(%d) segments [#fdpp.segment<columns = 576, dest = 0>] ({
    ^bb0(%value: f32, %partner: f32, %row: index, %col: index, %old: f32):
      fdpp.store %value : f32
    }) : (memref<?x576xf32>, memref<?x576xbf16>) -> ()
    ```
  }];
  let arguments = (ins FDPP_Shaped:$sums,
      TypedArrayAttrBase<FDPP_SegmentAttr, "segments">:$segments,
      Variadic<FDPP_Shaped>:$outs);
  let regions = (region VariadicRegion<SizedRegion<1>>:$epilogues);
  let assemblyFormat = [{
    $sums `outs` `(` $outs `)` `segments` $segments `(` $epilogues `)` attr-dict
    `:` functional-type(operands, results)
  }];
}

def FDPP_StoreOp : FDPP_Op<"store", [Terminator, Pure, ParentOneOf<["FusedLinearOp", "EpilogueOp"]>]> {
  let summary = "stores an epilogue's value in its segment's destination";
  let description = [{
    One value, or with partner `half` two: for the column and for its partner.
    Row and column are those of the region's arguments.
  }];
  let arguments = (ins Variadic<F32>:$values);
  let assemblyFormat = "$values attr-dict `:` type($values)";
}

def FDPP_KVStoreOp : FDPP_Op<"kv_store", [Terminator, Pure, ParentOneOf<["FusedLinearOp", "EpilogueOp"]>]> {
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
    DeclareOpInterfaceMethods<RegionBranchOpInterface>,
    SingleBlockImplicitTerminator<"YieldOp">, NoRegionArguments]> {
  let summary = "heuristic dataflow: one region per range of M";
  let description = [{
    Runs the first region whose limit is at least `rows`; the last one has no
    limit. Every region computes the same: it holds a `fdpp.fused_linear` with
    its variant or, where a library computes, `fdpp.prologue`,
    `fdpp.library_gemm` and `fdpp.epilogue`.

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
