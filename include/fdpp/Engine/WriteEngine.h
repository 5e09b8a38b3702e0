// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From an emittable module and its source text to a folder that runs.

#ifndef FDPP_ENGINE_WRITEENGINE_H
#define FDPP_ENGINE_WRITEENGINE_H

#include "fdpp/Engine/Inputs.h"
#include "fdpp/Engine/NativeCompiler.h"
#include "fdpp/Engine/Report.h"
#include "fdpp/Engine/ReusedEngine.h"
#include "fdpp/Engine/StageListener.h"
#include "fdpp/Engine/TargetArch.h"

namespace mlir::fdpp {

struct EngineRequest {
  std::string target;                  // the engine's folder
  std::string modelFolder;             // where weights and companions lie
  std::string modelName;               // of the model's file in it
  std::string product;                 // version of this compiler
  std::vector<std::string> command;    // that builds the engine again
  std::string key;                     // see isUpToDate
  std::vector<std::string> companions; // see findCompanions
  TargetArch arch;
  std::optional<InputFile> tuning; // the table that was used
  int64_t tuningFormat = 0;        // its format, 0 without one
  std::optional<InputFile> phi;    // in the place of a companion; a path
  std::string kernels;             // hash of the kernel headers
  unsigned threads = 1;            // that evaluate weights
  bool useCache = true;            // see ObjectCache
  /// Whose compiled kernels are taken over, so that nothing is compiled.
  std::optional<ReusedEngine> reused;
};

/// Writes the engine in the place of `request.target`, which is untouched if
/// anything fails. `source` is the text that was emitted from `module`. Every
/// byte follows from the arguments and the content of the files they name.
llvm::Error writeEngine(ModuleOp module, StringRef source,
                        ArrayRef<Decision> decisions,
                        const NativeCompiler &compiler,
                        const EngineRequest &request, StageListener listener);

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_WRITEENGINE_H
