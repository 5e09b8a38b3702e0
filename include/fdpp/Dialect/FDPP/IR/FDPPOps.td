// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations of the fdpp dialect. Shapes in the texts: T tokens, S sequences,
// P pages a sequence, R rows of logits, H hidden size, D head size.

#ifndef FDPP_DIALECT_FDPP_IR_FDPPOPS_TD
#define FDPP_DIALECT_FDPP_IR_FDPPOPS_TD

include "fdpp/Dialect/FDPP/IR/FDPPBase.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def FDPP_Shaped : AnyTypeOf<[AnyRankedTensor, AnyStridedMemRef],
                            "ranked tensor or memref">;

class FDPP_Op<string mnemonic, list<Trait> traits = []>
    : Op<FDPP_Dialect, mnemonic, traits>;

// A computation in one of the three forms: pure, destination style, planned.
// `arguments` of a subclass end with `Variadic<FDPP_Shaped>:$outs`. Upstream's
// DestinationStyleOpInterface does not fit: it knows no pure form.
class FDPP_ComputeOp<string mnemonic, list<Trait> traits = []>
    : FDPP_Op<mnemonic, !listconcat(traits, [
        DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
        DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                                 ["reifyResultShapes"]>])> {
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Weights.
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// Once a step.
//===----------------------------------------------------------------------===//

def FDPP_TokenSlotsOp : FDPP_ComputeOp<"token_slots"> {
  let summary = "the cache slot each token of the step is stored in";
  let description = [{
    For token t of sequence s, with i its index in the step's part of s:
    position `p = context[s] - (seq_offsets[s+1] - t)` in the sequence, and
    `slots[t] = pages[s][p / page_tokens] * page_tokens + p mod page_tokens`.
    `tokens` only gives T.

    ```mlir
    %slots = fdpp.token_slots %tokens, %offsets, %context, %pages {page_tokens = 64 : i64}
        : (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?xi32>
    ```
  }];
  let arguments = (ins FDPP_Shaped:$tokens, FDPP_Shaped:$seq_offsets,
      FDPP_Shaped:$context_lens, FDPP_Shaped:$pages, I64Attr:$page_tokens,
      Variadic<FDPP_Shaped>:$outs);
  let assemblyFormat = [{
    $tokens `,` $seq_offsets `,` $context_lens `,` $pages (`outs` `(` $outs^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
}

def FDPP_RopeTableOp : FDPP_ComputeOp<"rope_table"> {
  let summary = "cosines and sines of the step's rotary angles";
  let description = [{
    `angle[t][j] = f32(positions[t]) * inv_freq[j]`, rounded to f32 as the models
    are trained with; `cos[t][j] = magnitude * cos(angle)`, likewise `sin`.

    ```mlir
    %cos, %sin = fdpp.rope_table %positions, %inv_freq
        : (tensor<?xi32>, tensor<32xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>)
    ```
  }];
  let arguments = (ins FDPP_Shaped:$positions, FDPP_Shaped:$inv_freq,
      DefaultValuedAttr<F64Attr, "1.0">:$magnitude, Variadic<FDPP_Shaped>:$outs);
  let assemblyFormat = [{
    $positions `,` $inv_freq (`outs` `(` $outs^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
}

//===----------------------------------------------------------------------===//
// The model's arithmetic. Leading dimensions are [batch, sequence] up to the
// phase recognised and [T] from the phase raised on.
//===----------------------------------------------------------------------===//

class FDPP_UnaryOp<string mnemonic, dag attributes = (ins)>
    : FDPP_ComputeOp<mnemonic> {
  let arguments = !con((ins FDPP_Shaped:$input), attributes,
                       (ins Variadic<FDPP_Shaped>:$outs));
  let assemblyFormat = [{
    $input (`outs` `(` $outs^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
}

class FDPP_BinaryOp<string mnemonic, dag attributes = (ins)>
    : FDPP_ComputeOp<mnemonic> {
  let arguments = !con((ins FDPP_Shaped:$lhs, FDPP_Shaped:$rhs), attributes,
                       (ins Variadic<FDPP_Shaped>:$outs));
  let assemblyFormat = [{
    $lhs `,` $rhs (`outs` `(` $outs^ `)`)? attr-dict `:`
    functional-type(operands, results)
  }];
}

def FDPP_EmbedOp : FDPP_ComputeOp<"embed"> {
  let summary = "rows of the embedding table";
  let description = [{
    `result[..., :] = table[tokens[...], :]`.

    ```mlir
    %x = fdpp.embed %tokens, %table
        : (tensor<?xi32>, tensor<49152x576xbf16>) -> tensor<?x576xf32>
    ```
  }];
  let arguments = (ins FDPP_Shaped:$tokens, FDPP_Shaped:$table,
                       Variadic<FDPP_Shaped>:$outs);
  let assemblyFormat = [{
    $tokens `,` $table (`outs` `(` $outs^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
}

def FDPP_LinearOp : FDPP_ComputeOp<"linear", [AttrSizedOperandSegments]> {
  let summary = "x . W^T + b";
  let description = [{
    x is [..., K], W is [N, K], b is [N]. Once W is stored in bf16 or f16, x is
    rounded to that type on entry; products are summed in f32.

    ```mlir
    %y = fdpp.linear %x, %w : (tensor<?x576xf32>, tensor<192x576xbf16>) -> tensor<?x192xf32>
    ```
  }];
  let arguments = (ins FDPP_Shaped:$input, FDPP_Shaped:$weight,
      Optional<FDPP_Shaped>:$bias, Variadic<FDPP_Shaped>:$outs);
  let assemblyFormat = [{
    $input `,` $weight (`bias` `(` $bias^ `)`)? (`outs` `(` $outs^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
}

def FDPP_RMSNormOp : FDPP_ComputeOp<"rms_norm"> {
  let summary = "root mean square normalisation of the last dimension";
  let description = [{
    `y = x / sqrt(mean(x^2) + eps) * gamma` (Zhang and Sennrich 2019).

    ```mlir
    %h = fdpp.rms_norm %x, %gamma {eps = 1.0e-5 : f64}
        : (tensor<?x576xf32>, tensor<576xf32>) -> tensor<?x576xf32>
    ```
  }];
  let arguments = (ins FDPP_Shaped:$input, FDPP_Shaped:$gamma, F64Attr:$eps,
                       Variadic<FDPP_Shaped>:$outs);
  let assemblyFormat = [{
    $input `,` $gamma (`outs` `(` $outs^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
}

def FDPP_LayerNormOp : FDPP_ComputeOp<"layer_norm", [AttrSizedOperandSegments]> {
  let summary = "layer normalisation of the last dimension";
  let description = [{
    `y = (x - mean(x)) / sqrt(var(x) + eps) * gamma + beta` (Ba et al. 2016).
  }];
  let arguments = (ins FDPP_Shaped:$input, FDPP_Shaped:$gamma,
      Optional<FDPP_Shaped>:$beta, F64Attr:$eps, Variadic<FDPP_Shaped>:$outs);
  let assemblyFormat = [{
    $input `,` $gamma (`beta` `(` $beta^ `)`)? (`outs` `(` $outs^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
}

def FDPP_RopeOp : FDPP_ComputeOp<"rope"> {
  let summary = "rotary position embedding of every head";
  let description = [{
    x is [..., heads * head_dim], cos and sin are [..., rotary_dim / 2]. Within
    each head the pair (a, b) becomes (a cos - b sin, b cos + a sin); the pair is
    (j, j + rotary_dim / 2), or (2j, 2j + 1) with `interleaved`. Elements from
    `rotary_dim` on are copied (Su et al. 2021).

    ```mlir
    %r = fdpp.rope %q, %cos, %sin {head_dim = 64 : i64}
        : (tensor<?x576xf32>, tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x576xf32>
    ```
  }];
  let arguments = (ins FDPP_Shaped:$input, FDPP_Shaped:$cos, FDPP_Shaped:$sin,
      I64Attr:$head_dim, UnitAttr:$interleaved, Variadic<FDPP_Shaped>:$outs);
  let assemblyFormat = [{
    $input `,` $cos `,` $sin (`outs` `(` $outs^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
}

def FDPP_GluOp : FDPP_BinaryOp<"glu",
    (ins FDPP_ActivationAttr:$activation)> {
  let summary = "activation(gate) * up";
  let description = [{
    The gated unit of Llama's feed-forward part; lhs is the gate (Shazeer 2020).

    ```mlir
    %g = fdpp.glu %gate, %up {activation = #fdpp.activation<silu>}
        : (tensor<?x1536xf32>, tensor<?x1536xf32>) -> tensor<?x1536xf32>
    ```
  }];
}

def FDPP_AddOp : FDPP_BinaryOp<"add"> {
  let summary = "elementwise sum";
  let description = [{ Both operands and the result have the same shape. }];
}

def FDPP_ActivationOp : FDPP_UnaryOp<"activation",
    (ins FDPP_ActivationAttr:$activation)> {
  let summary = "an activation function, elementwise";
  let description = [{ `gelu_tanh` is the tanh approximation, `gelu` the exact one. }];
}

def FDPP_ScaleOp : FDPP_UnaryOp<"scale", (ins F64Attr:$factor)> {
  let summary = "product with a constant";
  let description = [{ `y = factor * x`. }];
}

def FDPP_SoftcapOp : FDPP_UnaryOp<"softcap", (ins F64Attr:$cap)> {
  let summary = "cap * tanh(x / cap)";
  let description = [{ Bounds logits smoothly (Gemma 2). }];
}

def FDPP_SelectRowsOp : FDPP_ComputeOp<"select_rows"> {
  let summary = "the rows of a matrix that an index list names";
  let description = [{
    `y[r, :] = x[rows[r], :]`: only these tokens' logits are computed.

    ```mlir
    %s = fdpp.select_rows %x, %rows : (tensor<?x576xf32>, tensor<?xi32>) -> tensor<?x576xf32>
    ```
  }];
  let arguments = (ins FDPP_Shaped:$input, FDPP_Shaped:$rows,
                       Variadic<FDPP_Shaped>:$outs);
  let assemblyFormat = [{
    $input `,` $rows (`outs` `(` $outs^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
}

//===----------------------------------------------------------------------===//
// Cache and attention.
//===----------------------------------------------------------------------===//

def FDPP_MaskedAttentionOp : FDPP_Op<"masked_attention",
    [Pure, AttrSizedOperandSegments]> {
  let summary = "attention of a batch over a cache kept by concatenation";
  let description = [{
    The form a graph gives before it is raised. q is [B, Q, Hq * D], k and v are
    [B, Q, Hkv * D], `past` is the pair of tensors [B, Hkv, P, D] that the new
    keys and values are appended to; the appended tensors are the results
    `present`. `padding` is an attention mask [B, P + Q], not zero where the key
    exists. Query i stands at slot P + i. Query head h reads KV head
    h / (Hq / Hkv).
  }];
  let arguments = (ins AnyRankedTensor:$q, AnyRankedTensor:$k,
      AnyRankedTensor:$v, Variadic<AnyRankedTensor>:$past,
      Optional<AnyRankedTensor>:$padding, FDPP_MaskAttr:$mask, F64Attr:$scale,
      I64Attr:$kv_heads, I64Attr:$head_dim,
      DefaultValuedAttr<F64Attr, "0.0">:$softcap);
  let results = (outs AnyRankedTensor:$output, Variadic<AnyRankedTensor>:$present);
  let assemblyFormat = [{
    $q `,` $k `,` $v (`past` `(` $past^ `)`)? (`padding` `(` $padding^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def FDPP_KVAppendOp : FDPP_ComputeOp<"kv_append"> {
  let summary = "stores the step's keys and values in the paged cache";
  let description = [{
    For every token t: `cache[layer, s / page_tokens, 0, h, s mod page_tokens, :]
    = k[t, h, :]` with s = slots[t], and plane 1 likewise with v. Always in
    destination style: the cache is the only `outs`.

    ```mlir
    %c1 = fdpp.kv_append %k, %v, %slots, %layer outs(%c0)
        : (tensor<?x192xf32>, tensor<?x192xf32>, tensor<?xi32>, index,
           tensor<30x?x2x3x64x64xbf16>) -> tensor<30x?x2x3x64x64xbf16>
    ```
  }];
  let arguments = (ins FDPP_Shaped:$key, FDPP_Shaped:$value, FDPP_Shaped:$slots,
                       Index:$layer, Variadic<FDPP_Shaped>:$outs);
  let assemblyFormat = [{
    $key `,` $value `,` $slots `,` $layer `outs` `(` $outs `)`
    attr-dict `:` functional-type(operands, results)
  }];
}

// q, cache, layer, seq_offsets, context, pages; the optional range of sequences
// [first_seq, end_seq) whose rows are written.
class FDPP_AttentionLike<string mnemonic>
    : FDPP_ComputeOp<mnemonic, [AttrSizedOperandSegments]> {
  let arguments = (ins FDPP_Shaped:$q, FDPP_Shaped:$cache, Index:$layer,
      FDPP_Shaped:$seq_offsets, FDPP_Shaped:$context_lens, FDPP_Shaped:$pages,
      Optional<Index>:$first_seq, Optional<Index>:$end_seq,
      Optional<FDPP_Shaped>:$scratch, F64Attr:$scale,
      DefaultValuedAttr<I64Attr, "0">:$window,
      DefaultValuedAttr<F64Attr, "0.0">:$softcap, Variadic<FDPP_Shaped>:$outs);
  let assemblyFormat = [{
    $q `,` $cache `,` $layer `,` $seq_offsets `,` $context_lens `,` $pages
    (`seqs` `(` $first_seq^ `to` $end_seq `)`)? (`scratch` `(` $scratch^ `)`)?
    (`outs` `(` $outs^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
}

def FDPP_AttentionOp : FDPP_AttentionLike<"attention"> {
  let summary = "causal attention of the step's tokens over the paged cache";
  let description = [{
    The token at position p of sequence s sees the cache slots 0..p of s, and
    only the last `window` of them when `window` > 0. Scores are `scale * q.k`,
    through `softcap` when > 0; softmax in f32. A query that sees no key gives 0.
    Reads the appended cache, so it also sees the step's own tokens. q is
    [T, Hq * D]; the cache is [L, pages, 2, Hkv, page_tokens, D].

    ```mlir
    %a = fdpp.attention %q, %cache, %layer, %offsets, %context, %pages {scale = 0.125 : f64}
        : (tensor<?x576xf32>, tensor<30x?x2x3x64x64xbf16>, index, tensor<?xi32>,
           tensor<?xi32>, tensor<?x?xi32>) -> tensor<?x576xf32>
    ```
  }];
}

def FDPP_PrefillAttentionOp : FDPP_AttentionLike<"prefill_attention"> {
  let summary = "attention for many query tokens a sequence";
  let description = [{
    The meaning of `fdpp.attention`; tiled over queries and keys with an online
    softmax. With `seqs(%a to %b)` only the rows of those sequences are written.
  }];
}

def FDPP_DecodeAttentionOp : FDPP_AttentionLike<"decode_attention"> {
  let summary = "attention for few query tokens a sequence, split over the keys";
  let description = [{
    The meaning of `fdpp.attention`; the keys are split over all cores, and the
    parts combined by their log-sum-exp (Flash-Decoding). With `seqs(%a to %b)`
    only the rows of those sequences are written.
  }];
}

//===----------------------------------------------------------------------===//
// Fused linears.
//===----------------------------------------------------------------------===//

def FDPP_FusedLinearOp : FDPP_ComputeOp<"fused_linear",
    [AttrSizedOperandSegments, RecursiveMemoryEffects, SingleBlock]> {
  let summary = "a linear with a row-norm prologue and epilogues by segment";
  let description = [{
    Computes `acc = round(norm(x)) . W^T` in f32, round being the rounding to the
    weight's element type, and runs the epilogue region of the segment each
    column belongs to. `gamma` and `eps` give the RMS norm of the rows; without
    them x is taken as it is.

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
      Optional<FDPP_Shaped>:$gamma, Optional<FDPP_Shaped>:$scratch,
      TypedArrayAttrBase<FDPP_SegmentAttr, "segments">:$segments,
      OptionalAttr<F64Attr>:$eps, OptionalAttr<FDPP_VariantAttr>:$variant,
      Variadic<FDPP_Shaped>:$outs);
  let regions = (region VariadicRegion<SizedRegion<1>>:$epilogues);
  let assemblyFormat = [{
    $input `,` $weight (`norm` `(` $gamma^ `)`)? (`scratch` `(` $scratch^ `)`)?
    (`variant` $variant^)? `outs` `(` $outs `)` `segments` $segments
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

#endif // FDPP_DIALECT_FDPP_IR_FDPPOPS_TD
