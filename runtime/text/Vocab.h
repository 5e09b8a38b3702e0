// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tokens and ids, both ways, without an allocation per token.

#ifndef FDPP_RUNTIME_TEXT_VOCAB_H
#define FDPP_RUNTIME_TEXT_VOCAB_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fdpp::text {

/// Ids above this are taken for a damaged file.
inline constexpr int64_t MaxTokenId = (1 << 24) - 1;

class Vocab {
public:
  /// Adds a token. False when Id already belongs to another token. A token
  /// given twice keeps its last id.
  bool add(std::string_view Token, int32_t Id);

  std::optional<int32_t> find(std::string_view Token) const;

  /// The token of Id; nothing when there is none.
  std::optional<std::string_view> tokenOf(int32_t Id) const;

  size_t size() const { return Live; }              ///< tokens
  size_t idLimit() const { return EntryOf.size(); } ///< largest id + 1

private:
  struct Entry {
    size_t Begin;
    uint32_t Length;
    int32_t Id;
  };
  std::string_view textOf(const Entry &E) const {
    return std::string_view(Arena).substr(E.Begin, E.Length);
  }
  size_t slotOf(std::string_view Token) const;
  void grow();

  std::string Arena;
  std::vector<Entry> Entries;
  std::vector<int32_t> EntryOf; // by id; -1 for none
  std::vector<uint32_t> Slots;  // open addressing; entry + 1, or 0
  size_t Live = 0;
};

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_VOCAB_H
