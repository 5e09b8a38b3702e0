// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-fuse-epilogues

#include "Dataflow.h"
#include "EpiloguePatterns.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPFUSEEPILOGUES
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

namespace {
struct FuseEpiloguesPass
    : public mlir::fdpp::impl::FDPPFuseEpiloguesBase<FuseEpiloguesPass> {
  void runOnOperation() override {
    for (func::FuncOp entry : entriesOf(getOperation())) {
      raiseLinears(entry);
      while (fuseOnce(entry)) {
      }
      reportMissed(entry);
      eraseDead(entry);
    }
  }

  /// Linears without a prologue become fused linears as they are.
  static void raiseLinears(func::FuncOp entry) {
    SmallVector<LinearOp> linears;
    entry.walk([&](LinearOp op) { linears.push_back(op); });
    for (LinearOp op : linears) {
      if (cast<ShapedType>(op.getInput().getType()).getRank() != 2)
        continue;
      OpBuilder builder(op);
      FusedParts(builder, op).build(builder);
      op.erase();
    }
  }

  /// Fuses one operation into one linear, if there is one left to fuse.
  static bool fuseOnce(func::FuncOp entry) {
    WalkResult walked = entry.walk([&](FusedLinearOp op) {
      for (unsigned i = 0; i < op.getSegments().size(); ++i)
        if (fuseSegment(entry, op, i))
          return WalkResult::interrupt();
      return WalkResult::advance();
    });
    return walked.wasInterrupted();
  }

  static bool fuseSegment(func::FuncOp entry, FusedLinearOp op, unsigned i) {
    if (splitSegment(op, i).fused)
      return true;
    Operation *user = onlyReader(op, i);
    if (!user)
      return false;
    std::string name = user->getName().getStringRef().str();
    Location loc = user->getLoc();
    Attempt attempt = absorb(op, i, user);
    if (!attempt.fused)
      return false;
    remark::passed(loc, options(entry))
        << remark::add("{0} became part of a linear's epilogue", name)
        << remark::metric("segment", i);
    return true;
  }

  /// Nothing changes any more: an attempt only says what is in the way.
  static void reportMissed(func::FuncOp entry) {
    SmallVector<std::pair<FusedLinearOp, unsigned>> segments;
    entry.walk([&](FusedLinearOp op) {
      for (unsigned i = 0; i < op.getSegments().size(); ++i)
        segments.push_back({op, i});
    });
    for (auto [op, i] : segments) {
      Operation *user = onlyReader(op, i);
      if (!user)
        continue;
      Attempt attempt = absorb(op, i, user);
      if (!attempt.obstacle.empty())
        remark::missed(user->getLoc(), options(entry)) << remark::add(
            "{0} stays on its own: {1}", user->getName().getStringRef().str(),
            attempt.obstacle);
    }
  }

  /// Destinations that nothing stores to any more.
  static void eraseDead(func::FuncOp entry) {
    entry.walk([](tensor::EmptyOp op) {
      if (op->use_empty())
        op.erase();
    });
  }

  static remark::RemarkOpts options(func::FuncOp entry) {
    return remark::RemarkOpts::name("fuse-epilogues")
        .category("fusion")
        .function(entry.getName());
  }
};
} // namespace
