// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Sequence.h"

namespace fdpp::runtime {

Sequence::Sequence(uint64_t id, PageAllocator &allocator, int32_t pageTokens,
                   int32_t context)
    : number(id), allocator(allocator), pageTokens(pageTokens) {
  tokenIds.reserve(context);
  pageIds.reserve(pagesFor(context));
}

bool Sequence::lastPageShared() const {
  return length() % pageTokens != 0 &&
         allocator.references(pageIds[length() / pageTokens]) > 1;
}

int32_t Sequence::pagesNeeded(int32_t count) const {
  return pagesFor(length() + count) - pagesFor(length()) + lastPageShared();
}

Sequence::PageCopy Sequence::reserve(int32_t count) {
  PageCopy copy;
  if (lastPageShared()) {
    int32_t &page = pageIds[length() / pageTokens];
    copy = {page, allocator.take()};
    allocator.release(page);
    page = copy.to;
  }
  while (static_cast<int32_t>(pageIds.size()) < pagesFor(length() + count))
    pageIds.push_back(allocator.take());
  return copy;
}

void Sequence::append(const int32_t *ids, int32_t count) {
  tokenIds.insert(tokenIds.end(), ids, ids + count);
}

void Sequence::truncate(int32_t newLength) {
  if (newLength < length())
    logitsSerial = 0; // the kept logits were of a token that is gone
  tokenIds.resize(newLength);
  while (static_cast<int32_t>(pageIds.size()) > pagesFor(newLength)) {
    allocator.release(pageIds.back());
    pageIds.pop_back();
  }
}

void Sequence::shareFrom(const Sequence &other) {
  logits = other.logits;
  logitsSerial = other.logitsSerial;
  tokenIds.assign(other.tokenIds.begin(), other.tokenIds.end());
  for (int32_t page : other.pageIds) {
    allocator.share(page);
    pageIds.push_back(page);
  }
}

} // namespace fdpp::runtime
