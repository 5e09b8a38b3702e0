// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers of fused linears and of the dispatch around them.

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::fdpp;

#define GET_OP_CLASSES
#include "fdpp/Dialect/FDPP/IR/FDPPOps.cpp.inc"

/// Index of the region argument that is the second column.
static constexpr unsigned kPartnerArg = 1, kOldArg = 4;

static ShapedType destination(FusedLinearOp op, unsigned i) {
  return cast<ShapedType>(op.getOuts()[op.getSegment(i).getDest()].getType());
}

/// Columns of the destination a segment with `fdpp.store` fills.
static int64_t storedColumns(SegmentAttr segment) {
  return segment.getPartner() == PartnerKind::GateUp ? segment.getColumns() / 2
                                                     : segment.getColumns();
}

/// The number of values a segment's terminator takes.
static LogicalResult verifyStoredValues(FusedLinearOp op, unsigned i,
                                        ValueRange stored) {
  bool pairs = op.getSegment(i).getPartner() == PartnerKind::Half;
  unsigned values = pairs ? 2 : 1;
  if (stored.size() == values)
    return success();
  return op.emitOpError() << "segment " << i << " must store " << values
                          << " values, not " << stored.size();
}

static LogicalResult verifyStore(FusedLinearOp op, unsigned i, StoreOp store) {
  int64_t columns = storedColumns(op.getSegment(i));
  auto dest = destination(op, i);
  if (failed(verifyStoredValues(op, i, store.getValues())))
    return failure();
  if (dest.getRank() == 2 && dest.getDimSize(1) == columns)
    return success();
  return op.emitOpError() << "segment " << i << " fills " << columns
                          << " columns, its destination is " << dest;
}

static LogicalResult verifyKVStore(FusedLinearOp op, unsigned i,
                                   KVStoreOp store) {
  int64_t columns = storedColumns(op.getSegment(i));
  auto dest = destination(op, i);
  if (failed(verifyStoredValues(op, i, store.getValues())))
    return failure();
  if (dest.getRank() == 6 && dest.getDimSize(3) * dest.getDimSize(5) == columns)
    return success();
  return op.emitOpError() << "segment " << i << " of " << columns
                          << " columns does not fit the cache " << dest;
}

static LogicalResult verifyEpilogue(FusedLinearOp op, unsigned i) {
  SegmentAttr segment = op.getSegment(i);
  Block &body = op.getEpilogues()[i].front();
  Builder b(op.getContext());
  SmallVector<Type> expected{b.getF32Type(), b.getF32Type(), b.getIndexType(),
                             b.getIndexType(), b.getF32Type()};
  if (body.getArgumentTypes() != TypeRange(expected))
    return op.emitOpError()
           << "epilogue " << i << " must take (f32, f32, index, index, f32)";
  if (segment.getDest() >= static_cast<int64_t>(op.getOuts().size()))
    return op.emitOpError()
           << "segment " << i << " has no destination " << segment.getDest();
  if (segment.getPartner() == PartnerKind::None &&
      !body.getArgument(kPartnerArg).use_empty())
    return op.emitOpError()
           << "epilogue " << i << " uses a partner its segment does not have";
  Operation *end = body.getTerminator();
  bool singleStore =
      isa<StoreOp>(end) && segment.getPartner() != PartnerKind::Half;
  if (!singleStore && !body.getArgument(kOldArg).use_empty())
    return op.emitOpError() << "epilogue " << i
                            << " uses the old element but stores no single one";
  if (auto store = dyn_cast<StoreOp>(end))
    return verifyStore(op, i, store);
  if (auto store = dyn_cast<KVStoreOp>(end))
    return verifyKVStore(op, i, store);
  return op.emitOpError() << "epilogue " << i
                          << " must end with fdpp.store or fdpp.kv_store";
}

/// An epilogue runs while other elements are still being computed, so what it
/// captures must not be what the op writes.
static LogicalResult verifyCaptures(FusedLinearOp op) {
  for (Region &region : op.getEpilogues()) {
    WalkResult walked = region.walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (llvm::is_contained(op.getOuts(), operand))
          return WalkResult::interrupt();
      return WalkResult::advance();
    });
    if (walked.wasInterrupted())
      return op.emitOpError("captures a destination in an epilogue; use the "
                            "region's old element");
  }
  return success();
}

/// The row norm: gamma makes one, everything else goes with it.
static LogicalResult verifyNorm(FusedLinearOp op) {
  bool norm = static_cast<bool>(op.getGamma());
  bool eps = op.getEps() || op.getEpsOfLayer();
  if (op.getEps() && op.getEpsOfLayer())
    return op.emitOpError("has eps both as attribute and of the layer");
  if (norm != eps)
    return op.emitOpError("has a gamma exactly when it has an eps");
  if (op.getCentered() && !norm)
    return op.emitOpError("is centered but has no norm");
  if (op.getBeta() && !op.getCentered())
    return op.emitOpError("has a beta but is not centered");
  int64_t columns = cast<ShapedType>(op.getInput().getType()).getDimSize(1);
  for (Value vector : {op.getGamma(), op.getBeta()}) {
    auto type = vector ? cast<ShapedType>(vector.getType()) : ShapedType();
    if (type && (type.getRank() != 1 || type.getDimSize(0) != columns))
      return op.emitOpError()
             << "norm of " << columns << " columns with " << type;
  }
  return success();
}

LogicalResult FusedLinearOp::verify() {
  auto weight = cast<ShapedType>(getWeight().getType());
  auto input = cast<ShapedType>(getInput().getType());
  if (weight.getRank() != 2 || input.getRank() != 2 ||
      weight.getDimSize(1) != input.getDimSize(1))
    return emitOpError() << "input " << input << " and weight " << weight
                         << " do not share K";
  if (failed(verifyNorm(*this)))
    return failure();
  if (getSegments().size() != getEpilogues().size() || getSegments().empty())
    return emitOpError() << "has " << getSegments().size() << " segments and "
                         << getEpilogues().size() << " epilogues";
  bool planned = isa<MemRefType>(getOuts().front().getType());
  if (planned ? !getOutputs().empty()
              : getOuts().getTypes() != getOutputs().getTypes())
    return emitOpError("results must be its destinations on tensors, none on "
                       "memrefs");
  int64_t columns = 0;
  for (unsigned i = 0; i < getSegments().size(); ++i) {
    columns += getSegment(i).getColumns();
    if (failed(verifyEpilogue(*this, i)))
      return failure();
  }
  if (columns != weight.getDimSize(0))
    return emitOpError() << "segments cover " << columns << " of "
                         << weight.getDimSize(0) << " columns";
  return verifyCaptures(*this);
}

LogicalResult DispatchOp::verify() {
  ArrayRef<int64_t> limits = getLimits();
  if (getVariants().size() != limits.size() + 1)
    return emitOpError() << "has " << limits.size() << " limits and "
                         << getVariants().size() << " regions";
  if (!llvm::is_sorted(limits, [](int64_t a, int64_t b) { return a <= b; }))
    return emitOpError("limits must increase");
  return success();
}
