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

/// Calls body(k, count) for each group of up to 16 of `columns`.
template <class Body> FDPP_INLINE void for_each_chunk(int columns, Body body) {
  for (int k = 0; k + lanes <= columns; k += lanes)
    body(k, lanes);
  if (columns % lanes != 0)
    body(columns / lanes * lanes, columns % lanes);
}
template <int K, class Body> FDPP_INLINE void for_each_chunk(Body body) {
  for_each_chunk(K, body);
}

// A prologue gives a row's statistics once and then its chunks in any order:
// chunk(row, begin(row), k, count) are the values from column k on, zero beyond
// `count`.

/// Rows as they are: x[T][K].
template <int K, class X = float> struct Rows {
  static constexpr int columns = K;
  const X *x;

  struct State {};
  FDPP_INLINE State begin(int) const { return {}; }
  FDPP_INLINE f32x16 chunk(int row, State, int k, int count) const {
    return load(x + int64_t(row) * K + k, count);
  }
};

/// x / sqrt(mean(x^2) + epsilon) * gamma (Zhang and Sennrich, 2019).
template <int K, class X = float> struct RmsNorm {
  static constexpr int columns = K;
  const X *x;
  const float *gamma;
  float epsilon;

  struct State {
    float scale;
  };
  FDPP_INLINE State begin(int row) const {
    const X *from = x + int64_t(row) * K;
    f32x16 squares = splat(0.0f);
    for_each_chunk<K>([&](int k, int count) FDPP_INLINE_LAMBDA {
      f32x16 v = load(from + k, count);
      squares = fma(v, v, squares);
    });
    float mean = reduce_add(squares) / float(K);
    return {1.0f / __builtin_sqrtf(mean + epsilon)};
  }
  FDPP_INLINE f32x16 chunk(int row, State state, int k, int count) const {
    return load(x + int64_t(row) * K + k, count) * state.scale *
           load(gamma + k, count);
  }
};

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta (Ba et al., 2016); a
/// null beta is zeros.
template <int K, class X = float> struct LayerNorm {
  static constexpr int columns = K;
  const X *x;
  const float *gamma, *beta;
  float epsilon;

  struct State {
    float mean, scale;
  };
  FDPP_INLINE State begin(int row) const {
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
    return {mean, 1.0f / __builtin_sqrtf(variance + epsilon)};
  }
  FDPP_INLINE f32x16 chunk(int row, State state, int k, int count) const {
    f32x16 v = load(x + int64_t(row) * K + k, count) - state.mean;
    f32x16 shift = beta ? load(beta + k, count) : splat(0.0f);
    v = fma(v * state.scale, load(gamma + k, count), shift);
    return select(lane_index() < count, v, splat(0.0f));
  }
};

//===----------------------------------------------------------------------===//
// Packing activations
//===----------------------------------------------------------------------===//

/// Panels that several tiles of tokens share, and packs of k that these keep in
/// L1 (24 KiB) while the tiles stream by; a multiple of a chunk.
inline constexpr int block_panels = panels_for(widest_tile);
template <class E>
inline constexpr int cached_packs =
    (24 << 10) / (block_panels * panel_rows * k_pack<E> * int(sizeof(E)));

/// Where the packed activations of T tokens lie: cut into parts of the inner
/// dimension, and within a part tile by tile as the register tile reads them,
/// so that a part's tiles are one stream.
///
///   [part][tile of V::tokens tokens][element of the part][token of the tile]
template <class E> struct ActivationLayout {
  int k, tokens, tile;

  /// Packs of a part; a single tile needs no cut.
  int cut() const {
    int packs = packed_k<E>(k) / k_pack<E>;
    return tokens <= tile || packs < cached_packs<E> ? packs : cached_packs<E>;
  }
  /// The part that begins at pack `begin`, for the tile that begins at token
  /// `first`.
  int64_t offset(int begin, int first) const {
    constexpr int steps = k_pack<E> / Activation<E>::k_step;
    int left = packed_k<E>(k) / k_pack<E> - begin;
    int size = left < cut() ? left : cut();
    return (int64_t(begin) * tokens + int64_t(first) * size) * steps;
  }
};

using u32x8 = uint32_t __attribute__((ext_vector_type(8)));

/// Transposes 8 x 8 words.
FDPP_INLINE void transpose(u32x8 (&rows)[8]) {
  u32x8 t[8];
#pragma clang loop unroll(full)
  for (int i = 0; i < 4; ++i) {
    u32x8 a = rows[2 * i], b = rows[2 * i + 1];
    t[2 * i] = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
    t[2 * i + 1] = __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i += 4)
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; ++j) {
      u32x8 a = t[i + j], b = t[i + j + 2];
      rows[i + j] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
      rows[i + j + 2] =
          __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
    }
