// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "EpiloguePatterns.h"
#include "Dataflow.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;

static Value resultOf(FusedLinearOp op, unsigned segment) {
  return op.getOutputs()[op.getSegment(segment).getDest()];
}

/// The old element a segment uses makes its destination part of its meaning.
static bool usesOld(FusedLinearOp op, unsigned segment) {
  return !op.getEpilogues()[segment].front().getArgument(4).use_empty();
}

Operation *mlir::fdpp::onlyReader(FusedLinearOp op, unsigned segment) {
  int64_t dest = op.getSegment(segment).getDest();
  for (unsigned i = 0; i < op.getSegments().size(); ++i)
    if (i != segment && op.getSegment(i).getDest() == dest)
      return nullptr;
  Value result = resultOf(op, segment);
  if (!isa<StoreOp>(op.getEpilogues()[segment].front().getTerminator()) ||
      !result.hasOneUse())
    return nullptr;
  Operation *user = *result.user_begin();
  return user->getBlock() == op->getBlock() ? user : nullptr;
}

//===----------------------------------------------------------------------===//
// Column ranges.
//===----------------------------------------------------------------------===//

/// True for a slice that takes all rows of some neighbouring columns.
static bool takesColumns(tensor::ExtractSliceOp slice) {
  auto type = cast<RankedTensorType>(slice.getSource().getType());
  bool allRows = slice.getStaticOffsets()[0] == 0 &&
                 slice.getType().getRank() == 2 &&
                 slice.getType().getDimSize(0) == type.getDimSize(0);
  return allRows && llvm::all_of(slice.getStaticStrides(),
                                 [](int64_t stride) { return stride == 1; });
}

/// The first column of a slice that takes all rows, or -1.
static int64_t firstColumn(tensor::ExtractSliceOp slice) {
  int64_t column = slice.getStaticOffsets()[1];
  return takesColumns(slice) && !ShapedType::isDynamic(column) ? column : -1;
}

/// The slices that cover the value's columns in order, or none.
static SmallVector<tensor::ExtractSliceOp> coveringSlices(Value value) {
  SmallVector<tensor::ExtractSliceOp> slices;
  for (Operation *user : value.getUsers()) {
    auto slice = dyn_cast<tensor::ExtractSliceOp>(user);
    if (!slice || firstColumn(slice) < 0)
      return {};
    slices.push_back(slice);
  }
  llvm::sort(slices, [](tensor::ExtractSliceOp a, tensor::ExtractSliceOp b) {
    return firstColumn(a) < firstColumn(b);
  });
  int64_t covered = 0;
  for (tensor::ExtractSliceOp slice : slices) {
    if (firstColumn(slice) != covered)
      return {};
    covered += slice.getType().getDimSize(1);
  }
  auto type = cast<RankedTensorType>(value.getType());
  return covered == type.getDimSize(1) ? slices
                                       : SmallVector<tensor::ExtractSliceOp>();
}

Attempt mlir::fdpp::splitSegment(FusedLinearOp op, unsigned segment) {
  SegmentAttr attribute = op.getSegment(segment);
  if (attribute.getPartner() != PartnerKind::None || usesOld(op, segment) ||
      !isa<StoreOp>(op.getEpilogues()[segment].front().getTerminator()))
    return {};
  SmallVector<tensor::ExtractSliceOp> slices =
      coveringSlices(resultOf(op, segment));
  if (slices.empty())
    return {};
  return Attempt::done(
      editFusedLinear(op, [&](OpBuilder &b, FusedParts &parts) {
        SmallVector<EpiloguePart, 0> split;
        EpiloguePart whole = std::move(parts.parts[segment]);
        for (tensor::ExtractSliceOp slice : slices) {
          auto result = cast<OpResult>(slice->getResult(0));
          split.push_back(whole.slice(firstColumn(slice),
                                      slice.getType().getDimSize(1),
                                      parts.dests.size()));
          split.back().computes(slice.getLoc());
          parts.dests.push_back({createDestination(b, result), result});
          parts.absorbed.push_back(slice);
        }
        parts.parts.erase(parts.parts.begin() + segment);
        parts.parts.insert(parts.parts.begin() + segment,
                           std::make_move_iterator(split.begin()),
                           std::make_move_iterator(split.end()));
      }));
}

