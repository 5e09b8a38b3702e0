// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Passes over the fdpp dialect, in the order of the phases.

#ifndef FDPP_DIALECT_FDPP_TRANSFORMS_PASSES_TD
#define FDPP_DIALECT_FDPP_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

//===----------------------------------------------------------------------===//
// Recognised to raised.
//===----------------------------------------------------------------------===//

def FDPPToStep : Pass<"fdpp-to-step", "::mlir::ModuleOp"> {
  let summary = "Raise @main over [batch, sequence] to @step over tokens";
  let description = [{
    Replaces @main by one `@step` whose tokens lie one sequence after another.
    Each `fdpp.masked_attention` becomes `fdpp.kv_append` to the paged cache and
    `fdpp.attention` over it; past and present tensors, the attention mask and
    the batch dimension disappear. Only the rows whose logits are wanted go
    through the operations after the last residual addition.

    Preconditions that the runtime keeps: padding never reaches a step (each
    sequence has exactly its own tokens), and a token's rotary position is its
    place in its sequence. Sets `fdpp.model` and `fdpp.max_context`.
  }];
  let options = [
    Option<"pageTokens", "page-tokens", "int64_t", "64", "Tokens a cache page holds">,
    Option<"maxTokens", "max-tokens", "int64_t", "512", "Most tokens of a step">,
    Option<"maxSequences", "max-sequences", "int64_t", "64", "Most sequences of a step">,
    Option<"maxContext", "max-context", "int64_t", "8192", "Most tokens of a sequence">,
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

//===----------------------------------------------------------------------===//
// Raised to rolled.
//===----------------------------------------------------------------------===//

def FDPPNameWeights : Pass<"fdpp-name-weights", "::mlir::ModuleOp"> {
  let summary = "Name weights after what they are for";
  let description = [{
    Renames every weight by its role in the dataflow: `embed`, `attn_norm`, `wq`,
    `wk`, `wv`, `bq`, `wo`, `ffn_norm`, `gate`, `up`, `down`, `final_norm`,
    `lm_head`, `inv_freq`. Equal roles are numbered in program order (`wq`,
    `wq_1`, ...), so that the number is the layer's. Roles never come from names;
    the name in the graph stays as the weight's location. Tensor-typed constants
    of an entry become inline weights first.
  }];
}

def FDPPRollLayers : Pass<"fdpp-roll-layers", "::mlir::ModuleOp"> {
  let summary = "Turn identical layers into one loop over banks of weights";
  let description = [{
    Cuts the step where everything later depends on everything earlier through
    one activation (the residual stream) and the cache alone, and looks for the
    repetition of equal parts that covers most of it; parts are equal when they
    differ in nothing but weights of one type and constant indices on a line (the
    layer). It becomes an `scf.for` that carries the stream and the cache, its
    weights become banks. Layers that alternate repeat with a longer period, one
    loop iteration for each. The size of the IR no longer depends on the depth.

    Where that leaves layers out, parts may differ in scalars too (eps, the scale,
    window and softcap of attention, the factor of a scale, the cap of a softcap):
    each becomes a `fdpp.layer_constant`. Rotary tables that differ in their
    frequencies become one table before the loop, and each layer reads a range of
    its columns.

    ```mlir
    fdpp.weight @wq bank 30 [...] : tensor<576x576xf32>
    ...
    %r:2 = scf.for %layer = %c0 to %c30 step %c1 iter_args(%x = %x0, %cache = %cache0) ... {
      %w = fdpp.weight_at @wq[%layer] : tensor<576x576xf32>
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

//===----------------------------------------------------------------------===//
// Rolled to fused.
//===----------------------------------------------------------------------===//

def FDPPAssignDtypes : Pass<"fdpp-assign-dtypes", "::mlir::ModuleOp"> {
  let summary = "Choose the types weights, cache and activations are stored in";
  let description = [{
    Matrices of linears, the embedding and the cache take the storage type;
    norms, biases and frequencies become f32. A weight whose type changes gets an
    init region that converts, so a weight shared by two uses stays one stored
    weight. Activations that only linears read are stored in the linears' type:
    they are rounded to it on entry anyway. The residual stream, queries and
    logits stay f32.
  }];
  let options = [
    Option<"dtype", "dtype", "std::string", "\"bf16\"",
           "Storage type: bf16, f16 or f32">,
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def FDPPMergeLinears : Pass<"fdpp-merge-linears", "::mlir::ModuleOp"> {
  let summary = "Merge linears that share an input";
  let description = [{
    Queries, keys and values, or gate and up, become one linear over a weight
    whose init region puts theirs one below another; slices of its columns take
    the place of the results. Order: q, k, v, gate, up. Missing biases are zeros.
    Linears whose weight is read elsewhere too stay apart: it would be stored
    twice.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

def FDPPFusePrologues : Pass<"fdpp-fuse-prologues", "::mlir::ModuleOp"> {
  let summary = "Compute row norms on the way into linears";
  let description = [{
    An `fdpp.rms_norm` or `fdpp.layer_norm` that only linears read becomes the
    `norm` of each of them; the normalised rows are never stored. The linears become `fdpp.fused_linear`
    with one plain segment.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

def FDPPFuseEpilogues : Pass<"fdpp-fuse-epilogues", "::mlir::ModuleOp"> {
  let summary = "Compute what follows a linear where its results are";
  let description = [{
    Every linear becomes an `fdpp.fused_linear`; column slices of its result
    become segments, and each segment takes over what alone reads its result:
    scale, softcap, activation; bias, captured; rotary embedding, as pairs of the
    halves of a head, with captured tables; the gated unit, as pairs of gate and
    up; the append to the cache, as stores of keys and values; and the residual
    sum, in place, as the destination's old element. Where the residual is needed
    later, or is the linear's own input, it is captured instead and the sum gets a
    destination of its own. What is captured is never a destination.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

def FDPPSpecialiseEntries : Pass<"fdpp-specialise-entries", "::mlir::ModuleOp"> {
  let summary = "Make @prefill, @decode and @mixed out of @step";
  let description = [{
    The three differ in their attention: tiled over the queries, split over the
    keys, or the first for the sequences from `decode_seqs` (an argument of the
    role `decode_seqs`) on and the second for those before, writing one
    destination in turn. @decode brings at most `decode-tokens` tokens a
    sequence, so the `fdpp.max` of its arguments shrinks.
  }];
  let options = [
    Option<"decodeTokens", "decode-tokens", "int64_t", "1",
           "Tokens a sequence may bring to @decode">,
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

def FDPPUseAsyncSoftmax : Pass<"fdpp-use-async-softmax", "::mlir::ModuleOp"> {
  let summary = "Subtract a number fixed ahead in attention, where it pays";
  let description = [{
    Replaces `fdpp.decode_attention` by `fdpp.async_softmax_decode_attention` and,
    for the rows whose test fails, `fdpp.recompute_rows`; likewise
    `fdpp.prefill_attention`, with `all` only; phi becomes an argument
    of the entry, with the role "phi" and one number for each layer and query
    head. With `async-softmax=auto` a cost model decides: the exact softmax's
    second pass over the logits against the time of reading K and V, which hides
    it, and of testing the rows, at `context` tokens of one sequence. The remark
    has the figures, whatever was decided.
  }];
  let options = [
    Option<"softmax", "async-softmax", "std::string", "\"auto\"",
           "Where to use it: auto, on (in decode attention), all (also in prefill attention) or off">,
    Option<"pType", "p-type", "std::string", "\"f32\"",
           "What weights are rounded to: f32, bf16 or f16">,
    Option<"context", "context", "int64_t", "1024",
           "Tokens that a sequence is taken to hold, at most the model's">,
    Option<"leastGain", "least-gain", "double", "0.05",
           "The share of the attention's time that it must save">,
    Option<"bandwidth", "bandwidth-gbs", "double", "40.0",
           "Read bandwidth of the target in GB/s">,
    Option<"vectorGops", "vector-gops", "double", "1.6",
           "Operations on 16 lanes in attention, in thousand millions a second">,
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

def FDPPToDestinationStyle : Pass<"fdpp-to-destination-style", "::mlir::ModuleOp"> {
  let summary = "Give every computation a destination";
  let description = [{
    Operations without `outs` write to a `tensor.empty` with the rows of the
    argument their rows come from. Its location names the value (`hidden`,
    `query`, `attended`, `gated`, ...), which later names the buffer.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

//===----------------------------------------------------------------------===//
// Fused to planned.
//===----------------------------------------------------------------------===//

def FDPPBufferize : Pass<"fdpp-bufferize", "::mlir::ModuleOp"> {
  let summary = "One-Shot Bufferize the entries, not the weights";
  let description = [{
    Upstream's analysis over the entries, with function boundaries and identity
    layouts. Init regions of weights keep their tensors: they are evaluated when
    the engine is written. `--empty-tensor-to-alloc-tensor` goes before.
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect",
                           "::mlir::memref::MemRefDialect"];
}

def FDPPDropReturnedArguments : Pass<"fdpp-drop-returned-arguments", "::mlir::ModuleOp"> {
  let summary = "Remove results that are destination arguments";
  let description = [{
    After bufferisation every result of an entry is one of its arguments, written
    in place. A result that is not is an error: the entry would have to allocate.
  }];
}

def FDPPChooseVariants : Pass<"fdpp-choose-variants", "::mlir::ModuleOp"> {
  let summary = "Choose the kernel of each linear by its shape and M";
  let description = [{
    Wraps each `fdpp.fused_linear` in an `fdpp.dispatch` over ranges of M, with a
    `#fdpp.variant` in each region. The limits come from a roofline: below the M
    where a linear's arithmetic takes as long as reading its weights, a variant
    that streams weights; above, one that keeps tokens in registers. A range that
    the entry cannot reach (its T has a smaller `fdpp.max`) is left out. The
    remark names the shape, the ranges with tile and prefetch, and who chose.

    With `tuning`, a table that fdpp-tune measured (docs/tuning.md) decides for
    the shapes that it has, if it applies to the target; a remark says where it
    does not and the roofline decided.
  }];
  let options = [
    Option<"bandwidth", "bandwidth-gbs", "double", "40.0",
           "Read bandwidth of the target in GB/s">,
    Option<"flops", "gflops", "double", "200.0",
           "Multiply-add rate of the target in GFLOP/s">,
    Option<"tileTokens", "tile-tokens", "int64_t", "6",
           "Tokens the widest register tile holds">,
    Option<"tuning", "tuning", "std::string", "", "A tuning table's path">,
    Option<"device", "device", "std::string", "",
           "The target's CPU as VENDOR-FAMILY-MODEL; empty: not known">,
    Option<"kernels", "kernels", "std::string", "",
           "The target's kernels: portable, avx2, avx512, avx512bf16 or amx; empty: "
           "not known">,
    Option<"features", "features", "std::string", "",
           "CPU features that the target's code may use, separated by commas">,
  ];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

def FDPPPackWeights : Pass<"fdpp-pack-weights", "::mlir::ModuleOp"> {
  let summary = "Give each linear's weight the panel layout its kernels read";
  let description = [{
    Sets `layout` on every weight that a fused linear reads: panels of 16 rows in
    the order of the segments. For the CPU k is interleaved by 2 for bf16; for
    CUDA rows of 64 k are the swizzled tiles of its matrix units, and only types of
    16 bits can be packed. One packed copy serves every variant and every entry,
    and a tied embedding is gathered from it. Two uses that need different orders
    are an error.
  }];
  let options = [Option<"target", "target", "std::string", "\"cpu\"",
                        "cpu or cuda">];
}

def FDPPPlaceArena : Pass<"fdpp-place-arena", "::mlir::ModuleOp"> {
  let summary = "Place every buffer of an entry in one arena";
  let description = [{
    Replaces each `memref.alloc` by a view into the argument with role
    "workspace". Lifetimes are taken over view aliases; a buffer used in a loop
    lives to the loop's end unless it is allocated inside. Sizes follow from the
    `fdpp.max` of the arguments. Offsets are multiples of 64, largest buffers
    first. `fdpp.arena` on the entry is the arena's size in bytes.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

//===----------------------------------------------------------------------===//
// Planned to emittable.
//===----------------------------------------------------------------------===//

def FDPPNameForEmission : Pass<"fdpp-name-for-emission", "::mlir::ModuleOp"> {
  let summary = "Decide every name that the emitted source will have";
  let description = [{
    Gives each buffer (`fdpp.name` on its view), weight and epilogue class a
    unique identifier: buffers by the name location of the value they hold,
    epilogues by what they do, equal epilogues one name; likewise the scalars that
    differ between layers and the choices of dispatches. Refuses what the printer
    has no text for, so that printing is total.
  }];
}

#endif // FDPP_DIALECT_FDPP_TRANSFORMS_PASSES_TD
