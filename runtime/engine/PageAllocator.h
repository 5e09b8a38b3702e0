// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_PAGEALLOCATOR_H
#define FDPP_RUNTIME_ENGINE_PAGEALLOCATOR_H

#include <cassert>
#include <cstdint>
#include <vector>

namespace fdpp::runtime {

/// Hands out the pages of the KV cache. A page carries a reference count:
/// sequences with a common prefix share its pages. Nothing is allocated after
/// construction.
class PageAllocator {
public:
  explicit PageAllocator(int32_t pages) : counts(pages, 0) {
    free.reserve(pages);
    // The lowest page is handed out first.
    for (int32_t page = pages; page-- > 0;)
      free.push_back(page);
  }

  int32_t pages() const { return static_cast<int32_t>(counts.size()); }
  int32_t freePages() const { return static_cast<int32_t>(free.size()); }
  int32_t references(int32_t page) const { return counts[page]; }

  /// A page with one reference. The caller has looked at freePages().
  int32_t take() {
    assert(!free.empty() && "no free page");
    int32_t page = free.back();
    free.pop_back();
    counts[page] = 1;
    return page;
  }
  void share(int32_t page) {
    assert(counts[page] > 0 && "sharing a free page");
    ++counts[page];
  }
  void release(int32_t page) {
    assert(counts[page] > 0 && "releasing a free page");
    if (--counts[page] == 0)
      free.push_back(page);
  }

private:
  std::vector<int32_t> counts; // references of each page
  std::vector<int32_t> free;   // a stack
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_PAGEALLOCATOR_H
