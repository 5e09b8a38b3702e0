// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The fdpp dialect, its enumerations and attributes.

#ifndef FDPP_DIALECT_FDPP_IR_FDPPBASE_TD
#define FDPP_DIALECT_FDPP_IR_FDPPBASE_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

def FDPP_Dialect : Dialect {
  let name = "fdpp";
  let cppNamespace = "::mlir::fdpp";
  let summary = "Llama-family inference, from meaning to kernels";
  let description = [{
    The operations of one inference step over tokens of several sequences, laid
    out token-major: `T` tokens, one sequence after another. Before
    bufferisation every operation is pure on builtin tensors. Most operations
    have three forms with the same meaning:

    - *pure*: results only, `fdpp.add %a, %b : (A, B) -> R`;
    - *destination style*: `outs(%d)` names the tensor each result overwrites;
    - *planned*: operands and `outs` are memrefs and there are no results.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
}

class FDPP_Attr<string name, string attrMnemonic> : AttrDef<FDPP_Dialect, name> {
  let mnemonic = attrMnemonic;
}

//===----------------------------------------------------------------------===//
// Where the elements of a weight come from.
//===----------------------------------------------------------------------===//

def FDPP_FileAttr : FDPP_Attr<"File", "file"> {
  let summary = "a range of a file beside the model";
  let description = [{
    `path` is relative to the folder of the imported model; `offset` and `bytes`
    count bytes. The elements are little-endian and row-major.
  }];
  let parameters = (ins "::mlir::StringAttr":$path, "int64_t":$offset,
                        "int64_t":$bytes);
  let assemblyFormat = "`<` $path `,` $offset `,` $bytes `>`";
}

def FDPP_SeededAttr : FDPP_Attr<"Seeded", "seeded"> {
  let summary = "synthetic elements from a counter-based generator";
  let description = [{
    Stands for weights that an export without weights leaves out. Element `i` is
    a function of the seed and `i` alone.
  }];
  let parameters = (ins "uint64_t":$seed);
  let assemblyFormat = "`<` $seed `>`";
}

//===----------------------------------------------------------------------===//
// Enumerations.
//===----------------------------------------------------------------------===//

class FDPP_Enum<string name, string sum, list<I32EnumAttrCase> cases>
    : I32EnumAttr<name, sum, cases> {
  let cppNamespace = "::mlir::fdpp";
  let genSpecializedAttr = 0;
}

def FDPP_ActivationKind : FDPP_Enum<"ActivationKind", "activation function", [
    I32EnumAttrCase<"SiLU", 0, "silu">, I32EnumAttrCase<"GELU", 1, "gelu">,
    I32EnumAttrCase<"GELUTanh", 2, "gelu_tanh">,
    I32EnumAttrCase<"ReLU", 3, "relu">, I32EnumAttrCase<"Tanh", 4, "tanh">,
    I32EnumAttrCase<"Sigmoid", 5, "sigmoid">]>;
def FDPP_ActivationAttr : EnumAttr<FDPP_Dialect, FDPP_ActivationKind, "activation"> {
  let assemblyFormat = "`<` $value `>`";
}

def FDPP_PartnerKind : FDPP_Enum<"PartnerKind",
    "which second column an epilogue sees beside its own", [
    I32EnumAttrCase<"None", 0, "none">, I32EnumAttrCase<"Half", 1, "half">,
    I32EnumAttrCase<"GateUp", 2, "gate_up">]>;

def FDPP_PanelOrder : FDPP_Enum<"PanelOrder",
    "how rows and their partners lie in panels", [
    I32EnumAttrCase<"Rows", 0, "rows">, I32EnumAttrCase<"Tiles", 1, "tiles">]>;

def FDPP_CachePlane : FDPP_Enum<"CachePlane", "half of a cache page", [
    I32EnumAttrCase<"Key", 0, "key">, I32EnumAttrCase<"Value", 1, "value">]>;
def FDPP_CachePlaneAttr : EnumAttr<FDPP_Dialect, FDPP_CachePlane, "plane"> {
  let assemblyFormat = "`<` $value `>`";
}

def FDPP_VariantKind : FDPP_Enum<"VariantKind", "family of a linear's kernel", [
    I32EnumAttrCase<"Gemv", 0, "gemv">, I32EnumAttrCase<"Flat", 1, "flat">,
    I32EnumAttrCase<"Large", 2, "large">]>;

//===----------------------------------------------------------------------===//
// Attributes of fused and planned operations.
//===----------------------------------------------------------------------===//

def FDPP_SegmentAttr : FDPP_Attr<"Segment", "segment"> {
  let summary = "a range of a fused linear's columns with one epilogue";
  let description = [{
    `columns` source columns (rows of the weight) belong to the segment, in
    order. `partner` says which second column the epilogue region sees:

    - `none`: no second column;
    - `half`: within each `group` columns (a head), column `c` of the first half
      comes with column `c + group / 2`; the region runs once per pair;
    - `gate_up`: column `c` of the first `columns / 2` (gate) comes with column
      `c + columns / 2` (up); the region runs once per pair.

    `dest` is the index of the destination the region stores to.
  }];
  let parameters = (ins "int64_t":$columns,
      DefaultValuedParameter<"::mlir::fdpp::PartnerKind",
                             "::mlir::fdpp::PartnerKind::None">:$partner,
      DefaultValuedParameter<"int64_t", "0">:$group, "int64_t":$dest);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def FDPP_PanelsAttr : FDPP_Attr<"Panels", "panels"> {
  let summary = "weight layout: panels of rows, k interleaved";
  let description = [{
    `[rows / panel][K / interleave][panel][interleave]`, rows and K padded with
    zeros. Rows are ordered segment by segment; a segment with a partner
    alternates panels of values and panels of their partners, each padded to
    whole panels (`kernels/common/packing.h` holds the order). `as tiles`
    both share a panel, half of it each, and the 16-byte chunk c of row
    r of a panel lies at c xor (r mod 8): the 128-byte swizzle of a matrix
    unit's tile.
  }];
  let parameters = (ins "int64_t":$panel, "int64_t":$interleave,
      DefaultValuedParameter<"::mlir::fdpp::PanelOrder",
                             "::mlir::fdpp::PanelOrder::Rows">:$order,
      OptionalArrayRefParameter<"::mlir::fdpp::SegmentAttr">:$segments);
  let assemblyFormat =
      "`<` struct($panel, $interleave) (`as` $order^)? (`,` `[` $segments^ `]`)? `>`";
}

def FDPP_VariantAttr : FDPP_Attr<"Variant", "variant"> {
  let summary = "kernel variant of a linear";
  let description = [{
    `kind` is the family, `panels` and `tokens` the register tile (panels of 16
    rows by tokens) and `prefetch` the bytes of weights on their way to a tile
    that is alone, 0 for none.
  }];
  let parameters = (ins "::mlir::fdpp::VariantKind":$kind, "int64_t":$panels,
                        "int64_t":$tokens, "int64_t":$prefetch);
  let assemblyFormat = "`<` $kind `,` struct($panels, $tokens, $prefetch) `>`";
}

def FDPP_MaskAttr : FDPP_Attr<"Mask", "mask"> {
  let summary = "which keys a query sees, as one predicate";
  let description = [{
    With `causal`, a query at slot `q` sees keys at slots `<= q`. With `window`
    > 0 it sees only keys at slots `> q - window`. With `padding`, only keys
    whose attention-mask element is not zero.
  }];
  let parameters = (ins "bool":$causal,
                        DefaultValuedParameter<"int64_t", "0">:$window,
                        DefaultValuedParameter<"bool", "false">:$padding);
  let assemblyFormat = "`<` struct(params) `>`";
}

def FDPP_ModelAttr : FDPP_Attr<"Model", "model"> {
  let summary = "what the graph is, recorded for reports and the engine";
  let description = [{
    Attached to the module as `fdpp.model` when the step is raised. All sizes
    follow from the graph itself; `pageTokens` is chosen by the compiler.
  }];
  let parameters = (ins "int64_t":$layers, "int64_t":$hidden,
      "int64_t":$queryHeads, "int64_t":$kvHeads, "int64_t":$headDim,
      "int64_t":$vocab, "int64_t":$pageTokens);
  let assemblyFormat = "`<` struct(params) `>`";
}

#endif // FDPP_DIALECT_FDPP_IR_FDPPBASE_TD
