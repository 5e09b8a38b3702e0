// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How the dialect's operations become operations on memrefs: each destination
// is overwritten in place, everything else is only read.

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace mlir::fdpp;

namespace {

/// True if the op leaves part of the destination as it was, or reads it.
bool readsDestination(Operation *op, OpOperand &operand) {
  if (isa<KVAppendOp, RecomputeRowsOp>(op))
    return true;
  if (auto attention = dyn_cast<PrefillAttentionOp>(op))
    return static_cast<bool>(attention.getFirstSeq());
  if (auto attention = dyn_cast<DecodeAttentionOp>(op))
    return static_cast<bool>(attention.getFirstSeq());
  if (auto attention = dyn_cast<AsyncSoftmaxDecodeAttentionOp>(op))
    return static_cast<bool>(attention.getFirstSeq());
  if (auto attention = dyn_cast<AsyncSoftmaxPrefillAttentionOp>(op))
    return static_cast<bool>(attention.getFirstSeq());
  auto linear = dyn_cast<FusedLinearOp>(op);
  if (!linear)
    return false;
  int64_t dest = operand.getOperandNumber() -
                 linear.getOutsMutable()[0].getOperandNumber();
  for (unsigned i = 0; i < linear.getSegments().size(); ++i) {
    Block &body = linear.getEpilogues()[i].front();
    if (linear.getSegment(i).getDest() == dest &&
        (isa<KVStoreOp>(body.getTerminator()) ||
         !body.getArguments().back().use_empty()))
      return true;
  }
  return false;
}

/// One model for every compute op: the outs are the operands at the end.
template <typename OpTy>
struct ComputeOpModel
    : public BufferizableOpInterface::ExternalModel<ComputeOpModel<OpTy>,
                                                    OpTy> {
  static bool isDestination(OpTy op, OpOperand &operand) {
    return operand.getOperandNumber() >=
           op->getNumOperands() - op.getOuts().size();
  }

  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    return !isDestination(cast<OpTy>(op), operand) ||
           readsDestination(op, operand);
  }

  bool bufferizesToMemoryWrite(Operation *op, OpOperand &operand,
                               const AnalysisState &) const {
    return isDestination(cast<OpTy>(op), operand);
  }

  AliasingValueList getAliasingValues(Operation *op, OpOperand &operand,
                                      const AnalysisState &) const {
    auto compute = cast<OpTy>(op);
    if (!isDestination(compute, operand))
      return {};
    unsigned index = operand.getOperandNumber() -
                     (op->getNumOperands() - compute.getOuts().size());
    return {{op->getResult(index), BufferRelation::Equivalent}};
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto compute = cast<OpTy>(op);
    if (compute.getOuts().empty())
      return op->emitOpError("has no destination; run "
                             "--fdpp-to-destination-style first");
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      if (!isa<TensorType>(operand.getType())) {
        operands.push_back(operand);
        continue;
      }
      FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
      if (failed(buffer))
        return failure();
      operands.push_back(*buffer);
    }
    OperationState newState(op->getLoc(), op->getName(), operands, TypeRange(),
                            op->getAttrs());
    newState.propertiesAttr = op->getPropertiesAsAttribute();
    for (unsigned i = 0; i < op->getNumRegions(); ++i)
      newState.addRegion();
    Operation *planned = rewriter.create(newState);
    for (auto [from, to] : llvm::zip(op->getRegions(), planned->getRegions()))
      rewriter.inlineRegionBefore(from, to, to.begin());
    replaceOpWithBufferizedValues(
        rewriter, op, ArrayRef(operands).take_back(compute.getOuts().size()));
    return success();
  }
};

/// A weight is memory that nobody writes.
struct WeightAtModel
    : public BufferizableOpInterface::ExternalModel<WeightAtModel, WeightAtOp> {
  bool bufferizesToAllocation(Operation *, Value) const { return false; }
  bool isWritable(Operation *, Value, const AnalysisState &) const {
    return false;
  }
  FailureOr<BufferLikeType> getBufferType(Operation *, Value value,
                                          const BufferizationOptions &,
                                          const BufferizationState &,
                                          SmallVector<Value> &) const {
    auto type = cast<RankedTensorType>(value.getType());
    return cast<BufferLikeType>(
        MemRefType::get(type.getShape(), type.getElementType()));
  }
  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &,
                          BufferizationState &) const {
    auto at = cast<WeightAtOp>(op);
    auto type = dyn_cast<RankedTensorType>(at.getResult().getType());
    if (!type)
      return success();
    replaceOpWithNewBufferizedOp<WeightAtOp>(
        rewriter, op, MemRefType::get(type.getShape(), type.getElementType()),
        at.getWeightAttr(), at.getLayer());
    return success();
  }
};

template <typename... Ops> void attachComputeModels(MLIRContext *context) {
  (Ops::template attachInterface<ComputeOpModel<Ops>>(*context), ...);
}

} // namespace

void mlir::fdpp::registerBufferizableOpInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, FDPPDialect *) {
    attachComputeModels<
        TokenSlotsOp, RopeTableOp, EmbedOp, LinearOp, RMSNormOp, LayerNormOp,
        RopeOp, GluOp, AddOp, ActivationOp, ScaleOp, SoftcapOp, SelectRowsOp,
        KVAppendOp, AttentionOp, PrefillAttentionOp, DecodeAttentionOp,
        AsyncSoftmaxDecodeAttentionOp, AsyncSoftmaxPrefillAttentionOp,
        RecomputeRowsOp, FusedLinearOp>(context);
    WeightAtOp::attachInterface<WeightAtModel>(*context);
  });
}
