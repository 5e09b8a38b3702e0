// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every mistake that can be injected, in every phase that has something to
// break, must be found by the interpretation around passes.

#include "fdpp/Dialect/ONNX/Transforms/Passes.h"
#include "fdpp/Import/ONNX/ImportONNX.h"
#include "fdpp/Interpreter/CheckEach.h"
#include "fdpp/Interpreter/Testing.h"
#include "fdpp/Pipelines/Phases.h"
#include "fdpp/Pipelines/Registration.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::Phase;

namespace {

struct Subject {
  std::string name;
  OwningOpRef<ModuleOp> module;
};

class InjectedFaults : public testing::Test {
protected:
  InjectedFaults() : context(registry()) {
    context.loadAllAvailableDialects();
    addGraphs();
    for (uint64_t seed = 1; seed <= 8; ++seed)
      addSteps(seed);
  }

  static DialectRegistry registry() {
    DialectRegistry result;
    ::fdpp::registerAllDialects(result);
    return result;
  }

  /// The model before each of these phases.
  void add(std::string name, OwningOpRef<ModuleOp> module,
           ArrayRef<Phase> phases) {
    for (Phase phase : phases) {
      subjects.push_back({name + " before " + ::fdpp::getPhaseName(phase).str(),
                          module->clone()});
      PassManager manager(&context);
      ::fdpp::PhaseOptions options;
      options.dtype = "f32";
      options.pageTokens = 16;
      ::fdpp::addPassesTo(phase, options, manager);
      ASSERT_TRUE(succeeded(manager.run(*module))) << name;
    }
  }
  void addGraphs() {
    auto graph = importONNXFile(FDPP_ONE_LAYER, &context);
    ASSERT_TRUE(graph);
    OwningOpRef<ModuleOp> lifted = graph->clone();
    add("graph", std::move(graph), {Phase::Recognised, Phase::Raised});
    PassManager manager(&context);
    manager.addNestedPass<func::FuncOp>(onnx::createONNXFoldConstants());
    manager.addNestedPass<func::FuncOp>(onnx::createONNXLiftShapes());
    manager.addNestedPass<func::FuncOp>(onnx::createONNXLiftMasks());
    ASSERT_TRUE(succeeded(manager.run(*lifted)));
    subjects.push_back({"lifted graph", std::move(lifted)});
  }
  void addSteps(uint64_t seed) {
    OwningOpRef<ModuleOp> step = ModuleOp::create(UnknownLoc::get(&context));
    buildRandomModel(*step, seed);
    add("model " + std::to_string(seed), std::move(step),
        {Phase::Rolled, Phase::Fused, Phase::Planned, Phase::Emittable});
  }

  enum class Verdict { Nothing, Caught, Missed };
  Verdict inject(StringRef fault, ModuleOp module) {
    std::string error;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      error = diagnostic.str();
      return success();
    });
    OwningOpRef<ModuleOp> copy = module.clone();
    PassManager manager(&context);
    CheckOptions options;
    options.sequences = 4;
    auto outcome = checkEachPass(manager, options);
    manager.addPass(createInjectFaultPass(fault));
    bool done = succeeded(manager.run(*copy));
    if (outcome->failed) {
      EXPECT_EQ(outcome->pass, "fdpp-inject-fault") << error;
      return Verdict::Caught;
    }
    EXPECT_TRUE(done || StringRef(error).contains("has nothing")) << error;
    return done ? Verdict::Missed : Verdict::Nothing;
  }

  MLIRContext context;
  std::vector<Subject> subjects;
};

TEST_F(InjectedFaults, AreCaught) {
  for (StringRef fault : faultNames()) {
    unsigned caught = 0;
    for (const Subject &subject : subjects) {
      Verdict verdict = inject(fault, *subject.module);
      caught += verdict == Verdict::Caught;
      EXPECT_NE(verdict, Verdict::Missed)
          << fault.str() << " in " << subject.name;
    }
    EXPECT_GT(caught, 0u) << fault.str() << " was never injected";
    std::printf("%-14s caught in %u of %zu modules\n", fault.str().c_str(),
                caught, subjects.size());
  }
}

} // namespace
