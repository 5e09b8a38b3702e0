// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The paged KV cache as kernels and epilogues see it; the order inside a page
// stands in common/cache_layout.h.
#ifndef FDPP_KERNELS_CPU_CACHE_H
#define FDPP_KERNELS_CPU_CACHE_H

#include "kernels/common/cache_layout.h"
#include "kernels/cpu/vector.h"

namespace fdpp::cpu {

/// One head in one page: keys in key_index order, values [PageTokens][dims].
template <class E> struct PageView {
  const E *keys = nullptr, *values = nullptr;
};

template <class E, int KvHeads, int HeadDim, int PageTokens = 64> struct Cache {
  using element = E;
  static constexpr int kv_heads = KvHeads, head_dim = HeadDim;
  static constexpr int page_tokens = PageTokens;
  static constexpr int dims = cache_dims(HeadDim);
  static constexpr int64_t head_elements = int64_t(dims) * PageTokens;
  static_assert(PageTokens % lanes == 0, "a page holds whole vectors");

  void *pages;   // [layer][num_pages] pages
  int num_pages; // pages in one layer

  /// Keys of one head in one page: key_index order.
  E *keys(int layer, int page, int head) const {
    return static_cast<E *>(pages) +
           ((int64_t(layer) * num_pages + page) * KvHeads + head) * 2 *
               head_elements;
  }
  /// Values of one head in one page: [PageTokens][dims].
  E *values(int layer, int page, int head) const {
    return keys(layer, page, head) + head_elements;
  }
  PageView<E> view(int layer, int page, int head) const {
    return {keys(layer, page, head), values(layer, page, head)};
  }
};

/// Stores `count` dimensions of one token's key, from `dim` on. `slot` is
/// page * page_tokens + token, as token_slots gives it.
template <class E, int KvHeads, int HeadDim, int PageTokens>
FDPP_INLINE void
kv_store_key(const Cache<E, KvHeads, HeadDim, PageTokens> &cache, int layer,
             int slot, int head, int dim, f32x16 value, int count) {
  E *keys = cache.keys(layer, slot / PageTokens, head);
  int token = slot % PageTokens;
  E buffer[lanes];
  store(buffer, value);
  for (int i = 0; i < count; ++i)
    keys[key_index<E>(token, dim + i, PageTokens)] = buffer[i];
  // The pad of an odd head dimension meets a zero of the query; it must not be
  // NaN.
  if constexpr (HeadDim % 2 != 0)
    if (dim + count == HeadDim)
      keys[key_index<E>(token, HeadDim, PageTokens)] = E{};
}

/// Stores `count` dimensions of one token's value, from `dim` on.
template <class E, int KvHeads, int HeadDim, int PageTokens>
FDPP_INLINE void
kv_store_value(const Cache<E, KvHeads, HeadDim, PageTokens> &cache, int layer,
               int slot, int head, int dim, f32x16 value, int count) {
  E *values = cache.values(layer, slot / PageTokens, head);
  store(values + value_index(slot % PageTokens, dim, HeadDim), value, count);
}

/// The same for a chunk that may run over several heads: `column` counts
/// through all heads' dimensions, as an epilogue without partner does.
template <class CacheType>
FDPP_INLINE void kv_store_key_columns(const CacheType &cache, int layer,
                                      int slot, int column, f32x16 value,
                                      int count) {
  constexpr int hd = CacheType::head_dim;
  if (column % hd + count <= hd)
    return kv_store_key(cache, layer, slot, column / hd, column % hd, value,
                        count);
  for (int i = 0; i < count; ++i)
    kv_store_key(cache, layer, slot, (column + i) / hd, (column + i) % hd,
                 splat(value[i]), 1);
}
template <class CacheType>
FDPP_INLINE void kv_store_value_columns(const CacheType &cache, int layer,
                                        int slot, int column, f32x16 value,
                                        int count) {
  constexpr int hd = CacheType::head_dim;
  if (column % hd + count <= hd)
    return kv_store_value(cache, layer, slot, column / hd, column % hd, value,
                          count);
  for (int i = 0; i < count; ++i)
    kv_store_value(cache, layer, slot, (column + i) / hd, (column + i) % hd,
                   splat(value[i]), 1);
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_CACHE_H