#pragma clang loop unroll(full)
  for (int i = 0; i < 4; ++i) {
    u32x8 a = rows[i], b = rows[i + 4];
    rows[i] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
    rows[i + 4] = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

/// One token's chunk of 16 columns, rounded to E, as 8 words each of which is a
/// step of the register tile: one group for bf16 pairs, two groups for f32.
template <class E>
inline constexpr int chunk_words = lanes / Activation<E>::k_step;

template <class E> FDPP_INLINE void chunk_bits(f32x16 value, uint32_t *words) {
  if constexpr (Activation<E>::k_step == 2) {
    u16x16 pairs = narrow_bf16(value);
    __builtin_memcpy(words, &pairs, sizeof pairs);
  } else {
    f32x16 rounded = round_to<E>(value);
    __builtin_memcpy(words, &rounded, sizeof rounded);
  }
}

/// Stores the 8 steps of `rows` from token `m` of `Tokens` on. A store may put
/// words behind its tokens, in rising order of both, so that the next store
/// overwrites them; what is `last` must not put them behind the eighth step.
template <int Tokens>
FDPP_INLINE void store_steps(const u32x8 (&rows)[8], int m, bool last,
                             uint32_t *out) {
  constexpr int tail = Tokens % 8;
#pragma clang loop unroll(full)
  for (int j = 0; j < 8; ++j) {
    uint32_t *to = out + j * Tokens + m;
    bool fits = (j + 1) * Tokens + 8 - tail <= 8 * Tokens;
    if (tail == 0 || m + 8 <= Tokens || (m == 0 && (fits || !last)))
      __builtin_memcpy(to, &rows[j], sizeof rows[j]);
    else
      __builtin_memcpy(to, &rows[j], tail * sizeof *to);
  }
}

/// out[step][token] = words[token][step] for `steps` steps of `Tokens` tokens.
/// If `may_overrun`, the caller owns the 8 - Tokens words behind the last step
/// and writes them later.
template <int Tokens>
FDPP_NOINLINE void interleave(const uint32_t *words, int row_words, int steps,
                              bool may_overrun, uint32_t *out) {
  if (Tokens == 1) {
    __builtin_memcpy(out, words, size_t(steps) * sizeof *out);
    return;
  }
  if (steps % 8 != 0) {
    for (int i = 0; i < steps; ++i)
      for (int m = 0; m < Tokens; ++m)
        out[i * Tokens + m] = words[m * row_words + i];
    return;
  }
  for (int i = 0; i < steps; i += 8)
    for (int m = 0; m < Tokens; m += 8) {
      u32x8 rows[8];
#pragma clang loop unroll(full)
      for (int j = 0; j < 8; ++j)
        __builtin_memcpy(&rows[j], words + (m + j) * row_words + i,
                         sizeof rows[j]);
      transpose(rows);
      store_steps<Tokens>(rows, m, !may_overrun && i + 8 == steps,
                          out + i * Tokens);
    }
}

/// The activations of `tokens` tokens from row `first` on, one tile.
template <class E, class Prologue>
FDPP_NOINLINE void pack_tile(const Prologue &rows,
                             const ActivationLayout<E> &layout, int first,
                             int tokens, activation_t<E> *packed) {
  const int k = rows.columns;
  constexpr int most = 16, words = chunk_words<E>;
  constexpr int step = Activation<E>::k_step;
  const int part = layout.cut() * k_pack<E>;
  typename Prologue::State states[most];
  alignas(64) uint32_t chunk[most * words] = {};
  void (*put)(const uint32_t *, int, int, bool, uint32_t *);
  with_constant<most>(
      tokens, [&](auto m) FDPP_INLINE_LAMBDA { put = interleave<m()>; });
  for (int m = 0; m < tokens; ++m)
    states[m] = rows.begin(first + m);
  for_each_chunk(k, [&](int at, int count) FDPP_INLINE_LAMBDA {
    for (int m = 0; m < tokens; ++m)
      chunk_bits<E>(rows.chunk(first + m, states[m], at, count),
                    chunk + m * words);
    int begin = at / part * part, steps = packed_k<E>(count) / step;
    // Only a whole chunk is sure to be larger than what overruns into it; the
    // words behind a tile may be another thread's.
    bool whole_next = at + 2 * lanes <= k && (at + lanes) % part != 0;
    auto *out = reinterpret_cast<uint32_t *>(packed) +
                layout.offset(begin / k_pack<E>, first) +
                (at - begin) / step * tokens;
    put(chunk, words, steps, whole_next, out);
  });
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_PROLOGUE_H
