// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations on rows that no linear could take over as its prologue or
// epilogue: each reads and writes whole rows [tokens][Width], shared out by
// token.
#ifndef FDPP_KERNELS_CPU_ELEMENTWISE_H
#define FDPP_KERNELS_CPU_ELEMENTWISE_H

#include "kernels/cpu/cache.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/prologue.h"
#include "kernels/cpu/team.h"

namespace fdpp::cpu {

/// out = f(x), elementwise.
template <int Width, class X, class Y, class F>
void map_rows(Team &team, int tokens, const X *x, Y *out, F f) {
  Range mine = team.share(tokens);
  for (int t = mine.begin; t < mine.end; ++t)
    for_each_chunk<Width>([&](int k, int n) FDPP_INLINE_LAMBDA {
      int64_t at = int64_t(t) * Width + k;
      store(out + at, f(load(x + at, n)), n);
    });
  team.barrier();
}

/// out = f(a, b), elementwise.
template <int Width, class A, class B, class Y, class F>
void zip_rows(Team &team, int tokens, const A *a, const B *b, Y *out, F f) {
  Range mine = team.share(tokens);
  for (int t = mine.begin; t < mine.end; ++t)
    for_each_chunk<Width>([&](int k, int n) FDPP_INLINE_LAMBDA {
      int64_t at = int64_t(t) * Width + k;
      store(out + at, f(load(a + at, n), load(b + at, n)), n);
    });
  team.barrier();
}

/// Which elements of a head turn together: (j, j + Rotary / 2) or (2j, 2j + 1).
enum class RotaryPairs { halves, neighbours };

/// Rotary embedding (Su et al., 2021) of heads of HeadDim elements, of which
/// the first `Rotary` turn and the others are copied. Row t of the tables
/// begins at cosine + t * stride and holds Rotary / 2 angles.
template <int Width, int HeadDim, int Rotary, RotaryPairs Pairs, class X,
          class Y>
void rope(Team &team, int tokens, const X *x, const float *cosine,
          const float *sine, int stride, Y *out) {
  constexpr bool halves = Pairs == RotaryPairs::halves;
  Range mine = team.share(tokens);
  for (int t = mine.begin; t < mine.end; ++t) {
    const float *c = cosine + int64_t(t) * stride;
    const float *s = sine + int64_t(t) * stride;
    for (int head = 0; head < Width; head += HeadDim) {
      const X *from = x + int64_t(t) * Width + head;
      Y *to = out + int64_t(t) * Width + head;
      for (int j = 0; j < Rotary / 2; ++j) {
        int first = halves ? j : 2 * j;
        int second = halves ? j + Rotary / 2 : 2 * j + 1;
        float a = to_float(from[first]), b = to_float(from[second]);
        to[first] = from_float<Y>(a * c[j] - b * s[j]);
        to[second] = from_float<Y>(b * c[j] + a * s[j]);
      }
      for (int j = Rotary; j < HeadDim; ++j)
        to[j] = from_float<Y>(to_float(from[j]));
    }
  }
  team.barrier();
}

/// Stores each token's key and value [tokens][heads * head_dim] at its slot.
template <class K, class V, class CacheType>
void kv_append(Team &team, int tokens, const K *key, const V *value,
               const int32_t *slots, int layer, const CacheType &cache) {
  constexpr int width = CacheType::kv_heads * CacheType::head_dim;
  Range mine = team.share(tokens);
  for (int t = mine.begin; t < mine.end; ++t)
    for_each_chunk<width>([&](int k, int n) FDPP_INLINE_LAMBDA {
      int64_t at = int64_t(t) * width + k;
      kv_store_key_columns(cache, layer, slots[t], k, load(key + at, n), n);
      kv_store_value_columns(cache, layer, slots[t], k, load(value + at, n), n);
    });
  team.barrier();
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_ELEMENTWISE_H
