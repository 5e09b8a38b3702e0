// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The order of a CPU cache page. Plain C++20, shared by the compiler (sizes),
// the kernels and their tests.
//
//   cache   [layer][page][kv_head][k | v][...]
//   keys    bf16 [dims / 2][page_tokens][2]   f16, f32 [dims][page_tokens]
//   values  [page_tokens][dims]
//
// Keys lie token-fastest so that a vector holds the logits of 16 tokens and no
// horizontal sum is needed; bf16 pairs are what vdpbf16ps multiplies. `dims`
// is head_dim rounded up to even.
#ifndef FDPP_KERNELS_COMMON_CACHE_LAYOUT_H
#define FDPP_KERNELS_COMMON_CACHE_LAYOUT_H

#include "kernels/common/packing.h"

#include <cstdint>

namespace fdpp {

/// Head dimension as stored.
constexpr int cache_dims(int head_dim) { return (head_dim + 1) / 2 * 2; }

/// Elements of one page of one layer, keys and values of all heads.
constexpr int64_t cache_page_elements(int kv_heads, int head_dim,
                                      int page_tokens) {
  return 2 * int64_t(kv_heads) * cache_dims(head_dim) * page_tokens;
}

/// Element of dimension `dim`, token `token` inside one head's keys.
template <class E>
constexpr int key_index(int token, int dim, int page_tokens) {
  constexpr int pack = k_pack<E>;
  return (dim / pack * page_tokens + token) * pack + dim % pack;
}

/// Element of token `token`, dimension `dim` inside one head's values.
constexpr int value_index(int token, int dim, int head_dim) {
  return token * cache_dims(head_dim) + dim;
}

} // namespace fdpp

#endif // FDPP_KERNELS_COMMON_CACHE_LAYOUT_H
