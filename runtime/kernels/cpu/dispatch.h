// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which variant of a linear runs for how many tokens: the compiler's choice per
// shape, as a type.
//
//   using Variants = ByTokens<UpTo<1, Variant<1>>, Otherwise<Variant<6, 0>>>;
//   linear_by_tokens<Variants>(team, tokens, rows, weights, scratch, ...);
#ifndef FDPP_KERNELS_CPU_DISPATCH_H
#define FDPP_KERNELS_CPU_DISPATCH_H

#include "kernels/cpu/linear.h"

namespace fdpp::cpu {

/// Variant V for at most `Limit` tokens.
template <int Limit, class V> struct UpTo {
  static constexpr int limit = Limit;
  using variant = V;
};
template <class V> using Otherwise = UpTo<__INT_MAX__, V>;

/// Ranges with increasing limits; the first whose limit is at least the number
/// of tokens counts.
template <class... Ranges> struct ByTokens {};

/// The variant for this many tokens, as values.
template <class Range, class... Rest>
constexpr Tiling tiling_for(ByTokens<Range, Rest...>, int tokens) {
  if constexpr (sizeof...(Rest) > 0)
    if (tokens > Range::limit)
      return tiling_for(ByTokens<Rest...>(), tokens);
  return Range::variant::tiling;
}

/// The linear by the variant that `Variants` names for this many tokens. One
/// copy of the linear serves all of them.
template <class Variants, class... Arguments>
void linear_by_tokens(Team &team, int tokens, const Arguments &...arguments) {
  linear_by(tiling_for(Variants(), tokens), team, tokens, arguments...);
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_DISPATCH_H
