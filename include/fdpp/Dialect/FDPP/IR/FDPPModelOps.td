// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The model's arithmetic, and what is computed once a step. Leading dimensions
// are [batch, sequence] up to the phase recognised and [T] from the phase
// raised on.

#ifndef FDPP_DIALECT_FDPP_IR_FDPPMODELOPS_TD
#define FDPP_DIALECT_FDPP_IR_FDPPMODELOPS_TD

include "fdpp/Dialect/FDPP/IR/FDPPOpBase.td"

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
    `result[..., :] = scale * table[tokens[...], :]` (Gemma scales its
    embeddings).

    ```mlir
    %x = fdpp.embed %tokens, %table
        : (tensor<?xi32>, tensor<49152x576xbf16>) -> tensor<?x576xf32>
    ```
  }];
  let arguments = (ins FDPP_Shaped:$tokens, FDPP_Shaped:$table,
                       DefaultValuedAttr<F64Attr, "1.0">:$scale,
                       Variadic<FDPP_Shaped>:$outs);
  let builders = [OpBuilder<(ins "TypeRange":$outputs, "Value":$tokens,
      "Value":$table, "ValueRange":$outs), [{
    build($_builder, $_state, outputs, tokens, table, APFloat(1.0), outs);
  }]>];
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

def FDPP_RMSNormOp : FDPP_ComputeOp<"rms_norm", [AttrSizedOperandSegments]> {
  let summary = "root mean square normalisation of the last dimension";
  let description = [{
    `y = x / sqrt(mean(x^2) + eps) * gamma` (Zhang and Sennrich 2019).

    ```mlir
    %h = fdpp.rms_norm %x, %gamma {eps = 1.0e-5 : f64}
        : (tensor<?x576xf32>, tensor<576xf32>) -> tensor<?x576xf32>
    ```
  }];
  let arguments = (ins FDPP_Shaped:$input, FDPP_Shaped:$gamma,
      Optional<F64>:$eps_of_layer, OptionalAttr<F64Attr>:$eps,
      Variadic<FDPP_Shaped>:$outs);
  let builders = [OpBuilder<(ins "TypeRange":$outputs, "Value":$input,
      "Value":$gamma, "const APFloat &":$eps, "ValueRange":$outs), [{
    build($_builder, $_state, outputs, input, gamma, /*eps_of_layer=*/Value(),
          $_builder.getF64FloatAttr(eps.convertToDouble()), outs);
  }]>];
  let assemblyFormat = [{
    $input `,` $gamma (`eps` `(` $eps_of_layer^ `)`)? (`outs` `(` $outs^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
}

def FDPP_LayerNormOp : FDPP_ComputeOp<"layer_norm", [AttrSizedOperandSegments]> {
  let summary = "layer normalisation of the last dimension";
  let description = [{
    `y = (x - mean(x)) / sqrt(var(x) + eps) * gamma + beta` (Ba et al. 2016).
  }];
  let arguments = (ins FDPP_Shaped:$input, FDPP_Shaped:$gamma,
      Optional<FDPP_Shaped>:$beta, Optional<F64>:$eps_of_layer,
      OptionalAttr<F64Attr>:$eps, Variadic<FDPP_Shaped>:$outs);
  let builders = [OpBuilder<(ins "TypeRange":$outputs, "Value":$input,
      "Value":$gamma, "Value":$beta, "const APFloat &":$eps,
      "ValueRange":$outs), [{
    build($_builder, $_state, outputs, input, gamma, beta,
          /*eps_of_layer=*/Value(),
          $_builder.getF64FloatAttr(eps.convertToDouble()), outs);
  }]>];
  let assemblyFormat = [{
    $input `,` $gamma (`beta` `(` $beta^ `)`)? (`eps` `(` $eps_of_layer^ `)`)?
    (`outs` `(` $outs^ `)`)? attr-dict `:` functional-type(operands, results)
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

class FDPP_ScalarOp<string mnemonic, string scalar>
    : FDPP_ComputeOp<mnemonic, [AttrSizedOperandSegments]> {
  let arguments = !con((ins FDPP_Shaped:$input),
                       !dag(ins, [Optional<F64>], [scalar # "_of_layer"]),
                       !dag(ins, [OptionalAttr<F64Attr>], [scalar]),
                       (ins Variadic<FDPP_Shaped>:$outs));
  let builders = [OpBuilder<(ins "TypeRange":$outputs, "Value":$input,
      "const APFloat &":$scalar, "ValueRange":$outs), [{
    build($_builder, $_state, outputs, input, /*of_layer=*/Value(),
          $_builder.getF64FloatAttr(scalar.convertToDouble()), outs);
  }]>];
  let assemblyFormat = "$input (`" # scalar # "` `(` $" # scalar #
      "_of_layer^ `)`)? (`outs` `(` $outs^ `)`)? attr-dict `:` "
      "functional-type(operands, results)";
}

def FDPP_ScaleOp : FDPP_ScalarOp<"scale", "factor"> {
  let summary = "product with a constant";
  let description = [{
    `y = factor * x`. Right behind an embedding it becomes the embedding's scale.
  }];
  let hasCanonicalizeMethod = 1;
}

def FDPP_SoftcapOp : FDPP_ScalarOp<"softcap", "cap"> {
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

#endif // FDPP_DIALECT_FDPP_IR_FDPPMODELOPS_TD
