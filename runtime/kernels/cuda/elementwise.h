// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations on rows that no linear could take over as its prologue or
// epilogue: each reads and writes whole rows [tokens][Width].
#ifndef FDPP_KERNELS_CUDA_ELEMENTWISE_H
#define FDPP_KERNELS_CUDA_ELEMENTWISE_H

#include "kernels/cuda/cache.h"
#include "kernels/cuda/tokens.h"

namespace fdpp::cuda {

template <class X, class Y, class F>
__global__ void __launch_bounds__(element_threads)
    map_kernel(int64_t count, const X *x, Y *out, F f) {
  wait_for_kernel_before();
  const int64_t i = element_index();
  if (i < count)
    store(out + i, f(load(x + i)));
}

/// out = f(x), elementwise.
template <int Width, class X, class Y, class F>
void map_rows(Stream &stream, int tokens, const X *x, Y *out, F f) {
  const int64_t count = int64_t(tokens) * Width;
  stream.launch(map_kernel<X, Y, F>, blocks_for(count), element_threads, 0,
                count, x, out, f);
}

template <class A, class B, class Y, class F>
__global__ void __launch_bounds__(element_threads)
    zip_kernel(int64_t count, const A *a, const B *b, Y *out, F f) {
  wait_for_kernel_before();
  const int64_t i = element_index();
  if (i < count)
    store(out + i, f(load(a + i), load(b + i)));
}

/// out = f(a, b), elementwise.
template <int Width, class A, class B, class Y, class F>
void zip_rows(Stream &stream, int tokens, const A *a, const B *b, Y *out, F f) {
  const int64_t count = int64_t(tokens) * Width;
  stream.launch(zip_kernel<A, B, Y, F>, blocks_for(count), element_threads, 0,
                count, a, b, out, f);
}

/// Which elements of a head turn together: (j, j + Rotary / 2) or (2j, 2j + 1).
enum class RotaryPairs { halves, neighbours };

template <int Width, int HeadDim, int Rotary, RotaryPairs Pairs, class X,
          class Y>
__global__ void __launch_bounds__(element_threads)
    rope_kernel(const X *x, const float *cosine, const float *sine, int stride,
                Y *out) {
  wait_for_kernel_before();
  constexpr bool halves = Pairs == RotaryPairs::halves;
  constexpr int heads = Width / HeadDim, pairs = Rotary / 2;
  const int64_t t = blockIdx.x;
  // Both of a pair by one thread: out may be x.
  for (int i = threadIdx.x; i < heads * pairs; i += element_threads) {
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
  for (int i = threadIdx.x; i < heads * rest; i += element_threads) {
    const int64_t at = t * Width + i / (rest ? rest : 1) * HeadDim + Rotary +
                       i % (rest ? rest : 1);
    store(out + at, load(x + at));
  }
}

/// Rotary embedding (Su et al., 2021) of heads of HeadDim elements, of which
/// the first `Rotary` turn and the others are copied. Row t of the tables
/// begins at cosine + t * stride and holds Rotary / 2 angles.
template <int Width, int HeadDim, int Rotary, RotaryPairs Pairs, class X,
          class Y>
void rope(Stream &stream, int tokens, const X *x, const float *cosine,
          const float *sine, int stride, Y *out) {
  stream.launch(rope_kernel<Width, HeadDim, Rotary, Pairs, X, Y>,
                dim3(unsigned(tokens)), element_threads, 0, x, cosine, sine,
                stride, out);
}

template <class K, class V, class CacheType>
__global__ void __launch_bounds__(element_threads)
    kv_append_kernel(const K *key, const V *value, const int32_t *slots,
                     int layer, CacheType cache) {
  wait_for_kernel_before();
  constexpr int width = CacheType::kv_heads * CacheType::head_dim;
  const int64_t t = blockIdx.x;
  for (int i = threadIdx.x; i < width; i += element_threads) {
    kv_store_key_columns(cache, layer, slots[t], i, load(key + t * width + i));
    kv_store_value_columns(cache, layer, slots[t], i,
                           load(value + t * width + i));
  }
}

/// Stores each token's key and value [tokens][heads * head_dim] at its slot.
template <class K, class V, class CacheType>
void kv_append(Stream &stream, int tokens, const K *key, const V *value,
               const int32_t *slots, int layer, const CacheType &cache) {
  stream.launch(kv_append_kernel<K, V, CacheType>, dim3(unsigned(tokens)),
                element_threads, 0, key, value, slots, layer, cache);
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_ELEMENTWISE_H
