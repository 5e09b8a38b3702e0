// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What happens to a token's row on its way into a linear: nothing, RMS norm or
// layer norm. A prologue computes in f32; the result is then rounded to the
// weight's type, for every number of tokens and in every variant, so that the
// variants agree.
#ifndef FDPP_KERNELS_CPU_PROLOGUE_H
#define FDPP_KERNELS_CPU_PROLOGUE_H

#include "kernels/cpu/tile.h"

namespace fdpp::cpu {

/// Calls body(k, count) for each group of up to 16 columns.
template <int K, class Body> FDPP_INLINE void for_each_chunk(Body body) {
  for (int k = 0; k + lanes <= K; k += lanes)
    body(k, lanes);
  if constexpr (K % lanes != 0)
    body(K / lanes * lanes, K % lanes);
}

/// Rows as they are: x[T][K].
template <int K, class X = float> struct Rows {
  static constexpr int columns = K;
  const X *x;

  /// Gives every chunk of the row to sink(k, values, count); values beyond
  /// count are zero.
  template <class Sink> FDPP_INLINE void visit(int row, Sink sink) const {
    const X *from = x + int64_t(row) * K;
    for_each_chunk<K>([&](int k, int count) FDPP_INLINE_LAMBDA {
      sink(k, load(from + k, count), count);
    });
  }
};

/// x / sqrt(mean(x^2) + epsilon) * gamma (Zhang and Sennrich, 2019).
template <int K, class X = float> struct RmsNorm {
  static constexpr int columns = K;
  const X *x;
  const float *gamma;
  float epsilon;

  template <class Sink> FDPP_INLINE void visit(int row, Sink sink) const {
    const X *from = x + int64_t(row) * K;
    f32x16 squares = splat(0.0f);
    for_each_chunk<K>([&](int k, int count) FDPP_INLINE_LAMBDA {
      f32x16 v = load(from + k, count);
      squares = fma(v, v, squares);
    });
    float mean = reduce_add(squares) / float(K);
    float scale = 1.0f / __builtin_sqrtf(mean + epsilon);
    for_each_chunk<K>([&](int k, int count) FDPP_INLINE_LAMBDA {
      sink(k, load(from + k, count) * scale * load(gamma + k, count), count);
    });
  }
};

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta.
template <int K, class X = float> struct LayerNorm {
  static constexpr int columns = K;
  const X *x;
  const float *gamma, *beta;
  float epsilon;

  template <class Sink> FDPP_INLINE void visit(int row, Sink sink) const {
    const X *from = x + int64_t(row) * K;
    f32x16 sum = splat(0.0f), squares = splat(0.0f);
    for_each_chunk<K>([&](int k, int count)
                          FDPP_INLINE_LAMBDA { sum += load(from + k, count); });
    float mean = reduce_add(sum) / float(K);
    for_each_chunk<K>([&](int k, int count) FDPP_INLINE_LAMBDA {
      f32x16 v = load(from + k, count) - mean;
      v = select(lane_index() < count, v, splat(0.0f));
      squares = fma(v, v, squares);
    });
    float variance = reduce_add(squares) / float(K);
    float scale = 1.0f / __builtin_sqrtf(variance + epsilon);
    for_each_chunk<K>([&](int k, int count) FDPP_INLINE_LAMBDA {
      f32x16 v = (load(from + k, count) - mean) * scale;
      v = fma(v, load(gamma + k, count), load(beta + k, count));
      sink(k, select(lane_index() < count, v, splat(0.0f)), count);
    });
  }
};

/// Rounds `count` values from column k on to E and puts them where a tile of
/// `tokens` tokens reads them for its token m: element k at out[k * tokens].
template <class E>
FDPP_INLINE void scatter(activation_t<E> *out, int tokens, int k, f32x16 value,
                         int count) {
  if constexpr (Activation<E>::k_step == 2) {
    using u32x8 = uint32_t __attribute__((ext_vector_type(8)));
    u32x8 pairs = __builtin_bit_cast(u32x8, narrow_bf16(value));
    uint32_t buffer[8];
    __builtin_memcpy(buffer, &pairs, sizeof buffer);
    for (int i = 0; 2 * i < count; ++i)
      out[(k / 2 + i) * tokens] = buffer[i];
  } else {
    float buffer[lanes];
    store(buffer, round_to<E>(value));
    for (int i = 0; i < packed_k<E>(count); ++i)
      out[(k + i) * tokens] = buffer[i];
  }
}

/// The activations of `tokens` tokens from row `first` on, one tile.
template <class E, class Prologue>
FDPP_NOINLINE void pack_tile(const Prologue &rows, int first, int tokens,
                             activation_t<E> *out) {
  for (int m = 0; m < tokens; ++m)
    rows.visit(first + m,
               [&](int k, f32x16 value, int count) FDPP_INLINE_LAMBDA {
                 scatter<E>(out + m, tokens, k, value, count);
               });
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_PROLOGUE_H
