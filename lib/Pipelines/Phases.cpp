// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Pipelines/Phases.h"
#include "fdpp/Pipelines/VerifyPhase.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"
#include "fdpp/Dialect/ONNX/Transforms/Passes.h"

#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::Phase;
using ::fdpp::PhaseInfo;
using ::fdpp::PhaseOptions;

static constexpr PhaseInfo kPhases[] = {
    {Phase::Import, "import", "the ONNX graph as written",
     "@main of onnx operators on tensors; of the fdpp dialect weights alone"},
    {Phase::Recognised, "recognised", "fdpp operations in the graph's layout",
     "@main of the model's arithmetic and masked_attention on tensors [batch, "
     "sequence, ...]; no onnx operator"},
    {Phase::Raised, "raised", "one step over token-major tensors",
     "@step of the model's arithmetic, kv_append and attention on tensors "
     "[tokens, ...], one layer after another"},
    {Phase::Rolled, "rolled", "equal layers as a loop over weight banks",
     "what phase 'raised' holds, in loops; no constant tensor, every parameter "
     "a weight or a layer_constant"},
    {Phase::Fused, "fused", "fused linears, storage types, entries",
     "@prefill, @decode and @mixed in destination style: fused_linear, "
     "prefill_attention, decode_attention or the pair of the asynchronous "
     "softmax, and what no linear took over"},
    {Phase::Planned, "planned", "buffers, kernel variants, packed weights",
     "what phase 'fused' holds, on memrefs in one arena; every linear with a "
     "variant, in a dispatch; no tensor, allocation or copy"},
    {Phase::Emittable, "emittable", "every name of the text decided",
     "what phase 'planned' holds, with the names of buffers, epilogues, "
     "scalars of layers and choices of variants"},
    {Phase::Source, "source", "the text that is compiled", "text"},
    {Phase::Engine, "engine", "the folder that runs", "files"}};

auto ::fdpp::allPhases() -> llvm::ArrayRef<PhaseInfo> { return kPhases; }

auto ::fdpp::getPhaseName(Phase phase) -> llvm::StringRef {
  return kPhases[static_cast<int>(phase)].name;
}

auto ::fdpp::parsePhase(llvm::StringRef name) -> std::optional<Phase> {
  for (const PhaseInfo &info : kPhases)
    if (info.name == name)
      return info.phase;
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Which phase is it?
//===----------------------------------------------------------------------===//

/// Whether some operation inside fulfils the predicate.
static bool holds(ModuleOp module, llvm::function_ref<bool(Operation *)> is) {
  return module
      .walk([&](Operation *op) {
        return is(op) ? WalkResult::interrupt() : WalkResult::advance();
      })
      .wasInterrupted();
}

auto ::fdpp::detectPhase(ModuleOp module) -> Phase {
  if (holds(module, [](Operation *op) {
        return op->getName().getDialectNamespace() == "onnx";
      }))
    return Phase::Import;
  auto entries = llvm::make_filter_range(
      module.getOps<func::FuncOp>(),
      [](func::FuncOp func) { return func->hasAttr(kEntryAttr); });
  if (entries.empty())
    return Phase::Recognised;
  func::FuncOp entry = *entries.begin();
  if (holds(module,
            [](Operation *op) { return op->hasAttr("fdpp.epilogues"); }))
    return Phase::Emittable;
  if (llvm::any_of(entry.getArgumentTypes(), llvm::IsaPred<MemRefType>))
    return Phase::Planned;
  if (entry->getAttrOfType<StringAttr>(kEntryAttr).getValue() != "step")
    return Phase::Fused;
  bool loops = holds(module, [](Operation *op) { return isa<scf::ForOp>(op); });
  return loops ? Phase::Rolled : Phase::Raised;
}

//===----------------------------------------------------------------------===//
// The passes of each phase.
//===----------------------------------------------------------------------===//

static void addRecognisedPasses(OpPassManager &passes) {
  passes.addPass(onnx::createONNXInlineFunctions());
  OpPassManager &graph = passes.nest<func::FuncOp>();
  graph.addPass(onnx::createONNXWidenFloats());
  graph.addPass(onnx::createONNXFoldConstants());
  // What a graph computes twice is one value to the passes that follow.
  graph.addPass(createCSEPass());
  graph.addPass(onnx::createONNXLiftShapes());
  graph.addPass(onnx::createONNXCompose());
  graph.addPass(onnx::createONNXLiftMasks());
  passes.addPass(onnx::createONNXRecognise());
}

static void addRaisedPasses(const PhaseOptions &options,
                            OpPassManager &passes) {
  FDPPToStepOptions step;
  step.pageTokens = options.pageTokens;
  step.maxTokens = options.maxTokens;
  step.maxSequences = options.maxSequences;
  step.maxContext = options.maxContext;
  passes.addPass(createFDPPToStep(step));
}

static void addRolledPasses(OpPassManager &passes) {
  // Layers that each compute their rotary tables share one after it.
  passes.addPass(createCSEPass());
  passes.addPass(createFDPPNameWeights());
  passes.addPass(createFDPPRollLayers());
  passes.addPass(createCanonicalizerPass());
}

/// No CSE from here to bufferisation: it would merge destinations.
static void addFusedPasses(const PhaseOptions &options, OpPassManager &passes) {
  passes.addPass(createFDPPAssignDtypes({options.dtype}));
  passes.addPass(createFDPPMergeLinears());
  passes.addPass(createFDPPFusePrologues());
  passes.addPass(createFDPPFuseEpilogues());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createFDPPSpecialiseEntries({options.decodeTokens}));
  FDPPUseAsyncSoftmaxOptions async;
  async.softmax = options.asyncSoftmax;
  // A GPU's matrix units take weights of the cache's type; f16 has too few
  // exponents for what is relative to any phi.
  if (options.target == "cuda" && options.dtype == "bf16")
    async.pType = "bf16";
  passes.addPass(createFDPPUseAsyncSoftmax(async));
  passes.addPass(createFDPPToDestinationStyle());
  passes.addPass(createCanonicalizerPass());
}

