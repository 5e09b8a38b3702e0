// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- InjectFault.cpp - Mistakes that checks must find -------------------===//
//
// --fdpp-inject-fault=kind=K makes one of the mistakes that compilers of such
// models make. Only tests use it: a check that does not notice it is no check.
//
//===----------------------------------------------------------------------===//
#include "fdpp/Interpreter/Testing.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;
using namespace mlir::fdpp;

/// The last operation of its kind that `accept` takes. (The last one, since a
/// fault early in a model is noticed more easily.)
template <typename OpTy, typename Fn>
static OpTy find(ModuleOp module, Fn accept) {
  OpTy found;
  module.walk([&](OpTy op) {
    if (accept(op))
      found = op;
  });
  return found;
}
template <typename OpTy> static OpTy find(ModuleOp module) {
  return find<OpTy>(module, [](OpTy) { return true; });
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

static FloatAttr times(FloatAttr attr, double factor) {
  return FloatAttr::get(attr.getType(), attr.getValueAsDouble() * factor);
}

//===----------------------------------------------------------------------===//
// The faults. Each returns false where the model has nothing to break.
//===----------------------------------------------------------------------===//

static bool breakEps(ModuleOp module) {
  if (auto norm = find<RMSNormOp>(module)) {
    norm.setEpsAttr(times(norm.getEpsAttr(), 1.5));
    return true;
  }
  auto fused = find<FusedLinearOp>(
      module, [](FusedLinearOp op) { return op.getEpsAttr() != nullptr; });
  if (fused)
    fused.setEpsAttr(times(fused.getEpsAttr(), 1.5));
  return static_cast<bool>(fused);
}

/// Pairs (2j, 2j + 1) instead of (j, j + half), or the other way round.
static bool breakRotaryHalves(ModuleOp module) {
  auto rope = find<RopeOp>(module, [](RopeOp op) {
    return cast<ShapedType>(op.getCos().getType()).getShape().back() > 1;
  });
  if (rope)
    rope.setInterleaved(!rope.getInterleaved());
  return static_cast<bool>(rope);
}

static bool breakBias(ModuleOp module) {
  auto linear = find<LinearOp>(
      module, [](LinearOp op) { return op.getBias() != nullptr; });
  if (linear)
    linear.getBiasMutable().clear();
  return static_cast<bool>(linear);
}

/// Rotates queries, and not keys, by the angles of a neighbouring position.
static bool breakPosition(ModuleOp module, int64_t by) {
  auto attention = find<AttentionOp>(module);
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
  auto attention = find<AttentionOp>(module);
  if (!attention)
    return false;
  OpBuilder builder(attention);
  attention.getContextLensMutable().assign(
      shifted(builder, attention.getContextLens(), by));
  return true;
}

static bool breakSlots(ModuleOp module) {
  auto append = find<KVAppendOp>(module);
  if (!append)
    return false;
  OpBuilder builder(append);
  append.getSlotsMutable().assign(shifted(builder, append.getSlots(), 1));
  return true;
}

/// Exchanges the two halves of the query heads of a model with several KV
/// heads: each reads another head than it was trained with.
static bool breakGroup(ModuleOp module) {
  auto attention = find<AttentionOp>(module, [](AttentionOp op) {
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
  auto linear = find<LinearOp>(module, [](LinearOp op) {
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

static bool breakScale(ModuleOp module) {
  auto attention = find<AttentionOp>(module);
  if (attention)
    attention.setScaleAttr(times(attention.getScaleAttr(), 1.001));
  return static_cast<bool>(attention);
}

static bool breakWindow(ModuleOp module) {
  auto attention = find<AttentionOp>(module);
  if (attention)
    attention.setWindow(attention.getWindow() ? attention.getWindow() + 1 : 3);
  return static_cast<bool>(attention);
}

static bool breakSoftcap(ModuleOp module) {
  auto softcap = find<SoftcapOp>(module);
  if (softcap)
    softcap.setCapAttr(times(softcap.getCapAttr(), 1.01));
  return static_cast<bool>(softcap);
}

static bool breakResidual(ModuleOp module) {
  auto add = find<AddOp>(module);
  if (!add)
    return false;
  add.getResult(0).replaceAllUsesWith(add.getRhs());
  add.erase();
  return true;
}

static bool breakActivation(ModuleOp module) {
  auto glu = find<GluOp>(module);
  if (glu)
    glu.setActivation(glu.getActivation() == ActivationKind::GELU
                          ? ActivationKind::GELUTanh
                          : ActivationKind::GELU);
  return static_cast<bool>(glu);
}

static bool breakGateUp(ModuleOp module) {
  auto glu = find<GluOp>(module);
  if (!glu)
    return false;
  Value gate = glu.getLhs();
  glu.getLhsMutable().assign(glu.getRhs());
  glu.getRhsMutable().assign(gate);
  return true;
}

static bool breakKeyValue(ModuleOp module) {
  auto append = find<KVAppendOp>(module);
  if (!append)
    return false;
  Value key = append.getKey();
  append.getKeyMutable().assign(append.getValue());
  append.getValueMutable().assign(key);
  return true;
}

/// The last layer keeps its keys and values in the first layer's pages.
static bool breakLayer(ModuleOp module) {
  auto append = find<KVAppendOp>(module);
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
  auto select = find<SelectRowsOp>(module);
  auto slots = find<TokenSlotsOp>(module);
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
  auto table = find<RopeTableOp>(module);
  if (table)
    table.setMagnitudeAttr(times(table.getMagnitudeAttr(), 1.01));
  return static_cast<bool>(table);
}

//===----------------------------------------------------------------------===//
// Faults of fused models.
//===----------------------------------------------------------------------===//

/// Exchanges the two halves that an epilogue stores.
static bool breakStoredHalves(ModuleOp module) {
  auto store = find<StoreOp>(
      module, [](StoreOp op) { return op.getValues().size() == 2; });
  if (!store)
    return false;
  SmallVector<Value> values(llvm::reverse(store.getValues()));
  store.getValuesMutable().assign(values);
  return true;
}

/// Stores keys as values, or the other way round.
static bool breakPlane(ModuleOp module) {
  auto store = find<KVStoreOp>(module);
  if (store)
    store.setPlane(store.getPlane() == CachePlane::Key ? CachePlane::Value
                                                       : CachePlane::Key);
  return static_cast<bool>(store);
}

/// Forgets the element that a residual epilogue adds to.
static bool breakOld(ModuleOp module) {
  auto linear = find<FusedLinearOp>(module, [](FusedLinearOp op) {
    return !op.getEpilogues().back().getArgument(4).use_empty();
  });
  if (!linear)
    return false;
  Region &region = linear.getEpilogues().back();
  region.getArgument(4).replaceAllUsesWith(region.getArgument(0));
  return true;
}

namespace {
struct Fault {
  StringRef name;
  bool (*inject)(ModuleOp);
};

const Fault kFaults[] = {
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
    {"stored-halves", breakStoredHalves},
    {"plane", breakPlane},
    {"old", breakOld},
};

struct InjectFaultPass
    : public PassWrapper<InjectFaultPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(InjectFaultPass)

  InjectFaultPass() = default;
  InjectFaultPass(const InjectFaultPass &other) : PassWrapper(other) {}

  StringRef getArgument() const final { return "fdpp-inject-fault"; }
  StringRef getDescription() const final {
    return "Make a mistake that --fdpp-check-each must find (for tests)";
  }
  void getDependentDialects(DialectRegistry &registry) const final {
    registry.insert<arith::ArithDialect, tensor::TensorDialect>();
  }
  void runOnOperation() final {
    for (const Fault &fault : kFaults) {
      if (fault.name != kind)
        continue;
      if (!fault.inject(getOperation())) {
        emitError(getOperation().getLoc(), "has nothing that fault '")
            << kind << "' could break";
        signalPassFailure();
      }
      return;
    }
    InFlightDiagnostic error = emitError(getOperation().getLoc(), "no fault '")
                               << kind << "', only";
    for (const Fault &fault : kFaults)
      error << " " << fault.name;
    signalPassFailure();
  }

  Option<std::string> kind{*this, "kind", llvm::cl::desc("Which mistake")};
};

struct MakeRandomModelPass
    : public PassWrapper<MakeRandomModelPass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(MakeRandomModelPass)

  MakeRandomModelPass() = default;
  MakeRandomModelPass(const MakeRandomModelPass &other) : PassWrapper(other) {}

  StringRef getArgument() const final { return "fdpp-make-random-model"; }
  StringRef getDescription() const final {
    return "Fill an empty module with a random raised model (for tests)";
  }
  void getDependentDialects(DialectRegistry &registry) const final {
    registry.insert<arith::ArithDialect, func::FuncDialect, FDPPDialect>();
  }
  void runOnOperation() final { buildRandomModel(getOperation(), seed); }

  Option<uint64_t> seed{*this, "seed", llvm::cl::desc("Names the model"),
                        llvm::cl::init(1)};
};
} // namespace

void mlir::fdpp::registerTestingPasses() {
  PassRegistration<InjectFaultPass>();
  PassRegistration<MakeRandomModelPass>();
}
