// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- GraphFaults.cpp - Mistakes in graphs -------------------------------===//
#include "Faults.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"
#include "fdpp/Dialect/ONNX/IR/ONNXLiftedOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace mlir::fdpp;

/// The last operator of this name.
static Operation *findOperator(ModuleOp module, StringRef name) {
  Operation *found = nullptr;
  module.walk([&](Operation *op) {
    if (op->getName().getStringRef() == name)
      found = op;
  });
  return found;
}

/// Gives the last mask another predicate.
static bool breakMask(ModuleOp module, MaskAttr (*change)(MaskAttr)) {
  if (auto mask = findLast<onnx::MaskOp>(module)) {
    mask.setVisibleAttr(change(mask.getVisible()));
    if (!mask.getVisible().getPadding())
      mask.getPaddingMutable().clear();
    return true;
  }
  auto attention = findLast<MaskedAttentionOp>(module);
  if (!attention)
    return false;
  attention.setMaskAttr(change(attention.getMask()));
  if (!attention.getMask().getPadding())
    attention.getPaddingMutable().clear();
  return true;
}

static MaskAttr withoutCausal(MaskAttr mask) {
  return MaskAttr::get(mask.getContext(), !mask.getCausal(), mask.getWindow(),
                       mask.getPadding());
}
static MaskAttr withoutPadding(MaskAttr mask) {
  return MaskAttr::get(mask.getContext(), mask.getCausal(), mask.getWindow(),
                       false);
}
static MaskAttr withWindow(MaskAttr mask) {
  int64_t window = mask.getWindow() ? mask.getWindow() + 1 : 3;
  return MaskAttr::get(mask.getContext(), mask.getCausal(), window,
                       mask.getPadding());
}

/// Takes the past keys for values, and the past values for keys.
static bool breakPast(ModuleOp module) {
  constexpr unsigned kPastKey = 4, kPastValue = 5;
  Operation *op = findOperator(module, "onnx.Attention");
  if (auto attention = dyn_cast_or_null<onnx::Operator>(op)) {
    OperandRange key = attention.inputGroup(kPastKey);
    OperandRange value = attention.inputGroup(kPastValue);
    if (key.empty() || value.empty())
      return false;
    Value first = key.front();
    op->setOperand(key.getBeginOperandIndex(), value.front());
    op->setOperand(value.getBeginOperandIndex(), first);
    return true;
  }
  auto attention = findLast<MaskedAttentionOp>(
      module, [](MaskedAttentionOp op) { return op.getPast().size() == 2; });
  if (!attention)
    return false;
  SmallVector<Value> past(llvm::reverse(attention.getPast()));
  attention.getPastMutable().assign(past);
  return true;
}

/// Counts one token too many in what stands for shape arithmetic.
static bool breakExtents(ModuleOp module) {
  auto extents = findLast<onnx::ExtentsOp>(module);
  if (!extents)
    return false;
  SmallVector<AffineExpr> results;
  for (AffineExpr expr : extents.getMap().getResults())
    results.push_back(expr + 1);
  extents.setMap(AffineMap::get(0, extents.getMap().getNumSymbols(), results,
                                module.getContext()));
  return true;
}

/// Forgets to transpose what a MatMul reads.
static bool breakOrientation(ModuleOp module) {
  Operation *found = nullptr;
  module.walk([&](Operation *op) {
    auto type = op->getNumResults() == 1
                    ? dyn_cast<RankedTensorType>(op->getResult(0).getType())
                    : RankedTensorType();
    bool square = type && type.hasStaticShape() && type.getRank() == 2 &&
                  type.getDimSize(0) == type.getDimSize(1);
    if (square && op->getName().getStringRef() == "onnx.Transpose")
      found = op;
  });
  if (!found)
    return false;
  found->getResult(0).replaceAllUsesWith(found->getOperand(0));
  return true;
}

/// Pairs neighbours in the last rotary embedding instead of halves.
static bool breakRotary(ModuleOp module) {
  Operation *op = findOperator(module, "onnx.RotaryEmbedding");
  if (!op)
    return false;
  Builder builder(module.getContext());
  int64_t now = onnx::intAttr(op, "interleaved", int64_t(0));
  op->setAttr("interleaved", builder.getI64IntegerAttr(1 - now));
  return true;
}

ArrayRef<Fault> mlir::fdpp::graphFaults() {
  static const Fault faults[] = {
      {"mask-causal", [](ModuleOp m) { return breakMask(m, withoutCausal); }},
      {"mask-padding", [](ModuleOp m) { return breakMask(m, withoutPadding); }},
      {"mask-window", [](ModuleOp m) { return breakMask(m, withWindow); }},
      {"past", breakPast},
      {"extents", breakExtents},
      {"orientation", breakOrientation},
      {"graph-rotary", breakRotary},
  };
  return faults;
}
