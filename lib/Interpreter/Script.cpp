// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Script.cpp - One way to run a model in every phase -----------------===//
#include "fdpp/Interpreter/Script.h"

#include "Dice.h"
#include "Drivers.h"

#include <cmath>

using namespace mlir;
using namespace mlir::fdpp;

/// Tokens that a sequence with `left` tokens brings to its next step.
static int64_t chunkSize(Dice &dice, bool isFirst, int64_t left, int64_t room) {
  int64_t most = std::min(left, room);
  bool decode = !isFirst && !dice.oneIn(3);
  return decode ? 1 : 1 + dice.below(most);
}

Script mlir::fdpp::makeScript(uint64_t seed, int64_t vocab, unsigned sequences,
                              int64_t longest, int64_t stepTokens) {
  Dice dice(seed);
  Script script;
  script.seed = seed;
  script.randomPhi = true;
  for (unsigned s = 0; s < sequences; ++s) {
    // The first one is long, so that every script crosses pages.
    int64_t length = s == 0 ? longest : 1 + dice.below(longest);
    auto &tokens = script.sequences.emplace_back();
    for (int64_t i = 0; i < length; ++i)
      tokens.push_back(dice.below(vocab));
  }
  std::vector<int64_t> done(sequences, 0);
  for (bool progress = true; progress;) {
    progress = false;
    std::vector<Chunk> step;
    int64_t room = stepTokens;
    for (unsigned s = 0; s < sequences; ++s) {
      int64_t left = script.sequences[s].size() - done[s];
      progress |= left > 0;
      if (left == 0 || room == 0 || dice.oneIn(4))
        continue;
      int64_t tokens = chunkSize(dice, done[s] == 0, left, room);
      step.push_back({s, tokens});
      done[s] += tokens;
      room -= tokens;
    }
    if (!step.empty())
      script.steps.push_back(std::move(step));
  }
  return script;
}

Comparison mlir::fdpp::compare(const Logits &expected, const Logits &actual,
                               double tolerance) {
  Comparison result;
  for (const auto &rows : expected.sequences)
    for (double value : rows)
      result.maxLogit = std::max(result.maxLogit, std::fabs(value));
  double bound = tolerance * std::max(1.0, result.maxLogit);
  for (size_t s = 0; s < expected.sequences.size(); ++s)
    for (size_t i = 0; i < expected.sequences[s].size(); ++i) {
      double a = expected.sequences[s][i], b = actual.sequences[s][i];
      double error = std::fabs(a - b);
      if (!std::isfinite(error))
        error = std::numeric_limits<double>::infinity();
      result.maxError = std::max(result.maxError, error);
      if (!result.equal || error <= bound)
        continue;
      result.equal = false;
      result.sequence = s;
      result.position = i / expected.vocab;
      result.token = i % expected.vocab;
      result.expected = a;
      result.actual = b;
    }
  return result;
}

double mlir::fdpp::defaultTolerance(RoundingMode mode) {
  switch (mode) {
  case RoundingMode::Exact:
    return 1e-9;
  case RoundingMode::F32:
    return 1e-4;
  case RoundingMode::BF16:
    return 8e-2;
  case RoundingMode::F16:
    return 1e-2;
  }
  llvm_unreachable("four modes");
}

std::optional<int64_t> mlir::fdpp::vocabularyOf(ModuleOp module) {
  std::optional<int64_t> vocab = stepVocabulary(module);
  return vocab ? vocab : graphVocabulary(module);
}

void mlir::fdpp::tryHoles(ModuleOp module, Script &script,
                          WeightSource &weights, InterpreterOptions options) {
  if (stepVocabulary(module) || !graphVocabulary(module))
    return;
  Script batched = script;
  batched.holes = true;
  auto expected = runScript(module, script, weights, options);
  auto actual = runScript(module, batched, weights, options);
  script.holes =
      expected && actual &&
      compare(*expected, *actual, defaultTolerance(options.rounding)).equal;
  llvm::consumeError(expected.takeError());
  llvm::consumeError(actual.takeError());
}

llvm::Expected<Logits> mlir::fdpp::runScript(ModuleOp module,
                                             const Script &script,
                                             WeightSource &weights,
                                             InterpreterOptions options) {
  if (stepVocabulary(module))
    return runSteps(module, script, weights, options);
  if (!graphVocabulary(module))
    return llvm::createStringError("the module has no @main and no entry");
  Interpreter interpreter(module, weights, options);
  auto main =
      [&](ArrayRef<Array> arrays) -> llvm::Expected<std::vector<Array>> {
    std::vector<Datum> arguments(arrays.begin(), arrays.end());
    auto results = interpreter.call("main", arguments);
    if (!results)
      return results.takeError();
    std::vector<Array> given;
    for (const Datum &datum : *results)
      given.push_back(std::get<Array>(datum));
    return given;
  };
  return runGraph(module, script, main);
}
