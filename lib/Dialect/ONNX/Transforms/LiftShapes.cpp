// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --onnx-lift-shapes

#include "Remarks.h"
#include "Symbolic.h"
#include "fdpp/Dialect/ONNX/IR/ONNXLiftedOps.h"
#include "fdpp/Dialect/ONNX/Transforms/Passes.h"

namespace mlir::fdpp::onnx {
#define GEN_PASS_DEF_ONNXLIFTSHAPES
#include "fdpp/Dialect/ONNX/Transforms/Passes.h.inc"

namespace {
struct LiftShapesPass : impl::ONNXLiftShapesBase<LiftShapesPass> {
  void runOnOperation() override {
    SymbolicShapes shapes(getOperation());
    Block &body = getOperation().getBody().front();
    unsigned lifted = 0;
    for (Operation &op : llvm::make_early_inc_range(body)) {
      if (!isa<Operator>(op) || op.getNumResults() != 1 || op.use_empty())
        continue;
      Value result = op.getResult(0);
      const auto &elements = shapes.elementsOf(result);
      auto type = dyn_cast<RankedTensorType>(result.getType());
      if (!elements || !type || !type.hasStaticShape() ||
          type.getNumElements() != int64_t(elements->size()))
        continue;
      OpBuilder builder(&op);
      result.replaceAllUsesWith(
          shapes.materialize(builder, op.getLoc(), type, *elements));
      ++lifted;
    }
    eraseDeadOps(getOperation());
    if (lifted > 0)
      remark::passed(getOperation().getLoc(),
                     recognition("lift-shapes", getOperation()))
          << remark::add(
                 "shape arithmetic is a function of the inputs' extents")
          << remark::metric("tensors", lifted)
          << remark::metric("extents", shapes.symbols().size());
  }
};
} // namespace
} // namespace mlir::fdpp::onnx
