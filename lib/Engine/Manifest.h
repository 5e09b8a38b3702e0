// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// engine.json (docs/engine-format.md).

#ifndef FDPP_LIB_ENGINE_MANIFEST_H
#define FDPP_LIB_ENGINE_MANIFEST_H

#include "EngineFolder.h"
#include "TokenizerIds.h"
#include "fdpp/Engine/WriteEngine.h"

namespace mlir::fdpp {

/// The format that is written (docs/engine-format.md).
constexpr int64_t kFormatMajor = 1, kFormatMinor = 1;

/// The text of engine.json. `inputs` are all files read, `model` the one that
/// was compiled.
std::string writeManifest(const ModelInfo &info, const EngineRequest &request,
                          const std::optional<TokenizerIds> &tokenizer,
                          llvm::ArrayRef<InputFile> inputs,
                          const FileDigest &model,
                          const std::map<std::string, FileDigest> &files);

} // namespace mlir::fdpp

#endif // FDPP_LIB_ENGINE_MANIFEST_H
