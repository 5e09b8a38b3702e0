// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers, memory effects and result shapes of the compute operations.

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::fdpp;

//===----------------------------------------------------------------------===//
// What all compute operations share.
//===----------------------------------------------------------------------===//

static ShapedType shaped(Value value) {
  return cast<ShapedType>(value.getType());
}

/// Checks the three forms: pure, destination style, planned.
template <typename OpTy>
static LogicalResult verifyForm(OpTy op, unsigned outputs) {
  auto outs = op.getOuts();
  auto results = op.getOutputs();
  bool planned =
      llvm::any_of(outs, [](Value v) { return isa<MemRefType>(v.getType()); });
  if (planned && !results.empty())
    return op.emitOpError("on memrefs has no results");
  if (!planned && results.empty())
    return op.emitOpError("on tensors must have results");
  if (!outs.empty() && outs.size() != outputs)
    return op.emitOpError()
           << "needs " << outputs << " destinations, not " << outs.size();
  if (!planned && results.size() != outputs)
    return op.emitOpError()
           << "needs " << outputs << " results, not " << results.size();
  if (!outs.empty() && !planned && outs.getTypes() != results.getTypes())
    return op.emitOpError("has results of other types than its destinations");
  return success();
}

/// Adds reads of every shaped operand and writes of the destinations. Pure on
/// tensors.
template <typename OpTy>
static void
addEffects(OpTy op,
           SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
               &effects) {
  auto outs = op.getOutsMutable();
  unsigned firstOut = op->getNumOperands() - outs.size();
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    effects.emplace_back(MemoryEffects::Read::get(), &operand,
                         SideEffects::DefaultResource::get());
    if (operand.getOperandNumber() >= firstOut)
      effects.emplace_back(MemoryEffects::Write::get(), &operand,
                           SideEffects::DefaultResource::get());
  }
}

/// Dynamic dimensions of the results: the leading ones are those of `rows`, all
/// further ones are static by the verifiers.
template <typename OpTy>
static LogicalResult reifyRows(OpTy op, OpBuilder &builder, Value rows,
                               ReifiedRankedShapedTypeDims &shapes) {
  for (Value result : op.getOutputs()) {
    auto type = cast<RankedTensorType>(result.getType());
    SmallVector<OpFoldResult> dims;
    for (int64_t i = 0; i < type.getRank(); ++i)
      dims.push_back(type.isDynamicDim(i)
                         ? OpFoldResult(builder.createOrFold<tensor::DimOp>(
                               op.getLoc(), rows, i))
                         : builder.getIndexAttr(type.getDimSize(i)));
    shapes.push_back(std::move(dims));
  }
  return success();
}

#define FDPP_COMPUTE_OP(OP, ROWS)                                              \
  void OP::getEffects(                                                         \
      SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>      \
          &effects) {                                                          \
    addEffects(*this, effects);                                                \
  }                                                                            \
  LogicalResult OP::reifyResultShapes(OpBuilder &builder,                      \
                                      ReifiedRankedShapedTypeDims &shapes) {   \
    return reifyRows(*this, builder, ROWS, shapes);                            \
  }

