// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The cache and attention over it.

#ifndef FDPP_DIALECT_FDPP_IR_FDPPATTENTIONOPS_TD
#define FDPP_DIALECT_FDPP_IR_FDPPATTENTIONOPS_TD

include "fdpp/Dialect/FDPP/IR/FDPPOpBase.td"

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

def FDPP_SlotPositionsOp : FDPP_Op<"slot_positions", [Pure]> {
  let summary = "positions that are the tokens' slots in the cache";
  let description = [{
    The form a graph gives before it is raised: element [b, i] of the result is
    P + i, with P the length of `past`, a tensor [B, Hkv, P, D], or 0 without.
    `tokens` only gives the shape. In a step these are the step's positions.

    ```mlir
    %p = fdpp.slot_positions %ids past(%k)
        : (tensor<?x?xi64>, tensor<?x2x?x64xf32>) -> tensor<?x?xi64>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$tokens,
                       Optional<AnyRankedTensor>:$past);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $tokens (`past` `(` $past^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
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
// [first_seq, end_seq) whose rows are written. `extra` is what a variant takes
// beside that, `extraFormat` its text.
class FDPP_AttentionLike<string mnemonic, dag extra = (ins),
                         string extraFormat = "">
    : FDPP_ComputeOp<mnemonic, [AttrSizedOperandSegments]> {
  let arguments = !con(
      (ins FDPP_Shaped:$q, FDPP_Shaped:$cache, Index:$layer,
       FDPP_Shaped:$seq_offsets, FDPP_Shaped:$context_lens, FDPP_Shaped:$pages,
       Optional<Index>:$first_seq, Optional<Index>:$end_seq,
       Optional<F64>:$scale_of_layer, Optional<Index>:$window_of_layer,
       Optional<F64>:$softcap_of_layer, OptionalAttr<F64Attr>:$scale,
       DefaultValuedAttr<I64Attr, "0">:$window,
       DefaultValuedAttr<F64Attr, "0.0">:$softcap),
      extra, (ins Variadic<FDPP_Shaped>:$outs));
  let assemblyFormat = [{
    $q `,` $cache `,` $layer `,` $seq_offsets `,` $context_lens `,` $pages
    }] # extraFormat # [{
    (`seqs` `(` $first_seq^ `to` $end_seq `)`)? (`scale` `(` $scale_of_layer^ `)`)?
    (`window` `(` $window_of_layer^ `)`)? (`softcap` `(` $softcap_of_layer^ `)`)?
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

def FDPP_AsyncSoftmaxDecodeAttentionOp : FDPP_AttentionLike<
    "async_softmax_decode_attention",
    (ins FDPP_Shaped:$phi, TypeAttr:$p_type), "`,` `phi` $phi"> {
  let summary = "decode_attention that subtracts a number fixed ahead";
  let description = [{
    Weights are e^(x - phi) with `phi[layer, head]` in the place of the row's
    maximum, rounded to `p_type` (f32, bf16 or f16), so that the parts of a split
    row are plain sums (FlashDecoding++). A row is valid iff the sum D of its
    rounded weights is at least 2^-84 (f16: 1) and finite, and every sum of
    weights and values is finite. The results are the attended rows and, for each
    token and query head, 0 where its row is valid, else 1: such a row means
    nothing until `fdpp.recompute_rows` has replaced it. A head whose phi is NaN
    is computed as `fdpp.decode_attention` does and is always valid, as is a row
    that sees no key, which is 0. docs/numerics.md has the proof. With
    `seqs(%a to %b)` only the rows of those sequences are written, in both.

    ```mlir
    %a:2 = fdpp.async_softmax_decode_attention %q, %cache, %layer, %offsets, %context,
        %pages, phi %phi {p_type = f32, scale = 0.125 : f64}
        : (tensor<?x576xf32>, tensor<30x?x2x3x64x64xbf16>, index, tensor<?xi32>,
           tensor<?xi32>, tensor<?x?xi32>, tensor<30x9xf32>)
        -> (tensor<?x576xf32>, tensor<?x9xi32>)
    ```
  }];
}

def FDPP_AsyncSoftmaxPrefillAttentionOp : FDPP_AttentionLike<
    "async_softmax_prefill_attention",
    (ins FDPP_Shaped:$phi, TypeAttr:$p_type), "`,` `phi` $phi"> {
  let summary = "prefill_attention that subtracts a number fixed ahead";
  let description = [{
    The meaning of `fdpp.async_softmax_decode_attention`, for many query tokens a
    sequence: tiled as `fdpp.prefill_attention` is, without its running maximum.
    A head whose phi is NaN is computed as `fdpp.prefill_attention` does.
    `fdpp.recompute_rows` with `prefill` goes with it.
  }];
}

def FDPP_RecomputeRowsOp : FDPP_AttentionLike<"recompute_rows",
    (ins FDPP_Shaped:$invalid, UnitAttr:$prefill), "`,` `invalid` $invalid"> {
  let summary = "replaces the invalid rows of an asynchronous softmax";
  let description = [{
    Computes the rows that `invalid[token, head]` names as
    `fdpp.decode_attention` does, or with `prefill` as `fdpp.prefill_attention`
    does; all others keep what the destination holds.
    Always in destination style. The engine counts the rows it replaces for their
    layer and head; no value depends on the counts.

    ```mlir
    %r = fdpp.recompute_rows %q, %cache, %layer, %offsets, %context, %pages,
        invalid %a#1 outs(%a#0) {scale = 0.125 : f64}
        : (tensor<?x576xf32>, tensor<30x?x2x3x64x64xbf16>, index, tensor<?xi32>,
           tensor<?xi32>, tensor<?x?xi32>, tensor<?x9xi32>, tensor<?x576xf32>)
        -> tensor<?x576xf32>
    ```
  }];
}

#endif // FDPP_DIALECT_FDPP_IR_FDPPATTENTIONOPS_TD
