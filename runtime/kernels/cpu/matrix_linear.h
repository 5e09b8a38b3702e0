// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tile of linears on a matrix unit, in place of the register tile of
// linear.h: up to 32 tokens times two panels, or 16 tokens times four, in four
// tile registers. It reads the packed weights as they are; activations are
// rounded to bf16 and cut into tiles of 16 tokens:
//
//   [tile of up to 16 tokens][step of 32 k][token of the tile][32]
//
// An output is the sum of its steps in the order of k, whatever the tokens
// beside it, where the parts of k end and which thread computes it.
#ifndef FDPP_KERNELS_CPU_MATRIX_LINEAR_H
#define FDPP_KERNELS_CPU_MATRIX_LINEAR_H

#include "kernels/cpu/matrix_unit.h"
#include "kernels/cpu/prologue.h"

namespace fdpp::cpu::matrix {

/// Tokens that stream the weights by once.
inline constexpr int most_tokens = 2 * tile_rows;
/// Panels that several tiles of tokens share.
inline constexpr int shared_panels = 2;
/// Steps of k for which the shared panels stay in L1.
inline constexpr int cached_steps = 8;
/// Most tokens of a block: its results wait on the stack for the epilogue.
inline constexpr int block_tokens = 256;
/// Elements of one step of a panel, and of 16 tokens.
inline constexpr int step_elements = tile_rows * step_k;

/// Panels that go with `tokens` tokens of a lone tile.
constexpr int panels_for(int tokens) { return tokens > tile_rows ? 2 : 4; }

/// Steps of k, a last one that is not full included.
constexpr int steps_of(int k) { return (k + step_k - 1) / step_k; }

/// Elements of `tokens` packed tokens.
constexpr int64_t packed_tokens(int tokens, int k) {
  return int64_t(tokens) * steps_of(k) * step_k;
}

/// Tokens of a block, whose activations stay in L2 (1 MiB of it) while all
/// panels go over them.
constexpr int most_of_block(int k) {
  int tokens = int((1 << 20) / (packed_tokens(1, k) * sizeof(bf16)));
  tokens = tokens < most_tokens ? most_tokens : tokens;
  return tokens < block_tokens ? tokens : block_tokens;
}

/// The activations of `tokens` <= 16 tokens from row `first` on.
template <class Prologue>
FDPP_NOINLINE void pack_tokens(const Prologue &rows, int first, int tokens,
                               bf16 *packed) {
  const int k = rows.columns;
  for (int m = 0; m < tokens; ++m) {
    auto state = rows.begin(first + m);
    auto at = [&](int column) FDPP_INLINE_LAMBDA {
      return packed + (int64_t(column / step_k) * tokens + m) * step_k +
             column % step_k;
    };
    for_each_chunk(k, [&](int column, int count) FDPP_INLINE_LAMBDA {
      cpu::store(at(column), rows.chunk(first + m, state, column, count));
    });
    const int end = (k + lanes - 1) / lanes * lanes;
    if (end % step_k != 0)
      cpu::store(at(end), splat(0.0f));
  }
}

/// Calls body(std::integral_constant<int, i>) for i below Count.
template <int Count, class Body> FDPP_INLINE void for_constants(Body body) {
  if constexpr (Count > 0) {
    for_constants<Count - 1>(body);
    body(std::integral_constant<int, Count - 1>());
  }
}

/// What to fetch at step s: lines [first, last) of the KiB at `from` + s KiB of
/// each panel, from step `turn` on of the one at `then`.
struct Fetch {
  const char *from, *then;
  int turn, first, last;
};

/// Weights of a tile: steps of its first panel, the way from one panel to the
/// next, and the packs of a last step that is not full.
struct Panels {
  const bf16 *weights;
  int64_t panel;
  int steps, tail;
};

/// Registers: 0 to 3 hold C, 4 and 5 tokens, 6 and 7 weights.
inline constexpr int tokens_at = 4, weights_at = 6;

/// For `tokens` <= 32 tokens.
FDPP_INLINE void configure_for(int tokens) {
  const int low = tokens < tile_rows ? tokens : tile_rows, high = tokens - low;
  Config config;
  for (int i = 0; i < tokens_at; ++i)
    config.set(i, high > 0 && i % 2 == 1 ? high : low);
  config.set(tokens_at, low), config.set(tokens_at + 1, high);
  config.set(weights_at, tile_rows), config.set(weights_at + 1, tile_rows);
  configure(config);
}

/// C of all panels and halves += one step of weights, whose panels are
/// `panel` elements apart, times one step of the tokens.
template <int Count, int Halves>
FDPP_INLINE void step(const bf16 *weights, int64_t panel, const bf16 *low,
                      const bf16 *high) {
  load<tokens_at>(low);
  if constexpr (Halves == 2)
    load<tokens_at + 1>(high);
  for_constants<Count>([&](auto r) FDPP_INLINE_LAMBDA {
    constexpr int panel_index = decltype(r)::value;
    constexpr int b = weights_at + panel_index % 2;
    load<b>(weights + panel_index * panel);
    multiply<panel_index * Halves, tokens_at, b>();
    if constexpr (Halves == 2)
      multiply<panel_index * Halves + 1, tokens_at + 1, b>();
  });
}

/// out[panel][token][16] of `Count` panels for `tokens` tokens, which are 16
/// times (Halves - 1) and up to 16 more; added to what is there if `resume`.
template <int Count, int Halves>
FDPP_NOINLINE void tile(Panels from, const bf16 *low, const bf16 *high,
                        int tokens, bool resume, Fetch fetch, float *out) {
  const int low_row = Halves == 2 ? tile_rows : tokens;
  const int high_row = tokens - low_row;
  auto each_c = [&](auto body) FDPP_INLINE_LAMBDA {
    for_constants<Count * Halves>([&](auto i) FDPP_INLINE_LAMBDA {
      constexpr int c = decltype(i)::value;
      body(i, out + (c / Halves * tokens + c % Halves * tile_rows) * lanes);
    });
  };
  each_c([&](auto i, const float *at) FDPP_INLINE_LAMBDA {
    if (resume)
      load<decltype(i)::value>(at);
    else
      zero<decltype(i)::value>();
  });
  for (int s = 0; s < from.steps; ++s) {
    const char *next = s < fetch.turn ? fetch.from : fetch.then;
    for (int r = 0; r < Count; ++r)
      for (int line = fetch.first; line < fetch.last; ++line)
        __builtin_prefetch(next + s * int64_t(step_elements * sizeof(bf16)) +
                               r * from.panel * int64_t(sizeof(bf16)) +
                               line * row_bytes,
                           0, 2);
    step<Count, Halves>(from.weights + int64_t(s) * step_elements, from.panel,
                        low + s * low_row * step_k,
                        high + s * high_row * step_k);
  }
  if (from.tail > 0) {
    // Behind the panel lie other weights: zeros in their place.
    alignas(64) bf16 last[Count * step_elements] = {};
    for (int r = 0; r < Count; ++r)
      __builtin_memcpy(last + r * step_elements,
                       from.weights + int64_t(from.steps) * step_elements +
                           r * from.panel,
                       size_t(from.tail) * row_bytes);
    step<Count, Halves>(last, step_elements,
                        low + from.steps * low_row * step_k,
                        high + from.steps * high_row * step_k);
  }
  each_c([&](auto i, float *at)
             FDPP_INLINE_LAMBDA { store<decltype(i)::value>(at); });
}

/// One tile of tokens for `panels` panels, as many at a time as registers hold.
template <int Most, int Halves>
FDPP_INLINE void tiles(Panels from, int panels, const bf16 *low,
                       const bf16 *high, int tokens, bool resume, Fetch fetch,
                       float *out) {
  auto run = [&](auto count) FDPP_INLINE_LAMBDA {
    constexpr int n = decltype(count)::value;
    for (; panels >= n; panels -= n) {
      tile<n, Halves>(from, low, high, tokens, resume, fetch, out);
      const int64_t bytes = n * from.panel * int64_t(sizeof(bf16));
      from.weights += n * from.panel;
      fetch.from += bytes, fetch.then += bytes;
      out += n * tokens * lanes;
    }
  };
  if constexpr (Most > 2)
    run(std::integral_constant<int, 4>());
  run(std::integral_constant<int, 2>());
  run(std::integral_constant<int, 1>());
}

/// The tile of `tokens` <= 32 tokens that lie at `packed`, from step `begin` of
/// k on, for `panels` panels.
FDPP_INLINE void tiles_of(Panels from, int panels, const bf16 *packed,
                          int tokens, int k, int begin, Fetch fetch,
                          float *out) {
  const bool resume = begin > 0;
  const bf16 *low = packed + int64_t(begin) * step_k *
                                 (tokens < tile_rows ? tokens : tile_rows);
  if (tokens <= tile_rows)
    return tiles<4, 1>(from, panels, low, low, tokens, resume, fetch, out);
  const bf16 *high = packed + packed_tokens(tile_rows, k) +
                     int64_t(begin) * step_k * (tokens - tile_rows);
  tiles<2, 2>(from, panels, low, high, tokens, resume, fetch, out);
}

/// out[panel][token][16] of one tile, the weights streaming by once; `ahead`
/// bytes are kept on their way.
FDPP_NOINLINE inline void stream(const bf16 *weights, const bf16 *packed, int k,
                                 int tokens, int panels, int ahead,
                                 float *out) {
  constexpr int step_bytes = step_elements * int(sizeof(bf16));
  const int packs = packed_k<bf16>(k) / k_pack<bf16>;
  const int64_t panel = packed_elements<bf16>(1, k);
  const int steps = packs / tile_rows, together = panels_for(tokens);
  int way = ahead / together / step_bytes;
  way = way < steps ? way : steps;
  const auto *bytes = reinterpret_cast<const char *>(weights);
  const char *next = bytes + together * panel * int64_t(sizeof(bf16));
  Fetch fetch{bytes + way * step_bytes,
              next - int64_t(steps - way) * step_bytes, steps - way, 0,
              way > 0 ? tile_rows : 0};
  configure_for(tokens);
  tiles_of({weights, panel, steps, packs % tile_rows}, panels, packed, tokens,
           k, 0, fetch, out);
}

/// out[tile][panel][token of the tile][16] of a block of tokens, in tiles of
/// 32: part after part of k, all tiles over a part of the panels that stays in
/// L1. Each tile fetches its fraction of the next part.
FDPP_NOINLINE inline void product(const bf16 *weights, const bf16 *packed,
                                  int k, int tokens, int panels, float *out) {
  const int packs = packed_k<bf16>(k) / k_pack<bf16>;
  const int64_t panel = packed_elements<bf16>(1, k);
  const int steps = packs / tile_rows, tail = packs % tile_rows;
  const int count = (tokens + most_tokens - 1) / most_tokens;
  int configured = 0;
  for (int begin = 0; begin == 0 || begin < steps; begin += cached_steps) {
    int size = steps - begin < cached_steps ? steps - begin : cached_steps;
    const bool last = begin + size == steps;
    const bf16 *from = weights + int64_t(begin) * step_elements;
    const auto *next = reinterpret_cast<const char *>(
        last ? weights + panels * panel : from + int64_t(size) * step_elements);
    for (int i = 0; i < count; ++i) {
      const int first = i * most_tokens, left = tokens - first;
      const int now = left < most_tokens ? left : most_tokens;
      if (now != configured)
        configure_for(configured = now);
      tiles_of(
          {from, panel, size, last ? tail : 0}, panels,
          packed + packed_tokens(first, k), now, k, begin,
          {next, next, 0, tile_rows * i / count, tile_rows * (i + 1) / count},
          out + int64_t(first) * panels * lanes);
    }
  }
}

} // namespace fdpp::cpu::matrix

#endif // FDPP_KERNELS_CPU_MATRIX_LINEAR_H
