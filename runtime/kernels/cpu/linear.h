// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//   y[T, N] = prologue(x)[T, K] . W[N, K]^T, given tile by tile to epilogues
//
// One packed copy of W (common/packing.h) serves every T. The loops are the
// same from one token to a prefill: panel group outer, token tiles inner, so W
// is read from memory once; only the register tile differs.
//
// An epilogue is a struct the compiler emits, one per column segment of W:
//
//   struct StoreQuery {
//     static constexpr Partner partner = Partner::half;
//     static constexpr int columns = 576, group = 64;
//     const float *cosine, *sine;   // [T][32]
//     bf16 *query;                  // [T][576]
//     template <class V>
//     void operator()(V value, V partner, int row, int column,
//                     int lanes) const;
//   };
//
// `value` holds 16 neighbouring columns of one token (row), `lanes` of them
// real. See common/packing.h for what `partner` holds.
#ifndef FDPP_KERNELS_CPU_LINEAR_H
#define FDPP_KERNELS_CPU_LINEAR_H

#include "kernels/common/scratch.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/prologue.h"
#include "kernels/cpu/team.h"

namespace fdpp::cpu {

/// A variant: how many tokens a register tile holds and how far ahead of use,
/// in bytes, the weight stream is prefetched (0: not at all).
template <int Tokens, int Prefetch = 1024> struct Variant {
  static constexpr int tokens = Tokens;
  static constexpr int prefetch = Prefetch;
};

/// One token; the whole of the registers goes to panels in flight.
using Gemv = Variant<1>;
/// A few tokens up to a prefill.
inline constexpr int widest_tile =
    max_accumulators > 12 ? 12 : max_accumulators;
using Flat = Variant<widest_tile>;
using Prefill = Variant<widest_tile, 0>;

/// Results of `panels` panels for `tokens` tokens: out[panel][token][16].
/// Out of line and free of the epilogue, so that an engine holds one copy per
/// tile shape.
template <class E, int Panels, int Tokens, int Prefetch>
FDPP_NOINLINE void tile(const E *weights, const activation_t<E> *tokens, int k,
                        float *out) {
  constexpr int pack_elements = panel_rows * k_pack<E>;
  int packs = packed_k<E>(k) / k_pack<E>;
  int64_t panel = int64_t(packs) * pack_elements;
  Accumulators<Panels, Tokens> acc;
  clear<Panels, Tokens>(acc);
  multiply<Panels, Tokens>(
      acc, packs, WeightView<E>{weights, pack_elements, panel},
      [&](int step, int m)
          FDPP_INLINE_LAMBDA { return tokens[step * Tokens + m]; },
      [&](int s) FDPP_INLINE_LAMBDA {
        if constexpr (Prefetch != 0)
          for (int r = 0; r < Panels; ++r)
            __builtin_prefetch((const char *)(weights + r * panel +
                                              int64_t(s) * pack_elements) +
                               Prefetch);
      });
#pragma clang loop unroll(full)
  for (int r = 0; r < Panels; ++r)
#pragma clang loop unroll(full)
    for (int m = 0; m < Tokens; ++m)
      store(out + (r * Tokens + m) * lanes, acc[r][m]);
}

/// `panels` panels, in tiles of as many as registers hold.
template <class E, int Tokens, int Prefetch>
FDPP_INLINE void tiles(const E *weights, const activation_t<E> *tokens, int k,
                       int panels, float *out) {
  constexpr int step = panels_for(Tokens);
  const int64_t panel = packed_elements<E>(1, k);
  for (; panels >= step; panels -= step) {
    tile<E, step, Tokens, Prefetch>(weights, tokens, k, out);
    weights += step * panel;
    out += step * Tokens * lanes;
  }
  for (; panels > 0; --panels) {
    tile<E, 1, Tokens, Prefetch>(weights, tokens, k, out);
    weights += panel;
    out += Tokens * lanes;
  }
}

/// The epilogue over `units` units of results out[panel][token][16].
template <class Epilogue>
FDPP_INLINE void run_epilogue(const Epilogue &epilogue, int unit, int units,
                              int row, int tokens, const float *out) {
  constexpr ColumnSegment segment = segment_of<Epilogue>();
  constexpr int per_unit = panels_per_unit(segment.partner);
  for (int u = 0; u < units; ++u) {
    UnitColumns at = unit_columns(segment, unit + u);
    const float *value = out + u * per_unit * tokens * lanes;
    const float *partner = value + (per_unit - 1) * tokens * lanes;
    for (int m = 0; m < tokens; ++m)
      epilogue(load(value + m * lanes), load(partner + m * lanes), row + m,
               at.first, at.lanes);
  }
}

/// Panels computed before the epilogue runs over them.
inline constexpr int group_panels = 4;

/// Units [range) of one segment for tokens [first, last), which are whole tiles
/// of the packed activations. `weights` is the segment's first panel.
template <class V, class E, class Epilogue>
FDPP_INLINE void run_units(const E *weights, const activation_t<E> *packed,
                           int k, int first, int last, Range range,
                           const Epilogue &epilogue) {
  constexpr int per_unit = panels_per_unit(Epilogue::partner);
  constexpr int group = group_panels / per_unit;
  alignas(64) float out[group_panels * V::tokens * lanes];
  const int steps = activation_steps<E>(k);
  for (int unit = range.begin; unit < range.end; unit += group) {
    int units = range.end - unit < group ? range.end - unit : group;
    const E *from = weights + packed_elements<E>(unit * per_unit, k);
    for (int row = first; row < last; row += V::tokens) {
      int tokens = last - row < V::tokens ? last - row : V::tokens;
      with_constant<V::tokens>(tokens, [&](auto count) FDPP_INLINE_LAMBDA {
        tiles<E, count(), V::prefetch>(from, packed + int64_t(row) * steps, k,
                                       units * per_unit, out);
      });
      run_epilogue(epilogue, unit, units, row, tokens, out);
    }
  }
}

/// Packs the tokens: by each thread for itself if it is one token, else shared
/// between them. Returns the packed activations; tile i, of V::tokens tokens,
/// begins at i * V::tokens * steps.
template <class V, class E, class Prologue>
FDPP_INLINE const activation_t<E> *
prepare(Team &team, int tokens, const Prologue &rows, void *scratch) {
  constexpr int k = Prologue::columns;
  auto *packed = static_cast<activation_t<E> *>(scratch);
  if (tokens == 1) {
    packed = reinterpret_cast<activation_t<E> *>(
        static_cast<char *>(scratch) + team.index * activation_bytes(k));
    pack_tile<E>(rows, 0, 1, packed);
    return packed;
  }
  Range mine = team.share((tokens + V::tokens - 1) / V::tokens);
  for (int i = mine.begin; i < mine.end; ++i) {
    int first = i * V::tokens;
    int count = tokens - first < V::tokens ? tokens - first : V::tokens;
    pack_tile<E>(rows, first, count,
                 packed + int64_t(first) * activation_steps<E>(k));
  }
  team.barrier();
  return packed;
}

/// The linear. `weights` holds the segments of the epilogues one after another;
/// `scratch` is linear_scratch_bytes(tokens, K, threads) bytes, 64-aligned. An
/// epilogue must not write to the rows that the prologue reads.
template <class V, class E, class Prologue, class... Epilogues>
void linear(Team &team, int tokens, const Prologue &rows, const E *weights,
            void *scratch, const Epilogues &...epilogues) {
  constexpr int k = Prologue::columns;
  constexpr int total = (0 + ... + segment_units(segment_of<Epilogues>()));
  const activation_t<E> *packed = prepare<V, E>(team, tokens, rows, scratch);
  Range mine = team.share(total);
  int before = 0;
  auto run = [&](const auto &epilogue) {
    constexpr ColumnSegment segment =
        segment_of<std::remove_cvref_t<decltype(epilogue)>>();
    constexpr int units = segment_units(segment);
    int begin = mine.begin > before ? mine.begin - before : 0;
    int end = mine.end - before < units ? mine.end - before : units;
    if (begin < end)
      run_units<V, E>(weights, packed, k, 0, tokens, Range{begin, end},
                      epilogue);
    before += units;
    weights += packed_elements<E>(segment_panels(segment), k);
  };
  (run(epilogues), ...);
  team.barrier();
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_LINEAR_H
