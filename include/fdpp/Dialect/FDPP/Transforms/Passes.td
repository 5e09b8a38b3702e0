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
// Fused to planned.
//===----------------------------------------------------------------------===//

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
    remark names the shape, the ridge and the limits.
  }];
  let options = [
    Option<"bandwidth", "bandwidth-gbs", "double", "40.0",
           "Read bandwidth of the target in GB/s">,
    Option<"flops", "gflops", "double", "200.0",
           "Multiply-add rate of the target in GFLOP/s">,
    Option<"tileTokens", "tile-tokens", "int64_t", "6",
           "Tokens the widest register tile holds">,
  ];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

def FDPPPackWeights : Pass<"fdpp-pack-weights", "::mlir::ModuleOp"> {
  let summary = "Give each linear's weight the panel layout its kernels read";
  let description = [{
    Sets `layout` on every weight that a fused linear reads: panels of 16 rows in
    the order of the segments, k interleaved by 2 for bf16. One packed copy serves
    every variant and every entry, and a tied embedding is gathered from it. Two
    uses that need different orders are an error.
  }];
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
    epilogues by what they do, equal epilogues one name. Refuses what the printer
    has no text for, so that printing is total.
  }];
}

#endif // FDPP_DIALECT_FDPP_TRANSFORMS_PASSES_TD
