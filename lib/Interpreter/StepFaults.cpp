// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- StepFaults.cpp - Mistakes in a step over tensors -------------------===//
#include "Faults.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;

/// The last operation of its kind on tensors.
template <typename OpTy, typename Fn>
static OpTy findPure(ModuleOp module, Fn accept) {
  return findLast<OpTy>(module, [&](OpTy op) {
    return llvm::none_of(op->getOperandTypes(),
                         llvm::IsaPred<BaseMemRefType>) &&
           accept(op);
  });
}
template <typename OpTy> static OpTy findPure(ModuleOp module) {
  return findPure<OpTy>(module, [](OpTy) { return true; });
}

/// An i32 list with `by` added to every element.
static Value shifted(OpBuilder &builder, Value list, int64_t by) {
  Location loc = list.getLoc();
  auto type = cast<RankedTensorType>(list.getType());
  Value size = tensor::DimOp::create(builder, loc, list, 0);
  Value step = arith::ConstantOp::create(
      builder, loc, builder.getIntegerAttr(type.getElementType(), by));
  Value splat = tensor::SplatOp::create(builder, loc, step, type, size);
  return arith::AddIOp::create(builder, loc, list, splat);
}

//===----------------------------------------------------------------------===//
// The faults.
//===----------------------------------------------------------------------===//

static bool breakEps(ModuleOp module) {
  if (auto norm = findLast<RMSNormOp>(
          module, [](RMSNormOp op) { return op.getEpsAttr() != nullptr; })) {
    norm.setEpsAttr(times(norm.getEpsAttr(), 1.5));
    return true;
  }
  auto fused = findLast<FusedLinearOp>(
      module, [](FusedLinearOp op) { return op.getEpsAttr() != nullptr; });
  if (fused)
    fused.setEpsAttr(times(fused.getEpsAttr(), 1.5));
  return static_cast<bool>(fused);
}

/// Pairs (2j, 2j + 1) instead of (j, j + half), or the other way round.
static bool breakRotaryHalves(ModuleOp module) {
  auto rope = findPure<RopeOp>(module, [](RopeOp op) {
    return cast<ShapedType>(op.getCos().getType()).getShape().back() > 1;
  });
  if (rope)
    rope.setInterleaved(!rope.getInterleaved());
  return static_cast<bool>(rope);
}

static bool breakBias(ModuleOp module) {
  auto linear = findPure<LinearOp>(
      module, [](LinearOp op) { return op.getBias() != nullptr; });
  if (linear)
    linear.getBiasMutable().clear();
  return static_cast<bool>(linear);
}

/// Rotates queries, and not keys, by the angles of a neighbouring position.
static bool breakPosition(ModuleOp module, int64_t by) {
  auto attention = findPure<AttentionOp>(module);
  auto rope = attention ? attention.getQ().getDefiningOp<RopeOp>() : RopeOp();
  auto table =
      rope ? rope.getCos().getDefiningOp<RopeTableOp>() : RopeTableOp();
  if (!table)
    return false;
  OpBuilder builder(rope);
  auto moved = cast<RopeTableOp>(builder.clone(*table));
  builder.setInsertionPoint(moved);
  moved.getPositionsMutable().assign(
      shifted(builder, table.getPositions(), by));
  rope.getCosMutable().assign(moved.getResult(0));
  rope.getSinMutable().assign(moved.getResult(1));
  return true;
}

/// Lets queries see one key more or less.
static bool breakCausal(ModuleOp module, int64_t by) {
  auto attention = findPure<AttentionOp>(module);
  if (!attention)
    return false;
  OpBuilder builder(attention);
  attention.getContextLensMutable().assign(
      shifted(builder, attention.getContextLens(), by));
  return true;
}

static bool breakSlots(ModuleOp module) {
  auto append = findPure<KVAppendOp>(module);
  if (!append)
    return false;
  OpBuilder builder(append);
  append.getSlotsMutable().assign(shifted(builder, append.getSlots(), 1));
  return true;
}

/// Exchanges the two halves of the query heads of a model with several KV
/// heads: each reads another head than it was trained with.
static bool breakGroup(ModuleOp module) {
  auto attention = findPure<AttentionOp>(module, [](AttentionOp op) {
    return cast<ShapedType>(op.getCache().getType()).getDimSize(3) > 1;
  });
  if (!attention)
    return false;
  OpBuilder builder(attention);
  Location loc = attention.getLoc();
  auto cache = cast<ShapedType>(attention.getCache().getType());
  auto type = cast<RankedTensorType>(attention.getQ().getType());
  int64_t width = type.getDimSize(1), group = width / cache.getDimSize(3);
  Value rows = tensor::DimOp::create(builder, loc, attention.getQ(), 0);
  auto part = [&](int64_t first, int64_t count) -> Value {
    SmallVector<OpFoldResult> offsets{builder.getIndexAttr(0),
                                      builder.getIndexAttr(first)};
    SmallVector<OpFoldResult> sizes{rows, builder.getIndexAttr(count)};
    SmallVector<OpFoldResult> ones(2, builder.getIndexAttr(1));
    return tensor::ExtractSliceOp::create(builder, loc, attention.getQ(),
                                          offsets, sizes, ones);
  };
  Value parts[] = {part(group, width - group), part(0, group)};
  Value moved = tensor::ConcatOp::create(builder, loc, type, 1, parts);
  attention.getQMutable().assign(moved);
  return true;
}