//===----------------------------------------------------------------------===//
// One value in, one value out.
//===----------------------------------------------------------------------===//

/// Where the result of an absorbed operation goes: its own destination, else
/// the segment's if the old element depends on it, else a new one.
static void redirect(OpBuilder &builder, FusedParts &parts, unsigned segment,
                     Operation *user, ValueRange outs) {
  auto result = cast<OpResult>(user->getResult(0));
  EpiloguePart &part = parts.parts[segment];
  Value init = part.old().use_empty() ? Value() : parts.dests[part.dest].init;
  if (!outs.empty())
    init = outs.front();
  if (!init)
    init = createDestination(builder, result);
  parts.dests[part.dest] = {init, result};
  parts.absorbed.push_back(user);
  part.computes(user->getLoc());
}

static Value f32Constant(OpBuilder &builder, Location loc, double value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getF32FloatAttr(value));
}

static Value activate(OpBuilder &builder, Location loc, Value value,
                      ActivationKind kind) {
  return ScalarActivationOp::create(
      builder, loc, value.getType(), value,
      ActivationKindAttr::get(builder.getContext(), kind));
}

/// A scalar of the model in f32: the layer's, or a constant.
static Value scalar(OpBuilder &builder, Location loc, FloatAttr attribute,
                    Value ofLayer) {
  if (!ofLayer)
    return f32Constant(builder, loc, attribute.getValueAsDouble());
  return arith::TruncFOp::create(builder, loc, builder.getF32Type(), ofLayer);
}

/// The scalar form of an elementwise operation with one input.
static Value elementOf(OpBuilder &builder, Operation *op, Value value) {
  Location loc = op->getLoc();
  return TypeSwitch<Operation *, Value>(op)
      .Case<ScaleOp>([&](ScaleOp scale) -> Value {
        Value factor = scalar(builder, loc, scale.getFactorAttr(),
                              scale.getFactorOfLayer());
        return arith::MulFOp::create(builder, loc, value, factor);
      })
      .Case<SoftcapOp>([&](SoftcapOp softcap) -> Value {
        Value cap =
            scalar(builder, loc, softcap.getCapAttr(), softcap.getCapOfLayer());
        value = arith::DivFOp::create(builder, loc, value, cap);
        value = activate(builder, loc, value, ActivationKind::Tanh);
        return arith::MulFOp::create(builder, loc, value, cap);
      })
      .Case<ActivationOp>([&](ActivationOp activation) {
        return activate(builder, loc, value, activation.getActivation());
      });
}

template <typename OpTy>
static Attempt absorbElementwise(FusedLinearOp op, unsigned segment,
                                 OpTy user) {
  if (usesOld(op, segment) &&
      (!user.getOuts().empty() ||
       user->getResult(0).getType() != resultOf(op, segment).getType()))
    return Attempt::missed("the segment adds to its destination, this op has "
                           "another one");
  return Attempt::done(editFusedLinear(op, [&](OpBuilder &b,
                                               FusedParts &parts) {
    parts.parts[segment].mapValues([&](OpBuilder &inner, Value value, Value) {
      return elementOf(inner, user, value);
    });
    redirect(b, parts, segment, user, user.getOuts());
  }));
}

//===----------------------------------------------------------------------===//
// A second tensor.
//===----------------------------------------------------------------------===//

/// The element of `tensor` at [row, column], in f32. Ranges of a table's
/// columns are read where the table is.
static Value capture(OpBuilder &builder, Location loc, Value tensor, Value row,
                     Value column) {
  auto slice = tensor.getDefiningOp<tensor::ExtractSliceOp>();
  if (slice && takesColumns(slice)) {
    Value first = getValueOrCreateConstantIndexOp(builder, loc,
                                                  slice.getMixedOffsets()[1]);
    column = arith::AddIOp::create(builder, loc, first, column);
    tensor = slice.getSource();
  }
  Value element =
      tensor::ExtractOp::create(builder, loc, tensor, ValueRange{row, column});
  if (!element.getType().isF32())
    element =
        arith::ExtFOp::create(builder, loc, builder.getF32Type(), element);
  return element;
}

