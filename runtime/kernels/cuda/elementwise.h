// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations on rows that no linear could take over as its prologue or
// epilogue: each reads and writes whole rows [tokens][Width].
#ifndef FDPP_KERNELS_CUDA_ELEMENTWISE_H
#define FDPP_KERNELS_CUDA_ELEMENTWISE_H

#include "kernels/cuda/cache.h"
#include "kernels/cuda/tokens.h"

namespace fdpp::cuda {

template <class X, class Y, class F> struct MapBody {
  static constexpr int shared_bytes = 0;
  int64_t count;
  const X *x;
  Y *out;
  F f;

  __device__ void operator()(int block, char *) const {
    const int64_t i = element_index(block);
    if (i < count)
      store(out + i, f(load(x + i)));
  }
};

/// out = f(x), elementwise.
template <int Width, class Context, class X, class Y, class F>
FDPP_ANY_CONTEXT void map_rows(Context &context, int tokens, const X *x, Y *out,
                               F f) {
  const int64_t count = int64_t(tokens) * Width;
  context.run(blocks_for(count), MapBody<X, Y, F>{count, x, out, f});
}

template <class A, class B, class Y, class F> struct ZipBody {
  static constexpr int shared_bytes = 0;
  int64_t count;
  const A *a;
  const B *b;
  Y *out;
  F f;

  __device__ void operator()(int block, char *) const {
    const int64_t i = element_index(block);
    if (i < count)
      store(out + i, f(load(a + i), load(b + i)));
  }
};

/// out = f(a, b), elementwise.
template <int Width, class Context, class A, class B, class Y, class F>
FDPP_ANY_CONTEXT void zip_rows(Context &context, int tokens, const A *a,
                               const B *b, Y *out, F f) {
  const int64_t count = int64_t(tokens) * Width;
  context.run(blocks_for(count), ZipBody<A, B, Y, F>{count, a, b, out, f});
}

/// Which elements of a head turn together: (j, j + Rotary / 2) or (2j, 2j + 1).
enum class RotaryPairs { halves, neighbours };

template <int Width, int HeadDim, int Rotary, RotaryPairs Pairs, class X,
          class Y>
struct RopeBody {
  static constexpr int shared_bytes = 0;
  const X *x;
  const float *cosine, *sine;
  int stride;
  Y *out;

  __device__ void operator()(int block, char *) const {
    constexpr bool halves = Pairs == RotaryPairs::halves;
    constexpr int heads = Width / HeadDim, pairs = Rotary / 2;
    const int64_t t = block;
    // Both of a pair by one thread: out may be x.
    for (int i = thread_index(); i < heads * pairs; i += block_threads) {
      const int j = i % pairs;
      const int64_t head = t * Width + i / pairs * HeadDim;
      const int64_t first = head + (halves ? j : 2 * j);
      const int64_t second = head + (halves ? j + pairs : 2 * j + 1);
      const float c = cosine[t * stride + j], s = sine[t * stride + j];
      const float a = load(x + first), b = load(x + second);
      store(out + first, a * c - b * s);
      store(out + second, b * c + a * s);
    }
    constexpr int rest = HeadDim - Rotary;
    for (int i = thread_index(); i < heads * rest; i += block_threads) {
      const int64_t at = t * Width + i / (rest ? rest : 1) * HeadDim + Rotary +
                         i % (rest ? rest : 1);
      store(out + at, load(x + at));
    }
  }
};

/// Rotary embedding (Su et al., 2021) of heads of HeadDim elements, of which
/// the first `Rotary` turn and the others are copied. Row t of the tables
/// begins at cosine + t * stride and holds Rotary / 2 angles.
template <int Width, int HeadDim, int Rotary, RotaryPairs Pairs, class Context,
          class X, class Y>
FDPP_ANY_CONTEXT void rope(Context &context, int tokens, const X *x,
                           const float *cosine, const float *sine, int stride,
                           Y *out) {
  context.run(tokens, RopeBody<Width, HeadDim, Rotary, Pairs, X, Y>{
                          x, cosine, sine, stride, out});
}

template <class K, class V, class CacheType> struct KvAppendBody {
  static constexpr int shared_bytes = 0;
  const K *key;
  const V *value;
  const int32_t *slots;
  int layer;
  CacheType cache;

  __device__ void operator()(int block, char *) const {
    constexpr int width = CacheType::kv_heads * CacheType::head_dim;
    const int64_t t = block;
    for (int i = thread_index(); i < width; i += block_threads) {
      kv_store_key_columns(cache, layer, slots[t], i,
                           load(key + t * width + i));
      kv_store_value_columns(cache, layer, slots[t], i,
                             load(value + t * width + i));
    }
  }
};

/// Stores each token's key and value [tokens][heads * head_dim] at its slot.
template <class Context, class K, class V, class CacheType>
FDPP_ANY_CONTEXT void kv_append(Context &context, int tokens, const K *key,
                                const V *value, const int32_t *slots, int layer,
                                const CacheType &cache) {
  context.run(tokens,
              KvAppendBody<K, V, CacheType>{key, value, slots, layer, cache});
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_ELEMENTWISE_H