static bool breakTranspose(ModuleOp module) {
  auto linear = findPure<LinearOp>(module, [](LinearOp op) {
    auto type = cast<ShapedType>(op.getWeight().getType());
    return type.getDimSize(0) == type.getDimSize(1);
  });
  if (!linear)
    return false;
  OpBuilder builder(linear);
  linear.getWeightMutable().assign(
      TransposeOp::create(builder, linear.getLoc(),
                          linear.getWeight().getType(), linear.getWeight()));
  return true;
}

/// The last attention of any form.
static Operation *findAttention(ModuleOp module) {
  Operation *found = nullptr;
  module.walk([&](Operation *op) {
    if (isa<MaskedAttentionOp, AttentionOp, PrefillAttentionOp,
            DecodeAttentionOp>(op))
      found = op;
  });
  return found;
}

static bool breakScale(ModuleOp module) {
  Operation *attention = findAttention(module);
  if (attention && !attention->hasAttr("scale"))
    return false;
  if (attention)
    attention->setAttr(
        "scale", times(attention->getAttrOfType<FloatAttr>("scale"), 1.001));
  return attention != nullptr;
}

static bool hasWindowOfLayer(Operation *attention) {
  return TypeSwitch<Operation *, bool>(attention)
      .Case<AttentionOp, PrefillAttentionOp, DecodeAttentionOp>(
          [](auto op) { return static_cast<bool>(op.getWindowOfLayer()); })
      .Default(false);
}

static bool breakWindow(ModuleOp module) {
  Operation *attention = findAttention(module);
  if (!attention || isa<MaskedAttentionOp>(attention) ||
      hasWindowOfLayer(attention))
    return false;
  auto window = attention->getAttrOfType<IntegerAttr>("window");
  int64_t tokens = window ? window.getInt() : 0;
  attention->setAttr(
      "window",
      Builder(module.getContext()).getI64IntegerAttr(tokens ? tokens + 1 : 3));
  return true;
}

static bool breakSoftcap(ModuleOp module) {
  auto softcap = findPure<SoftcapOp>(
      module, [](SoftcapOp op) { return op.getCapAttr() != nullptr; });
  if (softcap)
    softcap.setCapAttr(times(softcap.getCapAttr(), 1.01));
  return static_cast<bool>(softcap);
}

static bool breakResidual(ModuleOp module) {
  auto add = findPure<AddOp>(module);
  if (!add)
    return false;
  add.getResult(0).replaceAllUsesWith(add.getRhs());
  add.erase();
  return true;
}

static bool breakActivation(ModuleOp module) {
  auto glu = findPure<GluOp>(module);
  if (glu)
    glu.setActivation(glu.getActivation() == ActivationKind::GELU
                          ? ActivationKind::GELUTanh
                          : ActivationKind::GELU);
  return static_cast<bool>(glu);
}

static bool breakGateUp(ModuleOp module) {
  auto glu = findPure<GluOp>(module);
  if (!glu)
    return false;
  Value gate = glu.getLhs();
  glu.getLhsMutable().assign(glu.getRhs());
  glu.getRhsMutable().assign(gate);
  return true;
}

static bool breakKeyValue(ModuleOp module) {
  auto append = findPure<KVAppendOp>(module);
  if (!append)
    return false;
  Value key = append.getKey();
  append.getKeyMutable().assign(append.getValue());
  append.getValueMutable().assign(key);
  return true;
}

/// The last layer keeps its keys and values in the first layer's pages.
static bool breakLayer(ModuleOp module) {
  auto append = findPure<KVAppendOp>(module);
  if (!append ||
      cast<ShapedType>(append.getOuts()[0].getType()).getDimSize(0) == 1)
    return false;
  OpBuilder builder(append);
  append.getLayerMutable().assign(
      arith::ConstantIndexOp::create(builder, append.getLoc(), 0));
  return true;
}

/// Gives the logits of the rows in order.
static bool breakRows(ModuleOp module) {
  auto select = findPure<SelectRowsOp>(module);
  auto slots = findPure<TokenSlotsOp>(module);
  if (!select || !slots)
    return false;
  OpBuilder builder(select);
  Value rows = select.getRows();
  auto type = cast<RankedTensorType>(rows.getType());
  Value zero = arith::ConstantOp::create(
      builder, select.getLoc(),
      builder.getIntegerAttr(type.getElementType(), 0));
  Value size = tensor::DimOp::create(builder, select.getLoc(), rows, 0);
  select.getRowsMutable().assign(
      tensor::SplatOp::create(builder, select.getLoc(), zero, type, size));
  return true;
}

static bool breakMagnitude(ModuleOp module) {
  auto table = findPure<RopeTableOp>(module);
  if (table)
    table.setMagnitudeAttr(times(table.getMagnitudeAttr(), 1.01));
  return static_cast<bool>(table);
}

ArrayRef<Fault> mlir::fdpp::stepFaults() {
  static const Fault faults[] = {
      {"eps", breakEps},
      {"rotary-halves", breakRotaryHalves},
      {"bias", breakBias},
      {"position+1", [](ModuleOp m) { return breakPosition(m, 1); }},
      {"position-1", [](ModuleOp m) { return breakPosition(m, -1); }},
      {"gqa-group", breakGroup},
      {"transpose", breakTranspose},
      {"scale", breakScale},
      {"causal+1", [](ModuleOp m) { return breakCausal(m, 1); }},
      {"causal-1", [](ModuleOp m) { return breakCausal(m, -1); }},
      {"slots", breakSlots},
      {"window", breakWindow},
      {"softcap", breakSoftcap},
      {"residual", breakResidual},
      {"activation", breakActivation},
      {"gate-up", breakGateUp},
      {"key-value", breakKeyValue},
      {"layer", breakLayer},
      {"rows", breakRows},
      {"magnitude", breakMagnitude},
  };
  return faults;
}
