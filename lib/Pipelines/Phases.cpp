// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Pipelines/Phases.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::Phase;
using ::fdpp::PhaseInfo;
using ::fdpp::PhaseOptions;

static constexpr PhaseInfo kPhases[] = {
    {Phase::Import, "import", "the ONNX graph as written"},
    {Phase::Recognised, "recognised", "fdpp operations in the graph's layout"},
    {Phase::Raised, "raised", "one step over token-major tensors"},
    {Phase::Rolled, "rolled", "equal layers as a loop over weight banks"},
    {Phase::Fused, "fused", "fused linears, storage types, entries"},
    {Phase::Planned, "planned", "buffers, kernel variants, packed weights"},
    {Phase::Emittable, "emittable", "every name of the text decided"},
    {Phase::Source, "source", "the text that is compiled"},
    {Phase::Engine, "engine", "the folder that runs"}};

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
  if (holds(module, [](Operation *op) { return op->hasAttr("fdpp.epilogues"); }))
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

static void addPlannedPasses(OpPassManager &passes) {
  // Captured by two regions, a tensor.empty would be hoisted and shared.
  passes.addPass(bufferization::createEmptyTensorToAllocTensorPass());
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion =
      bufferization::LayoutMapOption::IdentityLayoutMap;
  passes.addPass(bufferization::createOneShotBufferizePass(bufferize));
  // In this order: the other one leaves copies of a buffer to itself.
  passes.addPass(createCSEPass());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createFDPPDropReturnedArguments());
  passes.addPass(createFDPPPackWeights());
  passes.addPass(createFDPPChooseVariants());
  passes.addPass(createFDPPPlaceArena());
  passes.addPass(createCSEPass());
  passes.addPass(createCanonicalizerPass());
}

void ::fdpp::addPassesTo(Phase phase, const PhaseOptions &options,
                       OpPassManager &passes) {
  switch (phase) {
  case Phase::Import:
  case Phase::Recognised:
  case Phase::Raised:
  case Phase::Rolled:
  case Phase::Fused:
    break;
  case Phase::Planned:
    return addPlannedPasses(passes);
  case Phase::Emittable:
    passes.addPass(createFDPPNameForEmission());
    break;
  case Phase::Source:
  case Phase::Engine:
    break;
  }
}

void ::fdpp::registerPhasePipelines() {
  for (const PhaseInfo &info : kPhases) {
    Phase phase = info.phase;
    if (phase == Phase::Import || phase >= Phase::Source)
      continue;
    std::string summary = ("From the phase before to '" + info.name +
                           "': " + info.summary)
                              .str();
    registerPassPipeline(
        ("fdpp-to-" + info.name).str(), summary,
        [phase](OpPassManager &passes, StringRef options,
                llvm::function_ref<LogicalResult(const Twine &)> fail) {
          if (!options.empty())
            return fail("this pipeline takes no options");
          ::fdpp::addPassesTo(phase, PhaseOptions(), passes);
          return success();
        },
        [](llvm::function_ref<void(const mlir::detail::PassOptions &)>) {});
  }
}
