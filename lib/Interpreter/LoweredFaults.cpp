// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- LoweredFaults.cpp - Mistakes of fusion, entries and plans ----------===//
#include "Faults.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::fdpp;

/// Exchanges the two halves that an epilogue stores.
static bool breakStoredHalves(ModuleOp module) {
  auto store = findLast<StoreOp>(
      module, [](StoreOp op) { return op.getValues().size() == 2; });
  if (!store)
    return false;
  SmallVector<Value> values(llvm::reverse(store.getValues()));
  store.getValuesMutable().assign(values);
  return true;
}

/// Stores keys as values, or the other way round.
static bool breakPlane(ModuleOp module) {
  auto store = findLast<KVStoreOp>(module);
  if (store)
    store.setPlane(store.getPlane() == CachePlane::Key ? CachePlane::Value
                                                       : CachePlane::Key);
  return static_cast<bool>(store);
}

/// Forgets the element that a residual epilogue adds to.
static bool breakOld(ModuleOp module) {
  auto linear = findLast<FusedLinearOp>(module, [](FusedLinearOp op) {
    return !op.getEpilogues().back().getArgument(4).use_empty();
  });
  if (!linear)
    return false;
  Region &region = linear.getEpilogues().back();
  region.getArgument(4).replaceAllUsesWith(region.getArgument(0));
  return true;
}

/// Puts the parts of merged linears into another order.
static bool breakMerge(ModuleOp module) {
  auto concat = findLast<tensor::ConcatOp>(module, [](tensor::ConcatOp op) {
    return op->getParentOfType<WeightOp>() && op.getInputs().size() > 1 &&
           op.getInputs()[0].getType() == op.getInputs()[1].getType();
  });
  if (!concat)
    return false;
  Value first = concat.getInputs()[0];
  concat.getInputsMutable()[0].assign(concat.getInputs()[1]);
  concat.getInputsMutable()[1].assign(first);
  return true;
}

/// Reads the first layer's weight in every layer.
static bool breakBank(ModuleOp module) {
  auto at = findLast<WeightAtOp>(module, [](WeightAtOp op) {
    return op.getLayer() && isa<BlockArgument>(op.getLayer());
  });
  if (!at)
    return false;
  OpBuilder builder(at);
  at.getLayerMutable().assign(
      arith::ConstantIndexOp::create(builder, at.getLoc(), 0));
  return true;
}

/// Leaves the attention of the first prefilling sequence of @mixed out.
static bool breakSplit(ModuleOp module) {
  auto attention =
      findLast<PrefillAttentionOp>(module, [](PrefillAttentionOp op) {
        return op.getFirstSeq() != nullptr;
      });
  if (!attention)
    return false;
  OpBuilder builder(attention);
  Location loc = attention.getLoc();
  Value one = arith::ConstantIndexOp::create(builder, loc, 1);
  attention.getFirstSeqMutable().assign(
      arith::AddIOp::create(builder, loc, attention.getFirstSeq(), one));
  return true;
}

/// Puts two buffers that one operation needs into one place of the arena.
static bool breakArena(ModuleOp module) {
  memref::ViewOp first, second;
  module.walk([&](Operation *op) {
    llvm::SmallSetVector<memref::ViewOp, 2> views;
    for (Value operand : op->getOperands())
      if (auto view = operand.getDefiningOp<memref::ViewOp>())
        views.insert(view);
    if (views.size() < 2)
      return;
    first = views[0];
    second = views[1];
  });
  if (!first)
    return false;
  second.getByteShiftMutable().assign(first.getByteShift());
  if (second->isBeforeInBlock(first))
    second->moveAfter(first);
  return true;
}

ArrayRef<Fault> mlir::fdpp::loweredFaults() {
  static const Fault faults[] = {
      {"stored-halves", breakStoredHalves},
      {"plane", breakPlane},
      {"old", breakOld},
      {"merge-order", breakMerge},
      {"bank", breakBank},
      {"split", breakSplit},
      {"arena", breakArena},
  };
  return faults;
}
