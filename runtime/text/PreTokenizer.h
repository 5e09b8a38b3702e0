// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `pre_tokenizer` of a tokenizer.json: ByteLevel, Digits, Split, Metaspace
// and Sequence of them. They cut the text into the words that BPE sees.

#ifndef FDPP_RUNTIME_TEXT_PRETOKENIZER_H
#define FDPP_RUNTIME_TEXT_PRETOKENIZER_H

#include "Json.h"
#include "Pieces.h"
#include "Regex.h"

#include <memory>
#include <vector>

namespace fdpp::text {

class PreTokenizer {
public:
  virtual ~PreTokenizer() = default;

  /// Cuts the pieces that are no tokens yet into smaller ones; may rewrite
  /// their text. Empty pieces vanish.
  virtual void apply(PieceList &List) const = 0;
};

/// What becomes of the delimiters of a split.
enum class SplitBehavior {
  Removed,
  Isolated,
  MergedWithPrevious,
  MergedWithNext,
  Contiguous,
};

/// Turns matches and gaps into the ranges to keep (Matched then means nothing).
void applyBehavior(SplitBehavior Behavior, std::vector<Match> &Ranges);

/// From the file's value; null gives none. Throws Failure.
std::vector<std::unique_ptr<PreTokenizer>>
parsePreTokenizers(const JsonNode &Node);

/// {"String": ...} or {"Regex": ...}. Throws Failure.
Regex parseStringOrRegex(const JsonNode &Pattern);

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_PRETOKENIZER_H
