// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_SEQUENCE_H
#define FDPP_RUNTIME_ENGINE_SEQUENCE_H

#include "PageAllocator.h"

#include <cstdint>
#include <vector>

namespace fdpp::runtime {

/// One sequence: its tokens and the pages that hold their keys and values.
/// Room for the whole context is set aside when it is made, so that appending
/// allocates nothing.
class Sequence {
public:
  Sequence(uint64_t id, PageAllocator &allocator, int32_t pageTokens,
           int32_t context);
  ~Sequence() { truncate(0); }
  Sequence(const Sequence &) = delete;
  Sequence &operator=(const Sequence &) = delete;

  uint64_t id() const { return number; }
  int32_t length() const { return static_cast<int32_t>(tokenIds.size()); }
  const std::vector<int32_t> &tokens() const { return tokenIds; }
  const std::vector<int32_t> &pages() const { return pageIds; }

  /// Free pages that `count` more tokens take, a private copy of a shared last
  /// page included.
  int32_t pagesNeeded(int32_t count) const;

  /// Takes those pages. Where the last page must be copied, gives the page to
  /// copy from and to; else both are -1.
  struct PageCopy {
    int32_t from = -1, to = -1;
  };
  PageCopy reserve(int32_t count);

  /// Records tokens whose keys and values now stand in the reserved pages.
  void append(const int32_t *ids, int32_t count);

  /// Keeps the first `length` tokens and gives back every page beyond them.
  void truncate(int32_t length);

  /// Becomes a copy of `other` that shares all its pages; must be empty.
  void shareFrom(const Sequence &other);

  /// The logits of the last token and the step call they come from.
  const float *logits = nullptr;
  uint64_t logitsSerial = 0;

private:
  int32_t pagesFor(int32_t tokens) const {
    return (tokens + pageTokens - 1) / pageTokens;
  }
  bool lastPageShared() const;

  uint64_t number;
  PageAllocator &allocator;
  int32_t pageTokens;
  std::vector<int32_t> tokenIds;
  std::vector<int32_t> pageIds;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_SEQUENCE_H
