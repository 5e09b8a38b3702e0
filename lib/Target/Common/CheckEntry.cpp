// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "CheckEntry.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::fdpp;

/// True for buffers that have a text: arguments, places in the workspace and
/// weights, or parts of these.
static bool isPrintable(Value buffer) {
  Operation *def = buffer.getDefiningOp();
  return !def || isa<memref::ViewOp, memref::SubViewOp, WeightAtOp>(def);
}

static LogicalResult checkOp(Operation *op) {
  if (auto view = dyn_cast<memref::ViewOp>(op); view && view.getSizes().empty())
    return op->emitError("has a fixed number of rows; the first extent of a "
                         "place in the workspace is counted by the step");
  if (auto embed = dyn_cast<EmbedOp>(op);
      embed && !embed.getTable().getDefiningOp<WeightAtOp>())
    return op->emitError("has a table that is no weight");
  for (Value operand : op->getOperands())
    if (isa<BaseMemRefType>(operand.getType()) && !isPrintable(operand))
      return op->emitError("reads a buffer that is no argument, no place in "
                           "the workspace and no weight");
  return success();
}

auto ::fdpp::checkEntry(func::FuncOp entry) -> LogicalResult {
  for (unsigned i = 0; i < entry.getNumArguments(); ++i)
    if (!entry.getArgAttrOfType<StringAttr>(i, kRoleAttr))
      return entry.emitError("argument ")
             << i << " has no role ('" << kRoleAttr << "')";
  WalkResult result = entry.walk([](Operation *op) {
    return failed(checkOp(op)) ? WalkResult::interrupt()
                               : WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}
