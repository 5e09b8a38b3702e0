// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-verify-phase=PHASE

#include "fdpp/Pipelines/VerifyPhase.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::Phase;

namespace {

/// Why an operation has no place in a phase; `culprit` is the pass that should
/// have removed it, or null if it belongs to a later phase. Empty: it has one.
struct Objection {
  const char *culprit = nullptr;
  bool objects = false;

  static Objection none() { return {}; }
  static Objection owedBy(const char *pass) { return {pass, true}; }
  static Objection tooEarly() { return {nullptr, true}; }
};

bool isOnnx(Operation *op) {
  return op->getName().getDialectNamespace() == "onnx";
}

bool isFusedOnly(Operation *op) {
  return isa<FusedLinearOp, PrefillAttentionOp, DecodeAttentionOp,
             AsyncSoftmaxDecodeAttentionOp, AsyncSoftmaxPrefillAttentionOp,
             RecomputeRowsOp>(op);
}

bool isOfLibrary(Operation *op) {
  return isa<PrologueOp, LibraryGemmOp, EpilogueOp>(op);
}

bool hasTensors(Operation *op) {
  auto isTensor = [](Type type) { return isa<TensorType>(type); };
  return llvm::any_of(op->getOperandTypes(), isTensor) ||
         llvm::any_of(op->getResultTypes(), isTensor);
}

Objection inImport(Operation *op) {
  bool legal = isOnnx(op) ||
               isa<WeightOp, WeightAtOp, TransposeOp, YieldOp>(op) ||
               op->getName().getDialectNamespace() != "fdpp";
  return legal ? Objection::none() : Objection::tooEarly();
}

Objection inRecognised(Operation *op) {
  if (isOnnx(op))
    return Objection::owedBy("--onnx-recognise");
  if (isa<DispatchOp>(op) || isFusedOnly(op) || isOfLibrary(op) ||
      isa<AttentionOp, KVAppendOp, TokenSlotsOp>(op))
    return Objection::tooEarly();
  return Objection::none();
}

Objection inRaised(Operation *op) {
  if (isOnnx(op))
    return Objection::owedBy("--onnx-recognise");
  if (isa<MaskedAttentionOp, SlotPositionsOp>(op))
    return Objection::owedBy("--fdpp-to-step");
  if (isFusedOnly(op) || isOfLibrary(op) || isa<DispatchOp, scf::ForOp>(op))
    return Objection::tooEarly();
  return Objection::none();
}

Objection inRolled(Operation *op) {
  if (isa<arith::ConstantOp>(op) && hasTensors(op))
    return Objection::owedBy("--fdpp-name-weights");
  return isa<scf::ForOp, scf::YieldOp>(op) ? Objection::none() : inRaised(op);
}

/// True for computations without `outs`.
bool lacksDestinations(Operation *op) {
  return TypeSwitch<Operation *, bool>(op)
      .Case<TokenSlotsOp, RopeTableOp, EmbedOp, RMSNormOp, LayerNormOp, RopeOp,
            GluOp, AddOp, ActivationOp, ScaleOp, SoftcapOp, SelectRowsOp,
            PrefillAttentionOp, DecodeAttentionOp,
            AsyncSoftmaxDecodeAttentionOp, AsyncSoftmaxPrefillAttentionOp,
            RecomputeRowsOp>(
          [](auto compute) { return compute.getOuts().empty(); })
      .Default([](Operation *) { return false; });
}

Objection inFused(Operation *op) {
  if (isOnnx(op))
    return Objection::owedBy("--onnx-recognise");
  if (isa<MaskedAttentionOp, SlotPositionsOp>(op))
    return Objection::owedBy("--fdpp-to-step");
  // A rotary kernel of its own may read a range of a table's columns.
  auto slice = dyn_cast<tensor::ExtractSliceOp>(op);
  if (isa<LinearOp>(op) ||
      (slice && !llvm::all_of(slice->getUsers(), llvm::IsaPred<RopeOp>)))
    return Objection::owedBy("--fdpp-fuse-epilogues");
  if (isa<AttentionOp>(op))
    return Objection::owedBy("--fdpp-specialise-entries");
  if (auto func = dyn_cast<func::FuncOp>(op))
    if (auto entry = func->getAttrOfType<StringAttr>(kEntryAttr);
        entry && entry.getValue() == "step")
      return Objection::owedBy("--fdpp-specialise-entries");
  if (isa<DispatchOp>(op) || isOfLibrary(op))
    return Objection::tooEarly();
  if (lacksDestinations(op))
    return Objection::owedBy("--fdpp-to-destination-style");
  return Objection::none();
}

Objection inPlanned(Operation *op) {
  if (hasTensors(op))
    return Objection::owedBy("--fdpp-bufferize");
  if (isa<memref::AllocOp>(op))
    return Objection::owedBy("--fdpp-place-arena");
  if (isa<memref::CopyOp>(op))
    return Objection::owedBy("--fdpp-bufferize");
  auto linear = dyn_cast<FusedLinearOp>(op);
  if (linear && !linear.getVariant())
    return Objection::owedBy("--fdpp-choose-variants");
  auto ret = dyn_cast<func::ReturnOp>(op);
  if (ret && ret.getNumOperands())
    return Objection::owedBy("--fdpp-drop-returned-arguments");
  return Objection::none();
}

Objection inEmittable(Operation *op) {
  if (isa<EpilogueInterface>(op) && !op->hasAttr("fdpp.epilogues"))
    return Objection::owedBy("--fdpp-name-for-emission");
  if (isa<memref::ViewOp>(op) && !op->hasAttr("fdpp.name"))
    return Objection::owedBy("--fdpp-name-for-emission");
  return inPlanned(op);
}

Objection objectionIn(Phase phase, Operation *op) {
  switch (phase) {
  case Phase::Import:
    return inImport(op);
  case Phase::Recognised:
    return inRecognised(op);
  case Phase::Raised:
    return inRaised(op);
  case Phase::Rolled:
    return inRolled(op);
  case Phase::Fused:
    return inFused(op);
  case Phase::Planned:
    return inPlanned(op);
  case Phase::Emittable:
  case Phase::Source:
  case Phase::Engine:
    return inEmittable(op);
  }
  llvm_unreachable("unknown phase");
}

/// One flag a phase, so that the option reads `--fdpp-verify-phase=fused`.
struct VerifyPhasePass
    : public PassWrapper<VerifyPhasePass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(VerifyPhasePass)

