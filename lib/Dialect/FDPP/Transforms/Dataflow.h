// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Questions about the step's dataflow that several passes ask: what a weight or
// a value is for, how many rows a value has, what can move up.

#ifndef FDPP_LIB_DIALECT_FDPP_TRANSFORMS_DATAFLOW_H
#define FDPP_LIB_DIALECT_FDPP_TRANSFORMS_DATAFLOW_H

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

namespace mlir::fdpp {

/// What a reader would call a linear: "wq", "wk", "wv", "wo", "gate", "up",
/// "down", "lm_head", or "linear" where its uses say nothing. Roles come from
/// dataflow alone, never from names.
StringRef linearRole(LinearOp op);

/// What a reader would call the weight that `at` reads: the role of the linear
/// it belongs to ("bq" for the bias of "wq"), "embed", "attn_norm", "ffn_norm",
/// "final_norm", "inv_freq", ...
std::string weightRole(WeightAtOp at);

/// What a reader would call the buffer of a value: "hidden", "query",
/// "attended", "gated", "cos", ...
StringRef bufferName(OpResult value);

/// The number of rows of a token-major value, as a value at the start of the
/// function: dimension 0 of the argument the rows come from. Traced through
/// operations and loops that keep rows; `value`'s own dimension where the trace
/// ends.
Value rowCount(OpBuilder &builder, Value value);

/// A `tensor.empty` of a value's type and rows, named after it.
Value createDestination(OpBuilder &builder, OpResult value);

/// Moves what computes `value` before `point`, in the same block, where that is
/// needed and possible: only operations without side effects and destinations.
/// On failure nothing has moved.
LogicalResult hoistBefore(Value value, Operation *point);

/// The argument of `func` with this `fdpp.role`, or null.
BlockArgument argumentWithRole(func::FuncOp func, StringRef role);

/// The functions of the module that are entries.
SmallVector<func::FuncOp> entriesOf(Operation *module);

} // namespace mlir::fdpp

#endif // FDPP_LIB_DIALECT_FDPP_TRANSFORMS_DATAFLOW_H
