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

static ShapedType destination(EpilogueInterface op, unsigned i) {
  return cast<ShapedType>(op.getOuts()[op.getSegment(i).getDest()].getType());
}

/// Columns of the destination a segment with `fdpp.store` fills.
static int64_t storedColumns(SegmentAttr segment) {
  return segment.getPartner() == PartnerKind::GateUp ? segment.getColumns() / 2
                                                     : segment.getColumns();
}

/// The number of values a segment's terminator takes.
static LogicalResult verifyStoredValues(EpilogueInterface op, unsigned i,
                                        ValueRange stored) {
  bool pairs = op.getSegment(i).getPartner() == PartnerKind::Half;
  unsigned values = pairs ? 2 : 1;
  if (stored.size() == values)
    return success();
  return op->emitOpError() << "segment " << i << " must store " << values
                           << " values, not " << stored.size();
}

static LogicalResult verifyStore(EpilogueInterface op, unsigned i,
                                 StoreOp store) {
  int64_t columns = storedColumns(op.getSegment(i));
  auto dest = destination(op, i);
  if (failed(verifyStoredValues(op, i, store.getValues())))
    return failure();
  if (dest.getRank() == 2 && dest.getDimSize(1) == columns)
    return success();
  return op->emitOpError() << "segment " << i << " fills " << columns
                           << " columns, its destination is " << dest;
}

static LogicalResult verifyKVStore(EpilogueInterface op, unsigned i,
                                   KVStoreOp store) {
  int64_t columns = storedColumns(op.getSegment(i));
  auto dest = destination(op, i);
  if (failed(verifyStoredValues(op, i, store.getValues())))
    return failure();
  if (dest.getRank() == 6 && dest.getDimSize(3) * dest.getDimSize(5) == columns)
    return success();
  return op->emitOpError() << "segment " << i << " of " << columns
                           << " columns does not fit the cache " << dest;
}

static LogicalResult verifyEpilogue(EpilogueInterface op, unsigned i) {
  SegmentAttr segment = op.getSegment(i);
  Block &body = op.getEpilogues()[i].front();
  Builder b(op.getContext());
  SmallVector<Type> expected{b.getF32Type(), b.getF32Type(), b.getIndexType(),
                             b.getIndexType(), b.getF32Type()};
  if (body.getArgumentTypes() != TypeRange(expected))
    return op->emitOpError()
           << "epilogue " << i << " must take (f32, f32, index, index, f32)";
  if (segment.getDest() >= static_cast<int64_t>(op.getOuts().size()))
    return op->emitOpError()
           << "segment " << i << " has no destination " << segment.getDest();
  if (segment.getPartner() == PartnerKind::None &&
      !body.getArgument(kPartnerArg).use_empty())
    return op->emitOpError()
           << "epilogue " << i << " uses a partner its segment does not have";
  Operation *end = body.mightHaveTerminator() ? body.getTerminator() : nullptr;
  bool singleStore = isa_and_nonnull<StoreOp>(end) &&
                     segment.getPartner() != PartnerKind::Half;
  if (!singleStore && !body.getArgument(kOldArg).use_empty())
    return op->emitOpError()
           << "epilogue " << i
           << " uses the old element but stores no single one";
  if (auto store = dyn_cast_if_present<StoreOp>(end))
    return verifyStore(op, i, store);
  if (auto store = dyn_cast_if_present<KVStoreOp>(end))
    return verifyKVStore(op, i, store);
  return op->emitOpError() << "epilogue " << i
                           << " must end with fdpp.store or fdpp.kv_store";
}

/// An epilogue runs while other elements are still being computed, so what it
/// captures must not be what the op writes.
static LogicalResult verifyCaptures(EpilogueInterface op) {
  for (Region &region : op.getEpilogues()) {
    WalkResult walked = region.walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (llvm::is_contained(op.getOuts(), operand))
          return WalkResult::interrupt();
      return WalkResult::advance();
    });
    if (walked.wasInterrupted())
      return op->emitOpError("captures a destination in an epilogue; use the "
                             "region's old element");
  }
  return success();
}

