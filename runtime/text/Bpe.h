// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The BPE model of a tokenizer.json: words -> ids (Sennrich et al.,
// arXiv 1508.07909; byte fallback as in SentencePiece).

#ifndef FDPP_RUNTIME_TEXT_BPE_H
#define FDPP_RUNTIME_TEXT_BPE_H

#include "Vocab.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fdpp::text {

/// What a pair of neighbouring tokens merges into. Lower ranks merge first.
struct Merge {
  uint32_t Rank = UINT32_MAX; // UINT32_MAX: the pair does not merge
  int32_t Id = -1;
};

/// (left id, right id) -> Merge, open addressing.
class MergeTable {
public:
  void reserve(size_t Count);
  /// A pair given twice keeps its last merge.
  void set(int32_t Left, int32_t Right, Merge M);
  Merge find(int32_t Left, int32_t Right) const;

private:
  struct Slot {
    uint64_t Key = Empty;
    Merge Value;
  };
  static constexpr uint64_t Empty = UINT64_MAX;
  static uint64_t keyOf(int32_t Left, int32_t Right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(Left)) << 32 |
           static_cast<uint32_t>(Right);
  }
  size_t slotOf(uint64_t Key) const;

  std::vector<Slot> Slots;
  size_t Used = 0;
};

/// Remembers the ids of words already seen in one encode call.
class WordCache {
public:
  /// For a text of about TextBytes bytes.
  explicit WordCache(size_t TextBytes);

private:
  friend class Bpe;
  struct Slot {
    size_t Word = 0, WordLength = 0; // in Words; 0 length: empty
    size_t Ids = 0, IdCount = 0;     // in Ids
  };
  std::vector<Slot> Slots;
  std::string Words;
  std::vector<int32_t> Ids;
};

class Bpe {
public:
  Vocab Tokens;
  std::string UnkToken;
  bool HasUnk = false;
  bool FuseUnk = false;
  bool ByteFallback = false;
  bool IgnoreMerges = false;

  /// Adds the next merge, of rank Rank. Throws Failure when a part or the
  /// result is not in the vocabulary.
  void addMerge(std::string_view Left, std::string_view Right, uint32_t Rank);
  void reserveMerges(size_t Count) { Merges.reserve(Count); }

  /// Call once after the last token and merge.
  void finish();

  /// Appends the ids of Word (valid UTF-8). Throws Failure when it needs an
  /// unk_token that is not in the vocabulary.
  void encode(std::string_view Word, WordCache &Cache,
              std::vector<int32_t> &Out) const;

private:
  void split(std::string_view Word, std::vector<int32_t> &Out) const;
  std::optional<int32_t> charId(std::string_view Char) const;
  void mergeShort(std::vector<int32_t> &Ids, size_t From) const;
  void mergeLong(std::vector<int32_t> &Ids, size_t From) const;

  MergeTable Merges;
  std::array<int32_t, 0x800> IdOfChar{}; // characters of one or two bytes
  std::array<int32_t, 256> IdOfByte{};   // <0x00> ... <0xFF>
};

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_BPE_H
