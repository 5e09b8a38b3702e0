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
#include "kernels/cpu/matrix_linear.h"
#include "kernels/cpu/prologue.h"
#include "kernels/cpu/team.h"

namespace fdpp::cpu {

/// The most tokens of a variant's tile: those of the matrix unit, if there is
/// one.
inline constexpr int most_variant =
    matrix::available ? matrix::most_tokens : most_tile;

/// How a linear holds its tokens: as the register tile reads them, or as the
/// matrix unit does.
template <class E>
using packed_t = std::conditional_t<on_matrix_unit<E>, bf16, activation_t<E>>;

/// A variant, as values: tokens of a tile (most_variant at most, and no more
/// than the registers hold; the last tile takes what is left) and how many
/// bytes of weights are on their way to a lone tile. Values and not types, so
/// that a linear is compiled once, however many variants serve its ranges of
/// tokens.
struct Tiling {
  int tokens;
  int prefetch;
};

/// The same as a type: what emitted code names.
template <int Tokens, int Prefetch = 4096> struct Variant {
  static_assert(Tokens >= 1 && Tokens <= most_variant && Prefetch >= 0);
  static constexpr Tiling tiling{Tokens, Prefetch};
};

/// One token; the whole of the registers goes to panels in flight.
using Gemv = Variant<1>;
/// A few tokens up to a prefill.
using Flat = Variant<widest_tile>;
using Prefill = Variant<widest_tile>;

/// The most panels that one tile streams through together.
inline constexpr int stream_panels = 4;
/// The most panels of a block: two make up a unit that has partners.
inline constexpr int most_panels = block_panels > 2 ? block_panels : 2;
/// Most tokens of a block; their results wait on the stack for the epilogue.
inline constexpr int block_tokens = 96;
template <class E>
inline constexpr int out_values =
    on_matrix_unit<E> ? lanes * matrix::shared_panels * matrix::block_tokens
                      : lanes * most_panels * block_tokens;
static_assert(out_values<float> >= lanes * stream_panels * most_tile);
static_assert(out_values<bf16> >= lanes * stream_panels * most_tile);

/// What to fetch while a tile runs: for its pack s of panel r the line at
/// from + r * (bytes of a panel) + s * stride.
struct Prefetch {
  const char *from;
  int64_t stride;
};

/// Results of `Panels` panels for `Tokens` tokens over `packs` packs of k:
/// out[panel][token][16], added to what is there if `resume`. Out of line and
/// free of the epilogue, so that an engine holds one copy per shape.
template <class E, int Panels, int Tokens>
FDPP_NOINLINE void tile(const E *weights, int64_t panel,
                        const activation_t<E> *tokens, int packs, bool resume,
                        Prefetch prefetch, float *out) {
  constexpr int pack_elements = panel_rows * k_pack<E>;
  Accumulators<Panels, Tokens> acc;
#pragma clang loop unroll(full)
  for (int r = 0; r < Panels; ++r)
#pragma clang loop unroll(full)
    for (int m = 0; m < Tokens; ++m)
      acc[r][m] = resume ? load(out + (r * Tokens + m) * lanes) : splat(0.0f);
  multiply<Panels, Tokens>(
      acc, packs, WeightView<E>{weights, pack_elements, panel},
      [&](int64_t step, int m)
          FDPP_INLINE_LAMBDA { return tokens[step * Tokens + m]; },
      [&](int64_t) FDPP_INLINE_LAMBDA {
#pragma clang loop unroll(full)
        for (int r = 0; r < Panels; ++r) // into L2: L1 is full
          __builtin_prefetch(prefetch.from + r * panel * int64_t(sizeof(E)), 0,
                             2);
        prefetch.from += prefetch.stride;
      });
#pragma clang loop unroll(full)
  for (int r = 0; r < Panels; ++r)
#pragma clang loop unroll(full)
    for (int m = 0; m < Tokens; ++m)
      store(out + (r * Tokens + m) * lanes, acc[r][m]);
}

/// One tile of `Tokens` tokens for `panels` panels, as many at a time as
/// registers hold.
template <class E, int Tokens>
FDPP_INLINE void tiles(const E *weights, int64_t panel,
                       const activation_t<E> *tokens, int packs, bool resume,
                       Prefetch prefetch, int panels, float *out) {
  constexpr int most = panels_for(Tokens);
  const int64_t bytes = panel * int64_t(sizeof(E));
  for (; panels >= most; panels -= most) {
    tile<E, most, Tokens>(weights, panel, tokens, packs, resume, prefetch, out);
    weights += most * panel;
    prefetch.from += most * bytes;
    out += most * Tokens * lanes;
  }
  // One panel alone gives so few tokens too few chains of additions.
  if constexpr (most > 2)
    if (panels >= 2) {
      tile<E, 2, Tokens>(weights, panel, tokens, packs, resume, prefetch, out);
      weights += 2 * panel;
      prefetch.from += 2 * bytes;
      out += 2 * Tokens * lanes;
      panels -= 2;
    }
  for (; panels > 0; --panels) {
    tile<E, 1, Tokens>(weights, panel, tokens, packs, resume, prefetch, out);
    weights += panel;
    prefetch.from += bytes;
    out += Tokens * lanes;
  }
}

/// out[panel][token][16] of one tile, the weights streaming by once. `ahead`
/// bytes are kept on their way; at the end of the panels, those of the panels
/// that come next.
template <class E>
FDPP_NOINLINE void stream(const E *weights, const activation_t<E> *packed,
                          int k, int tokens, int panels, int ahead,
                          float *out) {
  constexpr int64_t pack_bytes = panel_rows * k_pack<E> * sizeof(E);
  const int64_t panel = packed_elements<E>(1, k);
  const int packs = packed_k<E>(k) / k_pack<E>;
  with_constant<most_tile>(tokens, [&](auto m) FDPP_INLINE_LAMBDA {
    constexpr int together = panels_for(m());
    int tail = int(ahead / together / pack_bytes);
    tail = tail < packs ? tail : packs;
    Prefetch prefetch{(const char *)weights + tail * pack_bytes, pack_bytes};
    if (tail < packs)
      tiles<E, m()>(weights, panel, packed, packs - tail, false, prefetch,
                    panels, out);
    int done = packs - tail;
    prefetch.from = (const char *)(weights + together * panel);
    tiles<E, m()>(weights + done * panel_rows * k_pack<E>, panel,
                  packed +
                      int64_t(done) * k_pack<E> / Activation<E>::k_step * m(),
                  tail, done != 0, prefetch, panels, out);
  });
}

/// out[tile][panel][token of the tile][16] of a block of tokens: part after
/// part of the inner dimension, all tiles over a part of the panels that stays
/// in L1. Each tile fetches its fraction of the next part, so that memory works
/// all the while.
template <class E>
FDPP_NOINLINE void product(const E *weights, const activation_t<E> *packed,
                           const ActivationLayout<E> &layout, Range tokens,
                           int panels, float *out) {
  constexpr int pack_elements = panel_rows * k_pack<E>;
  const int64_t panel = packed_elements<E>(1, layout.k);
  const int packs = packed_k<E>(layout.k) / k_pack<E>, cut = layout.cut();
  const int tile = layout.tile;
  const int count = (tokens.end - tokens.begin + tile - 1) / tile;
  const int64_t stride = (pack_elements * sizeof(E) + count - 1) / count;
  for (int begin = 0; begin < packs; begin += cut) {
    int size = packs - begin < cut ? packs - begin : cut;
    const E *from = weights + int64_t(begin) * pack_elements;
    const E *next = from + int64_t(size) * pack_elements;
    if (begin + size == packs)
      next = weights + panels * panel;
    Prefetch prefetch{(const char *)next, stride};
    for (int first = tokens.begin; first < tokens.end; first += tile) {
      int left = tokens.end - first;
      with_constant<most_tile>(
          left < tile ? left : tile, [&](auto m) FDPP_INLINE_LAMBDA {
            tiles<E, m()>(from, panel, packed + layout.offset(begin, first),
                          size, begin != 0, prefetch, panels,
                          out + int64_t(first - tokens.begin) * panels * lanes);
          });
      prefetch.from += size * stride;
    }
  }
}

/// The epilogue over `units` units of a tile's results out[panel][token][16].
template <class Epilogue>
FDPP_INLINE void run_epilogue(const Epilogue &epilogue, int unit, int units,
                              int row, int tokens, const float *out) {
  const ColumnSegment segment = segment_of(epilogue);
  constexpr int per_unit = panels_per_unit(Epilogue::partner);
  for (int u = 0; u < units; ++u) {
    UnitColumns at = unit_columns(segment, unit + u);
    const float *value = out + u * per_unit * tokens * lanes;
    const float *partner = value + (per_unit - 1) * tokens * lanes;
    for (int m = 0; m < tokens; ++m)
      epilogue(load(value + m * lanes), load(partner + m * lanes), row + m,
               at.first, at.lanes);
  }
}

/// Panels that `count` tokens go over together.
template <class E>
constexpr int panels_together(int count, int tile, bool alone) {
  if (on_matrix_unit<E>)
    return alone ? matrix::panels_for(count) : matrix::shared_panels;
  // A last tile of few tokens has too few chains of additions with one panel;
  // without it one panel's part stays in L1 better.
  const int last = count % tile;
  const bool low = last != 0 && panels_for(last) > block_panels;
  return alone ? panels_for(count) : (low ? most_panels : block_panels);
}

/// Units [range) of one segment for at most a block of tokens. `weights` is the
/// segment's first panel, `ahead` the bytes on their way to a lone tile.
template <class E, class Epilogue>
FDPP_INLINE void run_units(const E *weights, const packed_t<E> *packed,
                           const ActivationLayout<E> &layout, int ahead,
                           Range tokens, Range range,
                           const Epilogue &epilogue) {
  constexpr int per_unit = panels_per_unit(Epilogue::partner);
  const int count = tokens.end - tokens.begin;
  const bool alone = layout.tokens <= layout.tile;
  const int panels = panels_together<E>(count, layout.tile, alone);
  const int group = panels > per_unit ? panels / per_unit : 1;
  alignas(64) float out[out_values<E>];
  for (int unit = range.begin; unit < range.end; unit += group) {
    int units = range.end - unit < group ? range.end - unit : group;
    const E *from = weights + packed_elements<E>(unit * per_unit, layout.k);
    const int some = units * per_unit;
    if constexpr (on_matrix_unit<E>) {
      const bf16 *block =
          packed + matrix::packed_tokens(tokens.begin, layout.k);
      if (alone)
        matrix::stream(from, block, layout.k, count, some, ahead, out);
      else
        matrix::product(from, block, layout.k, count, some, out);
    } else if (alone) {
      stream<E>(from, packed, layout.k, count, some, ahead, out);
    } else {
      product<E>(from, packed, layout, tokens, some, out);
    }
    for (int row = 0; row < count; row += layout.tile) {
      int tile = count - row < layout.tile ? count - row : layout.tile;
      run_epilogue(epilogue, unit, units, tokens.begin + row, tile,
                   out + int64_t(row) * some * lanes);
    }
  }
}

/// Packs `count` tokens from row `first` on, one tile.
template <class E, class Prologue>
FDPP_INLINE void pack(const Prologue &rows, const ActivationLayout<E> &layout,
                      int first, int count, packed_t<E> *packed) {
  if constexpr (on_matrix_unit<E>)
    matrix::pack_tokens(rows, first, count,
                        packed + matrix::packed_tokens(first, layout.k));
  else
    pack_tile<E>(rows, layout, first, count, packed);
}

/// Packs the tokens: by each thread for itself if it is one token, else shared
/// between them. Returns the packed activations.
template <class E, class Prologue>
FDPP_INLINE const packed_t<E> *prepare(Team &team,
                                       const ActivationLayout<E> &layout,
                                       const Prologue &rows, void *scratch) {
  const int tokens = layout.tokens;
  const int tile = on_matrix_unit<E> ? matrix::tile_rows : layout.tile;
  if (tokens == 1) {
    auto *mine = reinterpret_cast<packed_t<E> *>(
        static_cast<char *>(scratch) +
        team.index * activation_bytes(rows.columns));
    pack<E>(rows, layout, 0, 1, mine);
    return mine;
  }
  auto *packed = static_cast<packed_t<E> *>(scratch);
  Range mine = team.share((tokens + tile - 1) / tile);
  for (int i = mine.begin; i < mine.end; ++i) {
    int first = i * tile;
    int count = tokens - first < tile ? tokens - first : tile;
    pack<E>(rows, layout, first, count, packed);
  }
  team.barrier();
  return packed;
}

/// Calls run(units, tokens) for this thread's share of `units` units times the
/// blocks of at most `most` tokens, counted block by block: nine tenths of it
/// fixed, so that a thread reads one stretch of the weights, the rest drawn by
/// whoever is done first. Shares end inside a block where that makes them
/// equal.
template <class Run>
FDPP_INLINE void share_out(Team &team, int units, int tokens, int tile,
                           int most, Run run) {
  // Blocks of equal size, in whole tiles.
  most = most / tile * tile;
  const int blocks = (tokens + most - 1) / most;
  const int block = (tokens + blocks * tile - 1) / (blocks * tile) * tile;
  const int step = blocks == 1 ? stream_panels : block_panels;
  const int work = units * blocks, stolen = work / step / 10 * step;
  auto run_work = [&](Range range) {
    while (!range.empty()) {
      int unit = range.begin % units, first = range.begin / units * block;
      int left = range.end - range.begin, most = units - unit;
      int count = left < most ? left : most;
      int last = first + block;
      run(Range{unit, unit + count},
          Range{first, last < tokens ? last : tokens});
      range.begin += count;
    }
  };
  run_work(team.share(work - stolen));
  for (int i = team.take(step); i < stolen; i = team.take(step)) {
    int begin = work - stolen + i;
    run_work({begin, begin + step < work ? begin + step : work});
  }
}

/// Tokens of a tile: the matrix unit's are always 32, and registers hold no
/// tile that was made for it.
template <class E> constexpr int tile_of(Tiling tiling) {
  if (on_matrix_unit<E>)
    return matrix::most_tokens;
  return tiling.tokens <= most_tile ? tiling.tokens : widest_tile;
}

/// The linear, by the variant `tiling`. `weights` holds the segments of the
/// epilogues one after another; `scratch` is
/// linear_scratch_bytes(tokens, K, threads) bytes, 64-aligned. An epilogue must
/// not write to the rows that the prologue reads.
template <class E, class Prologue, class... Epilogues>
void linear_by(Tiling tiling, Team &team, int tokens, const Prologue &rows,
               const E *weights, void *scratch, const Epilogues &...epilogues) {
  // A step may want no logits at all.
  if (tokens == 0)
    return;
  const int k = rows.columns;
  const int total = (0 + ... + segment_units(segment_of(epilogues)));
  const ActivationLayout<E> layout{k, tokens, tile_of<E>(tiling)};
  const packed_t<E> *packed = prepare<E>(team, layout, rows, scratch);
  const int most = on_matrix_unit<E> ? matrix::most_of_block(k) : block_tokens;
  auto share = [&](Range units, Range block) {
    const E *from = weights;
    auto run = [&](const auto &epilogue) FDPP_INLINE_LAMBDA {
      const ColumnSegment segment = segment_of(epilogue);
      const int count = segment_units(segment);
      Range mine{units.begin > 0 ? units.begin : 0,
                 units.end < count ? units.end : count};
      if (!mine.empty())
        run_units<E>(from, packed, layout, tiling.prefetch, block, mine,
                     epilogue);
      units.begin -= count;
      units.end -= count;
      from += packed_elements<E>(segment_panels(segment), k);
    };
    (run(epilogues), ...);
  };
  share_out(team, total, tokens, layout.tile, most, share);
  if constexpr (on_matrix_unit<E>)
    matrix::release();
  team.barrier();
}

/// The same by a variant that is a type.
template <class V, class E, class Prologue, class... Epilogues>
void linear(Team &team, int tokens, const Prologue &rows, const E *weights,
            void *scratch, const Epilogues &...epilogues) {
  linear_by(V::tiling, team, tokens, rows, weights, scratch, epilogues...);
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_LINEAR_H
