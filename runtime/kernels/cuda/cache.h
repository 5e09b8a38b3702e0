// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The paged KV cache:
//
//   [layer][page][k | v][kv_head][page_tokens][head_dim]
//
// A token's row of a head is contiguous, so that tiles of tokens by dimensions
// are what tensor maps and 16-byte loads want.
#ifndef FDPP_KERNELS_CUDA_CACHE_H
#define FDPP_KERNELS_CUDA_CACHE_H

#include "kernels/cuda/element.h"

namespace fdpp::cuda {

template <class E, int KvHeads, int HeadDim, int PageTokens = 64> struct Cache {
  using element = E;
  static constexpr int kv_heads = KvHeads, head_dim = HeadDim;
  static constexpr int page_tokens = PageTokens;
  static constexpr int64_t head_elements = int64_t(HeadDim) * PageTokens;
  static_assert(HeadDim % 8 == 0, "rows are read 16 bytes at a time");

  void *pages;   // [layer][num_pages] pages
  int num_pages; // pages in one layer

  /// Keys of one head in one page: [page_tokens][head_dim].
  __device__ E *keys(int layer, int page, int head) const {
    return static_cast<E *>(pages) +
           (int64_t(layer) * num_pages + page) * 2 * KvHeads * head_elements +
           head * head_elements;
  }
  /// From a key's row to its value's.
  static constexpr int64_t to_values = KvHeads * head_elements;

  /// The row of a token's key: `slot` is page * page_tokens + token, as
  /// token_slots gives it.
  __device__ E *key(int layer, int slot, int head) const {
    return keys(layer, slot / PageTokens, head) +
           int64_t(slot % PageTokens) * HeadDim;
  }
};

/// Stores one dimension of a token's key, or some neighbours.
template <class CacheType, class V, class Lanes = int>
__device__ void kv_store_key(const CacheType &cache, int layer, int slot,
                             int head, int dim, const V &value,
                             Lanes lanes = {}) {
  store(cache.key(layer, slot, head) + dim, value, lanes);
}
template <class CacheType, class V, class Lanes = int>
__device__ void kv_store_value(const CacheType &cache, int layer, int slot,
                               int head, int dim, const V &value,
                               Lanes lanes = {}) {
  store(cache.key(layer, slot, head) + CacheType::to_values + dim, value,
        lanes);
}

/// use(head, dimension, value, lanes) for a column of all heads' dimensions, or
/// for neighbours by eights, which are of one head.
template <class CacheType, class Use>
__device__ void for_heads(int column, float value, int, const Use &use) {
  use(column / CacheType::head_dim, column % CacheType::head_dim, value, 1);
}
template <class CacheType, int N, class Use>
__device__ void for_heads(int column, const Columns<N> &values, Lanes<N>,
                          const Use &use) {
#pragma unroll
  for (int i = 0; i < N; i += 8)
    use((column + i) / CacheType::head_dim, (column + i) % CacheType::head_dim,
        part_of<8>(values, i), Lanes<8>());
}

/// The same as above by the column.
template <class CacheType, class V, class Lanes = int>
__device__ void kv_store_key_columns(const CacheType &cache, int layer,
                                     int slot, int column, const V &value,
                                     Lanes lanes = {}) {
  for_heads<CacheType>(column, value, lanes,
                       [&](int head, int dim, const auto &part, auto of) {
                         kv_store_key(cache, layer, slot, head, dim, part, of);
                       });
}
template <class CacheType, class V, class Lanes = int>
__device__ void kv_store_value_columns(const CacheType &cache, int layer,
                                       int slot, int column, const V &value,
                                       Lanes lanes = {}) {
  for_heads<CacheType>(
      column, value, lanes, [&](int head, int dim, const auto &part, auto of) {
        kv_store_value(cache, layer, slot, head, dim, part, of);
      });
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_CACHE_H
