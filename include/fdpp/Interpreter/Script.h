// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Script.h - One way to run a model in every phase ---------*- C++ -*-===//
//
// A script says which token sequences a model sees and how they are split into
// steps: ragged batches, chunked prefill, decode one at a time. Running it
// gives the logits of every position, whatever form the model has: a graph with
// a cache kept by concatenation, one @step over a paged cache, or specialised
// entries on planned memory. Two forms of one model give the same logits.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_INTERPRETER_SCRIPT_H
#define FDPP_INTERPRETER_SCRIPT_H

#include "fdpp/Interpreter/Interpreter.h"

#include <optional>
#include <string>
#include <vector>

namespace mlir::fdpp {

/// The next `tokens` tokens of a sequence, in one step.
struct Chunk {
  unsigned sequence;
  int64_t tokens;
};

struct Script {
  std::vector<std::vector<int32_t>> sequences; ///< Token ids.
  std::vector<std::vector<Chunk>> steps;
  uint64_t seed = 0; ///< Of the order of pages and of wanted rows.
  /// A graph runs all sequences as one batch, with holes that its attention
  /// mask hides; otherwise each sequence is a batch of its own.
  bool holes = false;
  /// phi of each layer and query head, row-major, for steps that take it.
  /// Empty: NaN, or with `randomPhi` drawn from the seed: good ones, wrong ones
  /// and NaN.
  std::vector<double> phi;
  bool randomPhi = false;
};

/// A script with this many sequences of 1 to `longest` random tokens below
/// `vocab`, with at most `stepTokens` tokens a step.
Script makeScript(uint64_t seed, int64_t vocab, unsigned sequences = 3,
                  int64_t longest = 12, int64_t stepTokens = 12);

/// Logits of every position of every sequence: [position, vocab], row-major.
struct Logits {
  int64_t vocab = 0;
  std::vector<std::vector<double>> sequences;
};

/// Where two sets of logits differ.
struct Comparison {
  bool equal = true;
  double maxError = 0; ///< Infinite where either is not finite.
  double maxLogit = 0; ///< Largest magnitude of what is expected.
  /// The first difference over the tolerance.
  unsigned sequence = 0;
  int64_t position = 0, token = 0;
  double expected = 0, actual = 0;
};

/// Compares within `tolerance` times the largest expected magnitude, or 1.
Comparison compare(const Logits &expected, const Logits &actual,
                   double tolerance);

/// The bound `compare` is used with: 1e-9 for exact interpretation. Rounding
/// modes differ between phases where a number lies on the edge between two
/// neighbours, which changes logits by a few units of the mode's precision.
double defaultTolerance(RoundingMode mode);

/// The number of logits a row of the model has; nullopt for a module without
/// anything that a script can run.
std::optional<int64_t> vocabularyOf(ModuleOp module);

/// Lets the script have holes if the module is a graph that gives the same
/// logits with them. (Not with a window that counts slots, or without a mask.)
void tryHoles(ModuleOp module, Script &script, WeightSource &weights,
              InterpreterOptions options = {});

/// Runs the script. The error is one line.
llvm::Expected<Logits> runScript(ModuleOp module, const Script &script,
                                 WeightSource &weights,
                                 InterpreterOptions options = {});

} // namespace mlir::fdpp

#endif // FDPP_INTERPRETER_SCRIPT_H