/// True if `op` may overwrite `tensor`: nothing reads it later, and `op`'s own
/// input rows are not in it. Weights and arguments are no scratch space.
static bool mayOverwrite(FusedLinearOp op, Operation *user, Value tensor) {
  if (tensor == op.getInput() ||
      tensor.getType() != user->getResult(0).getType())
    return false;
  if (isa_and_nonnull<WeightAtOp, arith::ConstantOp>(tensor.getDefiningOp()))
    return false;
  bool argument = isa<BlockArgument>(tensor) &&
                  isa<func::FuncOp>(tensor.getParentBlock()->getParentOp());
  if (argument || tensor.getParentBlock() != op->getBlock())
    return false;
  return llvm::all_of(tensor.getUsers(), [&](Operation *reader) {
    Operation *inBlock = op->getBlock()->findAncestorOpInBlock(*reader);
    return reader == user || inBlock->isBeforeInBlock(op);
  });
}

/// A residual: the sum stays in the buffer of the other operand, which is the
/// old element of the destination.
static Attempt addInPlace(FusedLinearOp op, unsigned segment, AddOp user,
                          Value residual) {
  return Attempt::done(editFusedLinear(op, [&](OpBuilder &, FusedParts &parts) {
    EpiloguePart &part = parts.parts[segment];
    part.mapValues([&](OpBuilder &b, Value value, Value) -> Value {
      return arith::AddFOp::create(b, user.getLoc(), part.old(), value);
    });
    parts.dests[part.dest] = {residual, user->getResult(0)};
    part.computes(user.getLoc());
    parts.absorbed.push_back(user);
  }));
}

/// The other operand of `user`, which reads the segment's result once.
static Value otherOperand(FusedLinearOp op, unsigned segment, Operation *user) {
  return user->getOperand(0) == resultOf(op, segment) ? user->getOperand(1)
                                                      : user->getOperand(0);
}

/// Takes over `user`, whose element is `combine` of the value and of the same
/// element of `other`, which is captured.
template <typename OpTy>
static Attempt
combineWith(FusedLinearOp op, unsigned segment, OpTy user, Value other,
            function_ref<Value(OpBuilder &, Value, Value)> combine) {
  return Attempt::done(editFusedLinear(op, [&](OpBuilder &b,
                                               FusedParts &parts) {
    EpiloguePart &part = parts.parts[segment];
    part.mapValues([&](OpBuilder &inner, Value value, Value column) {
      Value element = capture(inner, user.getLoc(), other, part.row(), column);
      return combine(inner, value, element);
    });
    redirect(b, parts, segment, user, user.getOuts());
  }));
}

static Attempt absorbAdd(FusedLinearOp op, unsigned segment, AddOp user) {
  Value other = otherOperand(op, segment, user);
  if (usesOld(op, segment))
    return Attempt::missed("the segment already adds to its destination");
  if (other.getDefiningOp() == op)
    return Attempt::missed("both operands come from one linear");
  bool single = op.getSegment(segment).getPartner() != PartnerKind::Half;
  if (single && user.getOuts().empty() && mayOverwrite(op, user, other))
    return addInPlace(op, segment, user, other);
  return combineWith(op, segment, user, other,
                     [&](OpBuilder &b, Value value, Value element) -> Value {
                       return arith::AddFOp::create(b, user.getLoc(), element,
                                                    value);
                     });
}

/// Gate and up of one linear: a segment of pairs.
static Attempt absorbGluPair(FusedLinearOp op, unsigned gate, unsigned up,
                             GluOp user) {
  for (unsigned i : {gate, up})
    if (op.getSegment(i).getPartner() != PartnerKind::None || usesOld(op, i))
      return Attempt::missed("a segment already has a partner");
  if (up != gate + 1)
    return Attempt::missed("gate and up are not neighbours in the weight");
  return Attempt::done(
      editFusedLinear(op, [&](OpBuilder &b, FusedParts &parts) {
        parts.parts[gate] = EpiloguePart::gateUp(
            parts.parts[gate], parts.parts[up],
            [&](OpBuilder &inner, Value g, Value u) -> Value {
              g = activate(inner, user.getLoc(), g, user.getActivation());
              return arith::MulFOp::create(inner, user.getLoc(), g, u);
            });
        parts.parts.erase(parts.parts.begin() + up);
        redirect(b, parts, gate, user, user.getOuts());
      }));
}

