// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `added_tokens` of a tokenizer.json: tokens found in the text before the
// model sees it, such as <|im_start|>.

#ifndef FDPP_RUNTIME_TEXT_ADDEDTOKENS_H
#define FDPP_RUNTIME_TEXT_ADDEDTOKENS_H

#include "Normalizer.h"
#include "Pieces.h"
#include "Vocab.h"

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fdpp::text {

struct AddedToken {
  int32_t Id = -1;
  std::string Content;
  std::string Pattern; ///< what is looked for: Content, normalized if wanted
  bool SingleWord = false, LStrip = false, RStrip = false;
  bool Normalized = false, Special = false;
};

using NormalizerList = std::vector<std::unique_ptr<Normalizer>>;

/// Applies the normalizers in order.
void normalize(const NormalizerList &Normalizers, std::string &Text,
               bool &AtStart);

/// Finds the longest of several strings at each place, leftmost first.
class Trie {
public:
  /// False when Text is there already.
  bool add(std::string_view Text, size_t Value);
  bool empty() const { return Nodes.size() == 1; }

  struct Hit {
    size_t Begin = 0, End = 0, Value = 0;
  };
  /// The first hit at or after From; false when there is none.
  bool find(std::string_view Text, size_t From, Hit &Out) const;

private:
  struct Node {
    std::map<unsigned char, uint32_t> Children;
    size_t Value = SIZE_MAX;
  };
  std::vector<Node> Nodes{1};
};

class AddedTokens {
public:
  /// Reads the file's array; Model gives ids of tokens it has already.
  /// Throws Failure, also for an id that Hugging Face would not give.
  void parse(const JsonNode &Node, const Vocab &Model,
             const NormalizerList &Normalizers);

  /// Cuts Text (valid UTF-8) at the added tokens and normalizes the rest.
  PieceList extract(std::string Text, const NormalizerList &Normalizers) const;

  const std::vector<AddedToken> &tokens() const { return All; }

private:
  void parseOne(const JsonNode &Node, const Vocab &Model,
                const NormalizerList &Normalizers);
  void cut(std::string_view Text, bool AtStart, const Trie &Patterns,
           std::vector<Piece> &Out) const;

  std::vector<AddedToken> All;
  std::set<std::string> ByContent;
  size_t New = 0;   // tokens that the model lacks
  Trie Raw, Normal; // looked for before and after normalization
};

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_ADDEDTOKENS_H
