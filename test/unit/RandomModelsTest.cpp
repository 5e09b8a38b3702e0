// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Random models through the whole pipeline, interpreted around every pass.
// FDPP_RANDOM_MODELS and FDPP_RANDOM_SEED choose how many and the first seed.

#include "fdpp/Interpreter/CheckEach.h"
#include "fdpp/Interpreter/Testing.h"
#include "fdpp/Pipelines/Phases.h"
#include "fdpp/Pipelines/Registration.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "gtest/gtest.h"

#include <cstdlib>
#include <limits>

using namespace mlir;
using namespace mlir::fdpp;

namespace {

uint64_t setting(const char *name, uint64_t otherwise) {
  const char *value = std::getenv(name);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

class RandomModels : public testing::Test {
protected:
  RandomModels() : context(registry()) { context.loadAllAvailableDialects(); }

  static DialectRegistry registry() {
    DialectRegistry result;
    ::fdpp::registerAllDialects(result);
    return result;
  }

  /// Sends one model through every phase that is IR.
  std::shared_ptr<CheckOutcome> check(uint64_t seed, StringRef dtype,
                                      RoundingMode mode,
                                      ModelFamily family = ModelFamily::Llama) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
    buildRandomModel(*module, seed, family);
    PassManager manager(&context);
    CheckOptions options;
    options.seed = seed;
    options.rounding = mode;
    auto outcome = checkEachPass(manager, options);
    ::fdpp::PhaseOptions phaseOptions;
    phaseOptions.dtype = dtype.str();
    // The script's phi are good, wrong and NaN.
    const char *const softmax[] = {"auto", "on", "all"};
    phaseOptions.asyncSoftmax = softmax[seed % 3];
    for (auto phase : {::fdpp::Phase::Rolled, ::fdpp::Phase::Fused,
                       ::fdpp::Phase::Planned, ::fdpp::Phase::Emittable})
      ::fdpp::addPassesTo(phase, phaseOptions, manager);
    for (Pass &pass : manager.getPasses())
      if (!pass.getArgument().ends_with("verify-phase"))
        passes.insert(pass.getArgument().str());
    EXPECT_TRUE(succeeded(manager.run(*module)))
        << "seed " << seed << ", dtype " << dtype.str();
    EXPECT_FALSE(outcome->failed) << "seed " << seed << ", dtype "
                                  << dtype.str() << ", pass " << outcome->pass;
    return outcome;
  }

  MLIRContext context;
  std::set<std::string> passes; ///< Of the pipelines.
};

constexpr StringLiteral kDtypes[] = {"bf16", "f32", "f16"};

TEST_F(RandomModels, EveryPassKeepsTheMeaning) {
  uint64_t first = setting("FDPP_RANDOM_SEED", 1);
  uint64_t count = setting("FDPP_RANDOM_MODELS", 200);
  std::printf("seeds %llu to %llu\n", (unsigned long long)first,
              (unsigned long long)(first + count - 1));
  unsigned runs = 0, fewest = std::numeric_limits<unsigned>::max();
  double error = 0;
  std::set<std::string> checked;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    auto outcome = check(seed, kDtypes[seed % 3], RoundingMode::Exact);
    // Once for the model as built and after every pass that changes each model.
    EXPECT_GE(outcome->runs, 16u) << "seed " << seed;
    runs += outcome->runs;
    fewest = std::min(fewest, outcome->runs);
    checked.merge(outcome->checked);
    error = std::max(error, outcome->maxError);
    if (HasFailure())
      break;
  }
  std::printf("%u scripts, at least %u a model, after %zu different passes, "
              "largest difference %.3g\n",
              runs, fewest, checked.size() - 1, error);
  for (const std::string &pass : passes)
    EXPECT_TRUE(checked.contains(pass)) << pass << " changed no model";
}

TEST_F(RandomModels, EveryPassKeepsTheMeaningOfUnusualModels) {
  for (uint64_t seed = 1; seed <= 60 && !HasFailure(); ++seed) {
    auto outcome = check(seed, kDtypes[seed % 3], RoundingMode::Exact,
                         ModelFamily::Unusual);
    EXPECT_GE(outcome->runs, 16u) << "seed " << seed;
  }
}

TEST_F(RandomModels, EveryPassRoundsWhereTheOthersDo) {
  std::pair<StringRef, RoundingMode> modes[] = {{"bf16", RoundingMode::BF16},
                                                {"f16", RoundingMode::F16},
                                                {"f32", RoundingMode::F32}};
  for (auto [dtype, mode] : modes) {
    double error = 0;
    for (uint64_t seed = 1; seed <= 8; ++seed)
      error = std::max(error, check(seed, dtype, mode)->maxError);
    std::printf("%s: largest difference %.3g\n", dtype.data(), error);
  }
}

} // namespace
