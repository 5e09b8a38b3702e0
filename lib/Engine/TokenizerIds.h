// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Token ids that the runtime needs, from the files beside a model.

#ifndef FDPP_LIB_ENGINE_TOKENIZERIDS_H
#define FDPP_LIB_ENGINE_TOKENIZERIDS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlir::fdpp {

struct TokenizerIds {
  std::optional<int64_t> bos;
  std::vector<int64_t> eos; // sorted
  bool chat = false;        // chat.json is there
};

/// Reads tokenizer_config.json, tokenizer.json, generation_config.json and
/// config.json, as far as `companions` names them. Nothing without a
/// tokenizer.json. Fails on a file that is no JSON.
llvm::Expected<std::optional<TokenizerIds>>
readTokenizerIds(llvm::StringRef folder,
                 llvm::ArrayRef<std::string> companions);

} // namespace mlir::fdpp

#endif // FDPP_LIB_ENGINE_TOKENIZERIDS_H
