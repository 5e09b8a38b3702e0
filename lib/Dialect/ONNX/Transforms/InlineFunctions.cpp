// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --onnx-inline-functions

#include "Remarks.h"
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"
#include "fdpp/Dialect/ONNX/Transforms/Passes.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/MapVector.h"

namespace mlir::fdpp::onnx {
#define GEN_PASS_DEF_ONNXINLINEFUNCTIONS
#include "fdpp/Dialect/ONNX/Transforms/Passes.h.inc"
} // namespace mlir::fdpp::onnx

using namespace mlir;

/// Copies the callee's single block in front of the call.
static void inlineCall(func::CallOp call, func::FuncOp callee) {
  IRMapping mapping;
  mapping.map(callee.getArguments(), call.getOperands());
  OpBuilder builder(call);
  Block &body = callee.getBody().front();
  for (Operation &op : body.without_terminator()) {
    Operation *copy = builder.clone(op, mapping);
    copy->setLoc(CallSiteLoc::get(op.getLoc(), call.getLoc()));
  }
  for (auto [result, value] :
       llvm::zip_equal(call.getResults(), body.getTerminator()->getOperands()))
    result.replaceAllUsesWith(mapping.lookupOrDefault(value));
  call.erase();
}

namespace {
struct InlineFunctionsPass
    : public mlir::fdpp::onnx::impl::ONNXInlineFunctionsBase<
          InlineFunctionsPass> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      if (func.isPrivate())
        continue;
      llvm::MapVector<StringRef, unsigned> calls;
      // The importer refuses recursion, so this ends.
      while (auto call = firstCall(func, symbols)) {
        auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
        if (!callee || !callee.getBody().hasOneBlock()) {
          call.emitError() << "@" << call.getCallee() << " has no body of one "
                           << "block to inline";
          return signalPassFailure();
        }
        ++calls[callee.getName()];
        inlineCall(call, callee);
      }
      for (auto [name, count] : calls)
        remark::passed(func.getLoc(),
                       fdpp::onnx::recognition("inline-functions", func))
            << remark::add("function @{0} inlined", name)
            << remark::metric("calls", count);
    }
    for (auto func :
         llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (func.isPrivate())
        func.erase();
  }

  static func::CallOp firstCall(func::FuncOp func, SymbolTable &symbols) {
    for (Operation &op : func.getBody().front())
      if (auto call = dyn_cast<func::CallOp>(op))
        return call;
    return {};
  }
};
} // namespace