static int segmentStoring(FusedLinearOp op, Value value) {
  for (unsigned i = 0; i < op.getSegments().size(); ++i)
    if (resultOf(op, i) == value)
      return i;
  return -1;
}

/// Gate and up of two linears: the later one reads what the earlier one stored.
static Attempt absorbGlu(FusedLinearOp op, unsigned segment, GluOp user) {
  Value other = otherOperand(op, segment, user);
  bool isGate = user.getLhs() == resultOf(op, segment);
  if (user.getLhs() == user.getRhs())
    return Attempt::missed("gate and up are the same value");
  if (int second = segmentStoring(op, other); second >= 0) {
    if (onlyReader(op, second) != user)
      return Attempt::missed("a part of the linear is read elsewhere too");
    return absorbGluPair(op, isGate ? segment : second,
                         isGate ? second : segment, user);
  }
  if (usesOld(op, segment))
    return Attempt::missed("the segment adds to its destination");
  return combineWith(
      op, segment, user, other,
      [&](OpBuilder &b, Value value, Value element) -> Value {
        Value gate = isGate ? value : element, up = isGate ? element : value;
        gate = activate(b, user.getLoc(), gate, user.getActivation());
        return arith::MulFOp::create(b, user.getLoc(), gate, up);
      });
}

//===----------------------------------------------------------------------===//
// Rotary embedding and cache.
//===----------------------------------------------------------------------===//

/// The rotation of a pair; `column` is the first half's.
static void rotate(EpiloguePart &part, RopeOp user) {
  StoreOp end = part.store();
  OpBuilder b(end);
  Location loc = user.getLoc();
  Value first = end.getValues()[0], second = end.getValues()[1];
  Value head = arith::ConstantIndexOp::create(b, loc, user.getHeadDim());
  Value j = arith::RemUIOp::create(b, loc, part.column(), head);
  Value cos = capture(b, loc, user.getCos(), part.row(), j);
  Value sin = capture(b, loc, user.getSin(), part.row(), j);
  auto times = [&](Value x, Value y) -> Value {
    return arith::MulFOp::create(b, loc, x, y);
  };
  Value low =
      arith::SubFOp::create(b, loc, times(first, cos), times(second, sin));
  Value high =
      arith::AddFOp::create(b, loc, times(second, cos), times(first, sin));
  end.getValuesMutable().assign({low, high});
}

static Attempt absorbRope(FusedLinearOp op, unsigned segment, RopeOp user) {
  int64_t headDim = user.getHeadDim();
  int64_t rotary =
      2 * cast<ShapedType>(user.getCos().getType()).getShape().back();
  if (user.getInterleaved())
    return Attempt::missed("its pairs are interleaved, a fused linear pairs "
                           "halves of a head");
  if (rotary != headDim)
    return Attempt::missed("it rotates " + Twine(rotary) + " of " +
                           Twine(headDim) + " elements a head");
  if (op.getSegment(segment).getPartner() != PartnerKind::None ||
      usesOld(op, segment))
    return Attempt::missed("the segment already has a partner");
  if (user.getInput() != resultOf(op, segment))
    return Attempt::missed("the linear computes its angles");
  return Attempt::done(
      editFusedLinear(op, [&](OpBuilder &b, FusedParts &parts) {
        parts.parts[segment].pairWithinGroups(headDim);
        rotate(parts.parts[segment], user);
        redirect(b, parts, segment, user, user.getOuts());
      }));
}

/// Ends the segment with a store to the cache.
static void storeToCache(EpiloguePart &part, KVAppendOp user,
                         CachePlane plane) {
  StoreOp end = part.store();
  OpBuilder b(end);
  Location loc = user.getLoc();
  Value slot = tensor::ExtractOp::create(b, loc, user.getSlots(), part.row());
  // What is stored is still the value that the segment computes.
  KVStoreOp::create(b, end.getLoc(), CachePlaneAttr::get(b.getContext(), plane),
                    slot, user.getLayer(), end.getValues());
  end.erase();
}

/// Stores one plane from one linear; `cache` is what it overwrites.
static FusedLinearOp storePlane(FusedLinearOp op, unsigned segment,
                                KVAppendOp user, CachePlane plane,
                                Value cache) {
  return editFusedLinear(op, [&](OpBuilder &, FusedParts &parts) {
    EpiloguePart &part = parts.parts[segment];
    storeToCache(part, user, plane);
    parts.dests[part.dest].init = cache;
  });
}

