// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// weights.safetensors of an engine (docs/engine-format.md).

#ifndef FDPP_ENGINE_SAFETENSORS_H
#define FDPP_ENGINE_SAFETENSORS_H

#include "fdpp/Engine/WeightEvaluator.h"

#include "llvm/ADT/STLFunctionalExtras.h"

namespace mlir::fdpp {

/// Size and SHA-256 (64 hex digits) of a written file.
struct FileDigest {
  uint64_t bytes = 0;
  std::string sha256;
};

/// Evaluates the weights and writes them to the new file `path`, each aligned
/// to 64 bytes, in the given order; synced when it returns. Needs a few
/// megabytes. `progress` is told the bytes written so far and their sum.
llvm::Expected<FileDigest>
writeSafetensors(llvm::ArrayRef<EvaluatedWeight> weights, llvm::StringRef path,
                 unsigned threads,
                 llvm::function_ref<void(uint64_t, uint64_t)> progress);

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_SAFETENSORS_H