FDPP_COMPUTE_OP(TokenSlotsOp, getTokens())
FDPP_COMPUTE_OP(RopeTableOp, getPositions())
FDPP_COMPUTE_OP(EmbedOp, getTokens())
FDPP_COMPUTE_OP(LinearOp, getInput())
FDPP_COMPUTE_OP(RMSNormOp, getInput())
FDPP_COMPUTE_OP(LayerNormOp, getInput())
FDPP_COMPUTE_OP(RopeOp, getInput())
FDPP_COMPUTE_OP(GluOp, getLhs())
FDPP_COMPUTE_OP(AddOp, getLhs())
FDPP_COMPUTE_OP(ActivationOp, getInput())
FDPP_COMPUTE_OP(ScaleOp, getInput())
FDPP_COMPUTE_OP(SoftcapOp, getInput())
FDPP_COMPUTE_OP(SelectRowsOp, getRows())
FDPP_COMPUTE_OP(KVAppendOp, getOuts().front())
FDPP_COMPUTE_OP(AttentionOp, getQ())
FDPP_COMPUTE_OP(PrefillAttentionOp, getQ())
FDPP_COMPUTE_OP(DecodeAttentionOp, getQ())
FDPP_COMPUTE_OP(AsyncSoftmaxDecodeAttentionOp, getQ())
FDPP_COMPUTE_OP(AsyncSoftmaxPrefillAttentionOp, getQ())
FDPP_COMPUTE_OP(RecomputeRowsOp, getQ())
FDPP_COMPUTE_OP(FusedLinearOp, getInput())
FDPP_COMPUTE_OP(PrologueOp, getInput())
FDPP_COMPUTE_OP(LibraryGemmOp, getInput())
FDPP_COMPUTE_OP(EpilogueOp, getSums())

#undef FDPP_COMPUTE_OP

//===----------------------------------------------------------------------===//
// Shapes.
//===----------------------------------------------------------------------===//

/// Checks that `type` is `leading` dimensions of `like` and then `last`.
static LogicalResult verifyRows(Operation *op, StringRef what, ShapedType type,
                                ShapedType like, int64_t last) {
  ArrayRef<int64_t> shape = type.getShape(), model = like.getShape();
  bool same = type.getRank() == like.getRank() && !shape.empty() &&
              shape.back() == last &&
              llvm::all_of(llvm::zip(shape.drop_back(), model.drop_back()),
                           [](auto pair) {
                             auto [a, b] = pair;
                             return a == b || ShapedType::isDynamic(a) ||
                                    ShapedType::isDynamic(b);
                           });
  if (same)
    return success();
  return op->emitOpError() << what << " is " << type
                           << ", expected the rows of " << like << " and "
                           << last << " columns";
}

static LogicalResult verifyVector(Operation *op, StringRef what, Value value,
                                  int64_t size) {
  ShapedType type = shaped(value);
  if (type.getRank() == 1 && type.getDimSize(0) == size)
    return success();
  return op->emitOpError() << what << " is " << type << ", expected " << size
                           << " elements";
}

static LogicalResult verifyInteger(Operation *op, StringRef what, Value value,
                                   int64_t rank) {
  ShapedType type = shaped(value);
  if (type.getElementType().isSignlessInteger() &&
      (rank < 0 || type.getRank() == rank))
    return success();
  return op->emitOpError() << what << " is " << type
                           << ", expected integers of rank " << rank;
}

static ShapedType output(Operation *op) {
  return cast<ShapedType>(op->getNumResults()
                              ? op->getResult(0).getType()
                              : op->getOperands().back().getType());
}

LogicalResult TokenSlotsOp::verify() {
  if (failed(verifyForm(*this, 1)) ||
      failed(verifyInteger(*this, "tokens", getTokens(), 1)) ||
      failed(verifyInteger(*this, "sequence offsets", getSeqOffsets(), 1)) ||
      failed(verifyInteger(*this, "context", getContextLens(), 1)) ||
      failed(verifyInteger(*this, "pages", getPages(), 2)))
    return failure();
  if (getPageTokens() < 1)
    return emitOpError() << "pages of " << getPageTokens() << " tokens";
  return success();
}

LogicalResult RopeTableOp::verify() {
  if (failed(verifyForm(*this, 2)) ||
      failed(verifyInteger(*this, "positions", getPositions(), -1)))
    return failure();
  int64_t half = shaped(getInvFreq()).getDimSize(0);
  for (Type type : getOutputTypes(*this))
    if (cast<ShapedType>(type).getShape().back() != half)
      return emitOpError() << "with " << half << " frequencies gives " << type;
  return success();
}

