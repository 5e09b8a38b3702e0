// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-fuse-prologues

#include "Dataflow.h"
#include "FusedParts.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Remarks.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPFUSEPROLOGUES
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

/// Why the norm cannot move into the linears that read it, or "".
static std::string obstacle(Operation *norm) {
  Value result = norm->getResult(0);
  if (result.use_empty())
    return "nothing reads it";
  Type stored = getElementTypeOrSelf(result.getType());
  for (OpOperand &use : result.getUses()) {
    auto linear = dyn_cast<LinearOp>(use.getOwner());
    if (!linear || use.getOperandNumber() != 0)
      return "read by " + use.getOwner()->getName().getStringRef().str();
    if (cast<ShapedType>(result.getType()).getRank() != 2)
      return "its rows are not tokens";
    // The norm's result is rounded to the weight's type on entry: rounding to
    // another one before would be lost.
    if (!stored.isF32() &&
        stored != getElementTypeOrSelf(linear.getWeight().getType()))
      return "stored in another type than the weights of its linear";
  }
  return "";
}

namespace {
struct FuseProloguesPass
    : public mlir::fdpp::impl::FDPPFuseProloguesBase<FuseProloguesPass> {
  void runOnOperation() override {
    for (func::FuncOp entry : entriesOf(getOperation())) {
      SmallVector<Operation *> norms;
      entry.walk([&](Operation *op) {
        if (isa<RMSNormOp, LayerNormOp>(op))
          norms.push_back(op);
      });
      for (Operation *norm : norms)
        fuse(entry, norm);
    }
  }

  static void fuse(func::FuncOp entry, Operation *norm) {
    auto options = remark::RemarkOpts::name("fuse-prologues")
                       .category("fusion")
                       .function(entry.getName());
    std::string reason = obstacle(norm);
    if (!reason.empty()) {
      remark::missed(norm->getLoc(), options)
          << remark::add("{0} stays on its own: {1}",
                         norm->getName().stripDialect().str(), reason);
      return;
    }
    Value rows = norm->getOperand(0);
    auto rms = dyn_cast<RMSNormOp>(norm);
    RowNorm rowNorm = rms ? RowNorm(rms) : RowNorm(cast<LayerNormOp>(norm));
    unsigned readers = 0;
    for (Operation *user : llvm::make_early_inc_range(norm->getUsers())) {
      fuseInto(rows, rowNorm, cast<LinearOp>(user));
      ++readers;
    }
    remark::passed(norm->getLoc(), options)
        << remark::add("{0} became the prologue of {1} linear{2}",
                       norm->getName().stripDialect().str(), readers,
                       readers == 1 ? "" : "s")
        << remark::metric("columns",
                          cast<ShapedType>(rows.getType()).getDimSize(1));
    norm->erase();
  }

  static void fuseInto(Value rows, const RowNorm &norm, LinearOp linear) {
    OpBuilder builder(linear);
    FusedParts parts(builder, linear);
    parts.input = rows;
    parts.norm = norm;
    parts.build(builder);
    linear.erase();
  }
};
} // namespace
