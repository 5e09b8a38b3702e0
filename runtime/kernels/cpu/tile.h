// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The register tile under every linear and both products of attention:
// `Panels` x 16 outputs for `Tokens` tokens, kept in registers over the whole
// inner dimension. Each output is one chain of additions in the order of k,
// whatever the tile, so a token's result does not depend on the tokens beside
// it.
#ifndef FDPP_KERNELS_CPU_TILE_H
#define FDPP_KERNELS_CPU_TILE_H

#include "kernels/common/packing.h"
#include "kernels/cpu/vector.h"

namespace fdpp::cpu {

/// How a token's values meet weights of type E: in f32, except that bf16 dot
/// products take bf16 pairs. `steps(k)` of them make up k.
template <class E> struct Activation {
  using type = float;
  static constexpr int k_step = 1;
};
template <> struct Activation<bf16> {
  using type = std::conditional_t<has_bf16_dot, uint32_t, float>;
  static constexpr int k_step = has_bf16_dot ? 2 : 1;
};
template <class E> using activation_t = typename Activation<E>::type;

/// activation_t elements of one token.
template <class E> constexpr int activation_steps(int k) {
  return packed_k<E>(k) / Activation<E>::k_step;
}

template <int Panels, int Tokens> using Accumulators = f32x16[Panels][Tokens];

template <int Panels, int Tokens>
FDPP_INLINE void clear(Accumulators<Panels, Tokens> &acc) {
#pragma clang loop unroll(full)
  for (int r = 0; r < Panels; ++r)
#pragma clang loop unroll(full)
    for (int m = 0; m < Tokens; ++m)
      acc[r][m] = splat(0.0f);
}

/// acc[r][m] += weights[r] * token(m), the weights already in f32.
template <int Panels, int Tokens, class TokenAt>
FDPP_INLINE void rank_one(Accumulators<Panels, Tokens> &acc,
                          const f32x16 (&weights)[Panels], TokenAt token) {
#pragma clang loop unroll(full)
  for (int m = 0; m < Tokens; ++m) {
    f32x16 x = splat(token(m));
#pragma clang loop unroll(full)
    for (int r = 0; r < Panels; ++r)
      acc[r][m] = fma(weights[r], x, acc[r][m]);
  }
}

/// Where a tile's weights are: pack `s` of panel `r` (16 lanes times k_pack)
/// lies at base + s * step + r * panel.
template <class E> struct WeightView {
  const E *base;
  int64_t step, panel;
};

/// acc[r][m] += sum over `count` steps s of load_weight(s, r) . token(s, m).
/// `each(s)` runs once a step and issues prefetches.
template <int Panels, int Tokens, class WeightAt, class TokenAt, class Each>
FDPP_INLINE void multiply_rows(Accumulators<Panels, Tokens> &acc, int count,
                               WeightAt load_weight, TokenAt token, Each each) {
  [[clang::code_align(64)]] for (int64_t s = 0; s < count; ++s) {
    each(s);
    f32x16 w[Panels];
#pragma clang loop unroll(full)
    for (int r = 0; r < Panels; ++r)
      w[r] = load_weight(s, r);
    rank_one<Panels, Tokens>(
        acc, w, [&](int m) FDPP_INLINE_LAMBDA { return token(s, m); });
  }
}

/// The same over `packs` packs of packed weights. `token(k, m)` gives element k
/// of token m as activation_t<E>.
template <int Panels, int Tokens, class E, class TokenAt, class Each>
FDPP_INLINE void multiply(Accumulators<Panels, Tokens> &acc, int packs,
                          WeightView<E> weights, TokenAt token, Each each) {
  multiply_rows<Panels, Tokens>(
      acc, packs,
      [&](int64_t s, int r) FDPP_INLINE_LAMBDA {
        return load(weights.base + s * weights.step + r * weights.panel);
      },
      token, each);
}

#ifdef FDPP_BF16_DOT
template <int Panels, int Tokens, class TokenAt, class Each>
FDPP_INLINE void multiply(Accumulators<Panels, Tokens> &acc, int packs,
                          WeightView<bf16> weights, TokenAt token, Each each) {
  const bf16 *from = weights.base;
  [[clang::code_align(64)]] for (int64_t s = 0; s < packs;
                                 ++s, from += weights.step) {
    each(s);
    u32x16 w[Panels];
#pragma clang loop unroll(full)
    for (int r = 0; r < Panels; ++r)
      w[r] = load_pairs(from + r * weights.panel);
#pragma clang loop unroll(full)
    for (int m = 0; m < Tokens; ++m) {
      uint32_t x = token(s, m);
#pragma clang loop unroll(full)
      for (int r = 0; r < Panels; ++r)
        acc[r][m] = dot_pairs(acc[r][m], w[r], x);
    }
  }
}
#else
template <int Panels, int Tokens, class TokenAt, class Each>
FDPP_INLINE void multiply(Accumulators<Panels, Tokens> &acc, int packs,
                          WeightView<bf16> weights, TokenAt token, Each each) {
  const bf16 *from = weights.base;
  // The odd elements are loaded again through a pointer the optimiser cannot
  // relate to the first: kept over the even half, the pairs would need more
  // registers than AVX2 has, and loads are cheaper than spills.
  int64_t again = 0;
  if constexpr (vector_registers < 32)
    __asm__("" : "+r"(again));
  [[clang::code_align(64)]] for (int64_t s = 0; s < packs;
                                 ++s, from += weights.step) {
    each(s);
    f32x16 w[Panels];
#pragma clang loop unroll(full)
    for (int r = 0; r < Panels; ++r)
      w[r] = even(load_pairs(from + r * weights.panel));
    rank_one<Panels, Tokens>(
        acc, w, [&](int m) FDPP_INLINE_LAMBDA { return token(2 * s, m); });
#pragma clang loop unroll(full)
    for (int r = 0; r < Panels; ++r)
      w[r] = odd(load_pairs(from + again + r * weights.panel));
    rank_one<Panels, Tokens>(
        acc, w, [&](int m) FDPP_INLINE_LAMBDA { return token(2 * s + 1, m); });
  }
}
#endif

/// True if a tile's accumulators, its weights and one broadcast token fit in
/// the registers. With one token a weight is used up as soon as it is loaded.
constexpr bool fits(int panels, int tokens) {
  int weights = tokens == 1 ? 1 : panels;
  return (panels * tokens + weights) * vector_parts + 1 <= vector_registers;
}

/// The panels that go with `tokens` tokens: even, or one.
constexpr int panels_for(int tokens) {
  return fits(4, tokens) ? 4 : fits(2, tokens) ? 2 : 1;
}

/// The tile of choice for many tokens.
inline constexpr int widest_tile = fits(2, 12) ? 12 : fits(1, 6) ? 6 : 2;

/// The most tokens of a linear's tile: beyond the tile of choice, those that
/// stream the weights by for one panel at a time.
inline constexpr int most_tile = fits(1, 16) ? 16 : widest_tile;

/// Calls run(std::integral_constant<int, tokens>) for 1 <= tokens <= Most.
template <int Most, class Run>
FDPP_INLINE void with_constant(int tokens, Run run) {
  if constexpr (Most > 1)
    if (tokens < Most)
      return with_constant<Most - 1>(tokens, run);
  run(std::integral_constant<int, Most>());
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_TILE_H