static Attempt appendFromOne(FusedLinearOp op, unsigned key, unsigned value,
                             KVAppendOp user) {
  return Attempt::done(editFusedLinear(op, [&](OpBuilder &, FusedParts &parts) {
    storeToCache(parts.parts[key], user, CachePlane::Key);
    storeToCache(parts.parts[value], user, CachePlane::Value);
    parts.parts[key].dest = parts.parts[value].dest = parts.dests.size();
    parts.dests.push_back({user.getOuts().front(), user->getResult(0)});
    parts.absorbed.push_back(user);
  }));
}

/// Keys and values of two linears: each stores its plane, one after the other.
static Attempt appendFromTwo(FusedLinearOp first, unsigned firstSegment,
                             FusedLinearOp second, unsigned secondSegment,
                             CachePlane firstPlane, KVAppendOp user) {
  CachePlane secondPlane =
      firstPlane == CachePlane::Key ? CachePlane::Value : CachePlane::Key;
  first =
      storePlane(first, firstSegment, user, firstPlane, user.getOuts().front());
  second = storePlane(second, secondSegment, user, secondPlane,
                      resultOf(first, firstSegment));
  user->getResult(0).replaceAllUsesWith(resultOf(second, secondSegment));
  user.erase();
  return Attempt::done(second);
}

static Attempt absorbAppend(FusedLinearOp op, KVAppendOp user) {
  auto key = user.getKey().getDefiningOp<FusedLinearOp>();
  auto value = user.getValue().getDefiningOp<FusedLinearOp>();
  if (!key || !value)
    return Attempt::missed("keys or values do not come straight from a linear");
  if (user.getKey() == user.getValue())
    return Attempt::missed("keys and values are the same value");
  unsigned k = segmentStoring(key, user.getKey());
  unsigned v = segmentStoring(value, user.getValue());
  if (onlyReader(key, k) != user || onlyReader(value, v) != user ||
      usesOld(key, k) || usesOld(value, v))
    return Attempt::missed("keys or values are read elsewhere too");
  if (!getElementTypeOrSelf(user.getSlots().getType()).isInteger(32))
    return Attempt::missed("its slots are not 32-bit integers");
  bool keyFirst = key == value || key->isBeforeInBlock(value);
  FusedLinearOp first = keyFirst ? key : value;
  for (Value operand :
       {Value(user.getSlots()), Value(user.getLayer()), user.getOuts().front()})
    if (failed(hoistBefore(operand, first)))
      return Attempt::missed("cache, slots or layer are computed later");
  if (key == value)
    return appendFromOne(key, k, v, user);
  return keyFirst ? appendFromTwo(key, k, value, v, CachePlane::Key, user)
                  : appendFromTwo(value, v, key, k, CachePlane::Value, user);
}

//===----------------------------------------------------------------------===//

Attempt mlir::fdpp::absorb(FusedLinearOp op, unsigned segment,
                           Operation *user) {
  if (!isa<ScaleOp, SoftcapOp, ActivationOp, AddOp, GluOp, RopeOp, KVAppendOp>(
          user))
    return {};
  if (!getElementTypeOrSelf(resultOf(op, segment).getType()).isF32())
    return Attempt::missed("the linear's result is rounded in between");
  if (!isa<KVAppendOp>(user))
    for (Value operand : user->getOperands())
      if (operand.getDefiningOp() != op && failed(hoistBefore(operand, op)))
        return Attempt::missed("another operand of it is computed later");
  return TypeSwitch<Operation *, Attempt>(user)
      .Case<ScaleOp, SoftcapOp, ActivationOp>(
          [&](auto typed) { return absorbElementwise(op, segment, typed); })
      .Case<AddOp>([&](AddOp add) { return absorbAdd(op, segment, add); })
      .Case<GluOp>([&](GluOp glu) { return absorbGlu(op, segment, glu); })
      .Case<RopeOp>([&](RopeOp rope) { return absorbRope(op, segment, rope); })
      .Case<KVAppendOp>(
          [&](KVAppendOp append) { return absorbAppend(op, append); });
}