LogicalResult EmbedOp::verify() {
  ShapedType table = shaped(getTable());
  if (failed(verifyForm(*this, 1)) ||
      failed(verifyInteger(*this, "tokens", getTokens(), -1)))
    return failure();
  if (table.getRank() != 2)
    return emitOpError() << "table is " << table << ", expected a matrix";
  ShapedType type = output(*this);
  if (type.getRank() != shaped(getTokens()).getRank() + 1 ||
      type.getShape().back() != table.getDimSize(1))
    return emitOpError() << "of " << table << " gives " << type;
  return success();
}

LogicalResult LinearOp::verify() {
  ShapedType weight = shaped(getWeight()), input = shaped(getInput());
  if (failed(verifyForm(*this, 1)))
    return failure();
  if (weight.getRank() != 2 || input.getRank() < 1 ||
      weight.getDimSize(1) != input.getShape().back())
    return emitOpError() << "input " << input << " and weight " << weight
                         << " do not share K";
  if (getBias() &&
      failed(verifyVector(*this, "bias", getBias(), weight.getDimSize(0))))
    return failure();
  return verifyRows(*this, "result", output(*this), input,
                    weight.getDimSize(0));
}

/// A scalar is given once: as attribute, or as the layer's.
static LogicalResult verifyScalar(Operation *op, StringRef name, bool attribute,
                                  Value ofLayer) {
  if (attribute != static_cast<bool>(ofLayer))
    return success();
  return op->emitOpError() << (attribute ? "has " : "needs ") << name
                           << (attribute ? " both as attribute and of the layer"
                                         : "");
}

LogicalResult RMSNormOp::verify() {
  ShapedType input = shaped(getInput());
  int64_t width = input.getShape().back();
  if (failed(verifyForm(*this, 1)) ||
      failed(verifyScalar(*this, "eps", !!getEpsAttr(), getEpsOfLayer())) ||
      failed(verifyVector(*this, "gamma", getGamma(), width)))
    return failure();
  return verifyRows(*this, "result", output(*this), input, width);
}

LogicalResult LayerNormOp::verify() {
  ShapedType input = shaped(getInput());
  int64_t width = input.getShape().back();
  if (failed(verifyForm(*this, 1)) ||
      failed(verifyScalar(*this, "eps", !!getEpsAttr(), getEpsOfLayer())) ||
      failed(verifyVector(*this, "gamma", getGamma(), width)) ||
      (getBeta() && failed(verifyVector(*this, "beta", getBeta(), width))))
    return failure();
  return verifyRows(*this, "result", output(*this), input, width);
}

LogicalResult RopeOp::verify() {
  ShapedType input = shaped(getInput());
  int64_t width = input.getShape().back();
  int64_t headDim = getHeadDim();
  if (failed(verifyForm(*this, 1)))
    return failure();
  if (headDim < 2 || width % headDim != 0)
    return emitOpError() << "heads of " << headDim << " do not divide " << width
                         << " columns";
  int64_t rotary = 2 * shaped(getCos()).getShape().back();
  if (rotary > headDim || shaped(getSin()).getShape().back() * 2 != rotary)
    return emitOpError() << "rotates " << rotary << " of " << headDim
                         << " elements a head";
  return verifyRows(*this, "result", output(*this), input, width);
}

template <typename OpTy> static LogicalResult verifySameShape(OpTy op) {
  if (failed(verifyForm(op, 1)))
    return failure();
  ShapedType first = shaped(op->getOperand(0));
  return verifyRows(op, "result", output(op), first, first.getShape().back());
}

template <typename OpTy> static LogicalResult verifyBinary(OpTy op) {
  ShapedType first = shaped(op.getLhs());
  if (failed(verifyRows(op, "right operand", shaped(op.getRhs()), first,
                        first.getShape().back())))
    return failure();
  return verifySameShape(op);
}