static void addPlannedPasses(const PhaseOptions &options,
                             OpPassManager &passes) {
  // Captured by two regions, a tensor.empty would be hoisted and shared.
  passes.addPass(bufferization::createEmptyTensorToAllocTensorPass());
  passes.addPass(createFDPPBufferize());
  // In this order: the other one leaves copies of a buffer to itself.
  passes.addPass(createCSEPass());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createFDPPDropReturnedArguments());
  passes.addPass(createFDPPPackWeights({options.target}));
  FDPPChooseVariantsOptions variants;
  variants.tileTokens = options.tileTokens;
  variants.tuning = options.tuning;
  variants.device = options.device;
  variants.kernels = options.kernels;
  variants.features = options.features;
  passes.addPass(createFDPPChooseVariants(variants));
  passes.addPass(createFDPPPlaceArena());
  passes.addPass(createCSEPass());
  passes.addPass(createCanonicalizerPass());
}

auto ::fdpp::addPassesTo(Phase phase, const PhaseOptions &options,
                         OpPassManager &passes) -> void {
  switch (phase) {
  case Phase::Import:
  case Phase::Source:
  case Phase::Engine:
    return;
  case Phase::Recognised:
    addRecognisedPasses(passes);
    break;
  case Phase::Raised:
    addRaisedPasses(options, passes);
    break;
  case Phase::Rolled:
    addRolledPasses(passes);
    break;
  case Phase::Fused:
    addFusedPasses(options, passes);
    break;
  case Phase::Planned:
    addPlannedPasses(options, passes);
    break;
  case Phase::Emittable:
    passes.addPass(createFDPPNameForEmission());
    break;
  }
  ::fdpp::addVerifyPhase(phase, passes);
}

namespace {
/// PhaseOptions on a command line.
struct PipelineOptions : public PassPipelineOptions<PipelineOptions> {
  PhaseOptions defaults;
  Option<std::string> dtype{*this, "dtype",
                            llvm::cl::desc("Storage type: bf16, f16 or f32"),
                            llvm::cl::init(defaults.dtype)};
  Option<int64_t> maxContext{*this, "max-context",
                             llvm::cl::desc("Most tokens of a sequence"),
                             llvm::cl::init(defaults.maxContext)};
  Option<int64_t> pageTokens{*this, "page-tokens",
                             llvm::cl::desc("Tokens a cache page holds"),
                             llvm::cl::init(defaults.pageTokens)};
  Option<int64_t> maxTokens{*this, "max-tokens",
                            llvm::cl::desc("Most tokens of a step"),
                            llvm::cl::init(defaults.maxTokens)};
  Option<int64_t> maxSequences{*this, "max-sequences",
                               llvm::cl::desc("Most sequences of a step"),
                               llvm::cl::init(defaults.maxSequences)};
  Option<int64_t> decodeTokens{
      *this, "decode-tokens",
      llvm::cl::desc("Tokens a sequence may bring to @decode"),
      llvm::cl::init(defaults.decodeTokens)};
  Option<int64_t> tileTokens{
      *this, "tile-tokens",
      llvm::cl::desc("Tokens the target's widest register tile holds"),
      llvm::cl::init(defaults.tileTokens)};
  Option<std::string> tuning{*this, "tuning",
                             llvm::cl::desc("A tuning table's path")};
  Option<std::string> device{*this, "device",
                             llvm::cl::desc("The target's CPU, for the table")};
  Option<std::string> kernels{
      *this, "kernels", llvm::cl::desc("The target's kernels, for the table")};
  Option<std::string> asyncSoftmax{
      *this, "async-softmax",
      llvm::cl::desc("Asynchronous softmax in attention: auto, on, all, off"),
      llvm::cl::init(defaults.asyncSoftmax)};
  Option<std::string> target{*this, "target", llvm::cl::desc("cpu or cuda"),
                             llvm::cl::init(defaults.target)};

  PhaseOptions get() const {
    return {dtype,           maxContext,   pageTokens, maxTokens, maxSequences,
            decodeTokens,    tileTokens,   tuning,     device,    kernels,
            /*features=*/"", asyncSoftmax, target};
  }
};
} // namespace

auto ::fdpp::registerPhasePipelines() -> void {
  for (const PhaseInfo &info : kPhases) {
    Phase phase = info.phase;
    if (phase == Phase::Import || phase >= Phase::Source)
      continue;
    std::string name = ("fdpp-to-" + info.name).str();
    std::string summary =
        ("From the phase before to '" + info.name + "': " + info.summary).str();
    PassPipelineRegistration<PipelineOptions>(
        name, summary,
        [phase](OpPassManager &passes, const PipelineOptions &options) {
          ::fdpp::addPassesTo(phase, options.get(), passes);
        });
  }
}
