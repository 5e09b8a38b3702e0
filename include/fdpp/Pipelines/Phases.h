// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The phases a model goes through, and the passes between them.

#ifndef FDPP_PIPELINES_PHASES_H
#define FDPP_PIPELINES_PHASES_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>
#include <string>

namespace mlir {
class ModuleOp;
class OpPassManager;
} // namespace mlir

namespace fdpp {

/// In order: each is made from the one before.
enum class Phase {
  Import,
  Recognised,
  Raised,
  Rolled,
  Fused,
  Planned,
  Emittable,
  Source, // text
  Engine  // a folder
};

struct PhaseInfo {
  Phase phase;
  llvm::StringRef name;
  llvm::StringRef summary;
  /// What a module of this phase holds, in a sentence without a verb; the
  /// contract that --fdpp-verify-phase checks.
  llvm::StringRef legal;
};

/// All phases, in order.
llvm::ArrayRef<PhaseInfo> allPhases();
llvm::StringRef getPhaseName(Phase phase);
std::optional<Phase> parsePhase(llvm::StringRef name);

/// The phase that a module is in, by what it holds.
Phase detectPhase(mlir::ModuleOp module);

/// Choices of the command that passes need.
struct PhaseOptions {
  std::string dtype = "bf16"; // of weights and cache: bf16, f16, f32
  int64_t maxContext = 8192;  // tokens a sequence may reach
  int64_t pageTokens = 64;    // tokens a page of the cache holds
  int64_t maxTokens = 512;    // tokens of a step
  int64_t maxSequences = 64;  // sequences of a step
  int64_t decodeTokens = 1;   // tokens a sequence may bring to @decode
  int64_t tileTokens = 6;     // tokens the target's widest register tile holds
  // As the options of --fdpp-choose-variants:
  std::string tuning;   // a tuning table's path, empty for none
  std::string device;   // the target's CPU, empty if not known
  std::string kernels;  // its kernel level
  std::string features; // its CPU features, separated by commas
  // As the option of --fdpp-use-async-softmax: auto, on or off.
  std::string asyncSoftmax = "auto";
  // As the option of --fdpp-pack-weights: cpu or cuda.
  std::string target = "cpu";
};

/// Adds the passes that lead from the phase before `phase` to it, and the check
/// of its contract. They end with emittable: text and folders are no IR.
void addPassesTo(Phase phase, const PhaseOptions &options,
                 mlir::OpPassManager &passes);

/// Registers `--fdpp-to-PHASE` for every phase that is IR; it takes the members
/// of PhaseOptions as options (`--fdpp-to-fused=dtype=f32`).
void registerPhasePipelines();

} // namespace fdpp

#endif // FDPP_PIPELINES_PHASES_H
