// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-drop-returned-arguments

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPDROPRETURNEDARGUMENTS
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

static LogicalResult dropResults(func::FuncOp func) {
  auto ret = cast<func::ReturnOp>(func.front().getTerminator());
  for (auto [i, value] : llvm::enumerate(ret.getOperands()))
    if (!isa<BlockArgument>(value))
      return func.emitError()
             << "result " << i << " of @" << func.getName()
             << " is not one of its arguments: an entry writes its results to "
                "destinations and allocates nothing";
  ret.getOperandsMutable().clear();
  func.setResAttrsAttr(nullptr);
  func.setFunctionType(FunctionType::get(
      func.getContext(), func.getFunctionType().getInputs(), {}));
  return success();
}

namespace {
struct DropReturnedArgumentsPass
    : public mlir::fdpp::impl::FDPPDropReturnedArgumentsBase<
          DropReturnedArgumentsPass> {
  void runOnOperation() override {
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func->hasAttr(kEntryAttr) && failed(dropResults(func)))
        return signalPassFailure();
  }
};
} // namespace
