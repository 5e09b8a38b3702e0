// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-to-destination-style

#include "Dataflow.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPTODESTINATIONSTYLE
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

template <typename OpTy> static void giveDestinations(OpTy op) {
  if (!op.getOuts().empty())
    return;
  OpBuilder builder(op);
  SmallVector<Value> outs;
  for (OpResult result : op->getResults())
    outs.push_back(createDestination(builder, result));
  op.getOutsMutable().append(outs);
}

namespace {
struct ToDestinationStylePass
    : public mlir::fdpp::impl::FDPPToDestinationStyleBase<
          ToDestinationStylePass> {
  void runOnOperation() override {
    for (func::FuncOp entry : entriesOf(getOperation()))
      entry.walk([](Operation *op) {
        TypeSwitch<Operation *>(op)
            .Case<TokenSlotsOp, RopeTableOp, EmbedOp, LinearOp, RMSNormOp,
                  LayerNormOp, RopeOp, GluOp, AddOp, ActivationOp, ScaleOp,
                  SoftcapOp, SelectRowsOp, AttentionOp, PrefillAttentionOp,
                  DecodeAttentionOp, AsyncSoftmaxDecodeAttentionOp,
                  AsyncSoftmaxPrefillAttentionOp>(
                [](auto typed) { giveDestinations(typed); });
      });
  }
};
} // namespace