LogicalResult GluOp::verify() { return verifyBinary(*this); }
LogicalResult AddOp::verify() { return verifyBinary(*this); }
LogicalResult ActivationOp::verify() { return verifySameShape(*this); }
LogicalResult ScaleOp::verify() {
  if (failed(
          verifyScalar(*this, "factor", !!getFactorAttr(), getFactorOfLayer())))
    return failure();
  return verifySameShape(*this);
}
LogicalResult ScaleOp::canonicalize(ScaleOp op, PatternRewriter &rewriter) {
  auto embed = op.getInput().getDefiningOp<EmbedOp>();
  bool pure = op.getFactor() && op.getOuts().empty() && embed &&
              embed.getOuts().empty();
  if (!pure || !embed->hasOneUse() || !embed.getScale().isExactlyValue(1) ||
      op.getResult(0).getType() != op.getInput().getType())
    return failure();
  rewriter.replaceOpWithNewOp<EmbedOp>(op, op->getResultTypes(),
                                       embed.getTokens(), embed.getTable(),
                                       *op.getFactor(), ValueRange());
  return success();
}

LogicalResult SoftcapOp::verify() {
  if (failed(verifyScalar(*this, "cap", !!getCapAttr(), getCapOfLayer())))
    return failure();
  if (getCap() && getCap()->convertToDouble() <= 0)
    return emitOpError("needs a cap above 0");
  return verifySameShape(*this);
}

LogicalResult SelectRowsOp::verify() {
  if (failed(verifyForm(*this, 1)) ||
      failed(verifyInteger(*this, "rows", getRows(), 1)))
    return failure();
  ShapedType type = output(*this), input = shaped(getInput());
  if (type.getRank() != 2 || input.getRank() != 2 ||
      type.getDimSize(1) != input.getDimSize(1))
    return emitOpError() << "of " << input << " gives " << type;
  return success();
}

//===----------------------------------------------------------------------===//
// Cache and attention.
//===----------------------------------------------------------------------===//

/// The cache is [L, pages, 2, Hkv, page_tokens, D].
static LogicalResult verifyCache(Operation *op, ShapedType cache) {
  if (cache.getRank() == 6 && cache.getDimSize(2) == 2)
    return success();
  return op->emitOpError() << "cache is " << cache
                           << ", expected [L, pages, 2, Hkv, page_tokens, D]";
}

LogicalResult MaskedAttentionOp::verify() {
  int64_t width = shaped(getQ()).getShape().back();
  int64_t kvWidth = getKvHeads() * getHeadDim();
  if (getHeadDim() < 1 || getKvHeads() < 1 || width % kvWidth != 0)
    return emitOpError() << width << " query columns are no multiple of "
                         << getKvHeads() << " heads of " << getHeadDim();
  for (Value value : {getK(), getV()})
    if (failed(verifyRows(*this, "key or value", shaped(value), shaped(getQ()),
                          kvWidth)))
      return failure();
  if (getPast().size() != getPresent().size() ||
      (!getPast().empty() && getPast().size() != 2))
    return emitOpError("takes past keys and values and gives both, or neither");
  if (getMask().getPadding() != static_cast<bool>(getPadding()))
    return emitOpError("has a padding operand exactly when its mask says so");
  return success();
}

LogicalResult KVAppendOp::verify() {
  if (getOuts().size() != 1)
    return emitOpError("has one destination, the cache");
  ShapedType cache = shaped(getOuts()[0]);
  if (failed(verifyForm(*this, 1)) || failed(verifyCache(*this, cache)) ||
      failed(verifyInteger(*this, "slots", getSlots(), 1)))
    return failure();
  int64_t width = cache.getDimSize(3) * cache.getDimSize(5);
  for (Value value : {getKey(), getValue()})
    if (failed(verifyRows(*this, "key or value", shaped(value),
                          shaped(getKey()), width)))
      return failure();
  return success();
}