static int64_t segmentColumns(EpilogueInterface op) {
  int64_t columns = 0;
  for (auto segment : op.getSegments().getAsRange<SegmentAttr>())
    columns += segment.getColumns();
  return columns;
}

static LogicalResult verifyEpilogues(EpilogueInterface op) {
  size_t segments = op.getSegments().size();
  if (segments != op.getEpilogues().size() || segments == 0)
    return op->emitOpError() << "has " << segments << " segments and "
                             << op.getEpilogues().size() << " epilogues";
  if (op.getOuts().empty())
    return op->emitOpError("has no destination");
  bool planned = isa<MemRefType>(op.getOuts().front().getType());
  if (planned ? op->getNumResults() != 0
              : op.getOuts().getTypes() != op->getResultTypes())
    return op->emitOpError("results must be its destinations on tensors, none "
                           "on memrefs");
  for (unsigned i = 0; i < segments; ++i)
    if (failed(verifyEpilogue(op, i)))
      return failure();
  return verifyCaptures(op);
}

/// The row norm: gamma makes one, everything else goes with it.
template <typename OpTy> static LogicalResult verifyNorm(OpTy op) {
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
  int64_t columns = segmentColumns(*this);
  if (failed(verifyEpilogues(*this)))
    return failure();
  if (columns != weight.getDimSize(0))
    return emitOpError() << "segments cover " << columns << " of "
                         << weight.getDimSize(0) << " columns";
  return success();
}

/// The one f32 matrix of `columns` columns or more that a part of a library's
/// linear hands to the next.
static LogicalResult verifyIntermediate(Operation *op, StringRef what,
                                        Type given, int64_t columns,
                                        bool padded) {
  auto type = cast<ShapedType>(given);
  if (type.getRank() == 2 && type.getElementType().isF32() &&
      (type.getDimSize(1) == columns ||
       (padded && type.getDimSize(1) > columns)))
    return success();
  return op->emitOpError() << what << " must be f32 with " << columns
                           << " columns" << (padded ? " or more" : "")
                           << ", not " << type;
}

LogicalResult PrologueOp::verify() {
  auto input = cast<ShapedType>(getInput().getType());
  if (input.getRank() != 2 || getOuts().size() != 1)
    return emitOpError("takes a matrix and has one destination");
  if (!isa<FloatType>(getRounding()))
    return emitOpError() << "rounds to a float type, not to " << getRounding();
  if (failed(verifyNorm(*this)))
    return failure();
  return verifyIntermediate(*this, "the destination", getOuts()[0].getType(),
                            input.getDimSize(1), /*padded=*/false);
}

LogicalResult LibraryGemmOp::verify() {
  auto weight = cast<ShapedType>(getWeight().getType());
  if (weight.getRank() != 2 || getOuts().size() != 1)
    return emitOpError("takes a matrix of weights and has one destination");
  if (failed(verifyIntermediate(*this, "the input", getInput().getType(),
                                weight.getDimSize(1), /*padded=*/false)))
    return failure();
  return verifyIntermediate(*this, "the destination", getOuts()[0].getType(),
                            weight.getDimSize(0), /*padded=*/true);
}

LogicalResult EpilogueOp::verify() {
  if (failed(verifyEpilogues(*this)))
    return failure();
  return verifyIntermediate(*this, "the sums", getSums().getType(),
                            segmentColumns(*this), /*padded=*/true);
}

/// Any region may run, and then the dispatch is over.
void DispatchOp::getSuccessorRegions(
    RegionBranchPoint point, SmallVectorImpl<RegionSuccessor> &successors) {
  if (!point.isParent()) {
    successors.emplace_back(getOperation(), getOperation()->getResults());
    return;
  }
  for (Region &region : getVariants())
    successors.emplace_back(&region);
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