  VerifyPhasePass() { addFlags(); }
  VerifyPhasePass(const VerifyPhasePass &other) : PassWrapper(other) {
    addFlags();
  }
  explicit VerifyPhasePass(Phase phase) {
    addFlags();
    *flags[static_cast<unsigned>(phase)] = true;
  }

  StringRef getArgument() const final { return "fdpp-verify-phase"; }
  StringRef getDescription() const final {
    return "Check that the module keeps a phase's contract "
           "(--fdpp-verify-phase=fused)";
  }

  void addFlags() {
    for (const ::fdpp::PhaseInfo &info : ::fdpp::allPhases())
      if (info.phase <= Phase::Emittable)
        flags.push_back(std::make_unique<Option<bool>>(
            *this, info.name, llvm::cl::desc(info.summary),
            llvm::cl::init(false)));
  }

  void runOnOperation() override {
    bool any = false;
    for (auto [i, flag] : llvm::enumerate(flags)) {
      if (!*flag)
        continue;
      any = true;
      if (failed(::fdpp::verifyPhase(getOperation(), static_cast<Phase>(i))))
        return signalPassFailure();
    }
    if (any)
      return;
    getOperation().emitError("--fdpp-verify-phase needs a phase, such as "
                             "--fdpp-verify-phase=fused");
    signalPassFailure();
  }

  SmallVector<std::unique_ptr<Option<bool>>> flags;
};

} // namespace

auto ::fdpp::verifyPhase(ModuleOp module, Phase phase) -> LogicalResult {
  WalkResult walked = module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    // Init regions are the engine writer's and keep their form.
    if (isa<WeightOp>(op))
      return WalkResult::skip();
    Objection objection = objectionIn(phase, op);
    if (!objection.objects)
      return WalkResult::advance();
    InFlightDiagnostic error = op->emitError() << "'" << op->getName()
                                               << "' has no place in phase '"
                                               << getPhaseName(phase) << "'";
    if (objection.culprit)
      error << "; " << objection.culprit << " should have removed it";
    else
      error << ", it belongs to a later one";
    error.attachNote() << "phase '" << getPhaseName(phase) << "' holds "
                       << ::fdpp::allPhases()[static_cast<int>(phase)].legal;
    return WalkResult::interrupt();
  });
  return failure(walked.wasInterrupted());
}

void ::fdpp::addVerifyPhase(Phase phase, OpPassManager &passes) {
  passes.addPass(std::make_unique<VerifyPhasePass>(phase));
}

void ::fdpp::registerVerifyPhasePass() { PassRegistration<VerifyPhasePass>(); }