/// Window and softcap are none by default.
template <typename OpTy> static LogicalResult verifyScalars(OpTy op) {
  if (failed(
          verifyScalar(op, "scale", !!op.getScaleAttr(), op.getScaleOfLayer())))
    return failure();
  if (op.getWindowOfLayer() && op.getWindow() != 0)
    return op.emitOpError("has a window both as attribute and of the layer");
  if (op.getSoftcapOfLayer() && !op.getSoftcap().isZero())
    return op.emitOpError("has a softcap both as attribute and of the layer");
  return success();
}

template <typename OpTy>
static LogicalResult verifyAttention(OpTy op, unsigned outputs = 1) {
  ShapedType q = shaped(op.getQ()), cache = shaped(op.getCache());
  if (failed(verifyForm(op, outputs)) || failed(verifyScalars(op)) ||
      failed(verifyCache(op, cache)) ||
      failed(verifyInteger(op, "sequence offsets", op.getSeqOffsets(), 1)) ||
      failed(verifyInteger(op, "context", op.getContextLens(), 1)) ||
      failed(verifyInteger(op, "pages", op.getPages(), 2)))
    return failure();
  int64_t kvWidth = cache.getDimSize(3) * cache.getDimSize(5);
  int64_t width = q.getShape().back();
  if (q.getRank() != 2 || width % kvWidth != 0)
    return op.emitOpError()
           << "queries " << q << " are no multiple of " << cache.getDimSize(3)
           << " heads of " << cache.getDimSize(5);
  return verifyRows(op, "result", cast<ShapedType>(getOutputTypes(op)[0]), q,
                    width);
}

/// Query heads of an attention that is known to be well-formed.
template <typename OpTy> static int64_t queryHeads(OpTy op) {
  return shaped(op.getQ()).getDimSize(1) / shaped(op.getCache()).getDimSize(5);
}

/// One integer for each token and query head.
template <typename OpTy>
static LogicalResult verifyInvalid(OpTy op, ShapedType invalid) {
  if (!invalid.getElementType().isInteger(32))
    return op.emitOpError()
           << "invalid rows are " << invalid << ", expected i32 elements";
  return verifyRows(op, "invalid rows", invalid, shaped(op.getQ()),
                    queryHeads(op));
}

LogicalResult AttentionOp::verify() { return verifyAttention(*this); }
LogicalResult PrefillAttentionOp::verify() { return verifyAttention(*this); }
LogicalResult DecodeAttentionOp::verify() { return verifyAttention(*this); }

template <typename OpTy> static LogicalResult verifyAsync(OpTy op) {
  if (failed(verifyAttention(op, 2)) ||
      failed(verifyInvalid(op, cast<ShapedType>(getOutputTypes(op)[1]))))
    return failure();
  Type weights = op.getPType();
  if (!weights.isF32() && !weights.isBF16() && !weights.isF16())
    return op.emitOpError() << "rounds its weights to " << weights
                            << ", expected f32, bf16 or f16";
  ShapedType phi = shaped(op.getPhi()), cache = shaped(op.getCache());
  if (!phi.getElementType().isF32() || phi.getRank() != 2 ||
      phi.getDimSize(0) != cache.getDimSize(0) ||
      phi.getDimSize(1) != queryHeads(op))
    return op.emitOpError()
           << "phi is " << phi << ", expected f32 of " << cache.getDimSize(0)
           << " layers and " << queryHeads(op) << " query heads";
  return success();
}

LogicalResult AsyncSoftmaxDecodeAttentionOp::verify() {
  return verifyAsync(*this);
}
LogicalResult AsyncSoftmaxPrefillAttentionOp::verify() {
  return verifyAsync(*this);
}

LogicalResult RecomputeRowsOp::verify() {
  if (getOuts().size() != 1)
    return emitOpError("has one destination, the rows to replace");
  if (failed(verifyAttention(*this)))
    return failure();
  return verifyInvalid(*this, shaped(getInvalid()));
}
