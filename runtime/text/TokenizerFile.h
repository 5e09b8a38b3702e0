// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading a tokenizer.json. Vocabulary and merges, hundreds of thousands of
// strings, go straight into the model; only the rest becomes a document.

#ifndef FDPP_RUNTIME_TEXT_TOKENIZERFILE_H
#define FDPP_RUNTIME_TEXT_TOKENIZERFILE_H

#include "Bpe.h"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace fdpp::text {

struct TokenizerFile {
  nlohmann::json Document; ///< without model.vocab and model.merges
  Vocab Tokens;            ///< model.vocab
  /// model.merges: left, right, left, right, ...
  std::vector<std::string> Merges;
  bool HasVocab = false, HasMerges = false;
};

/// Parses the file. Throws Failure.
TokenizerFile readTokenizerFile(std::string_view Json);

/// The BPE model of File, every field of `model` checked; takes its vocabulary
/// and merges. Throws Failure.
Bpe parseBpe(TokenizerFile &File);

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_TOKENIZERFILE_H
