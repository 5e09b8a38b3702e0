// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The fdpp dialect: what a Llama-family step means, and how it is computed.

#ifndef FDPP_DIALECT_FDPP_IR_FDPP_H
#define FDPP_DIALECT_FDPP_IR_FDPP_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "fdpp/Dialect/FDPP/IR/FDPPDialect.h.inc"
#include "fdpp/Dialect/FDPP/IR/FDPPEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "fdpp/Dialect/FDPP/IR/FDPPAttributes.h.inc"
#include "fdpp/Dialect/FDPP/IR/FDPPInterfaces.h.inc"
#define GET_OP_CLASSES
#include "fdpp/Dialect/FDPP/IR/FDPPOps.h.inc"

namespace mlir::fdpp {

/// Attribute names with a meaning across passes.
///
/// `fdpp.role` on an entry's argument says which field of the step it is:
/// "tokens", "positions", "seq_offsets", "context", "pages", "rows", "cache",
/// "logits", "decode_seqs", "phi". `fdpp.max` is the largest leading dimension.
inline constexpr llvm::StringLiteral kRoleAttr = "fdpp.role";
inline constexpr llvm::StringLiteral kMaxAttr = "fdpp.max";
/// `fdpp.entry` on a function: "step", "prefill", "decode" or "mixed".
inline constexpr llvm::StringLiteral kEntryAttr = "fdpp.entry";
/// `fdpp.model` on the module.
inline constexpr llvm::StringLiteral kModelAttr = "fdpp.model";

/// The types of a compute op's values: its results before bufferisation, its
/// destinations after.
template <typename OpTy> TypeRange getOutputTypes(OpTy op) {
  return op.getOutputs().empty() ? TypeRange(op.getOuts().getTypes())
                                 : TypeRange(op.getOutputs().getTypes());
}

/// Rows of a bank or weight in the order in which panels store them, -1 for
/// padding. Without segments rows stand in their own order.
SmallVector<int64_t> getPanelRows(PanelsAttr layout, int64_t rows);

} // namespace mlir::fdpp

#endif // FDPP_DIALECT_FDPP_IR_FDPP_H
