// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels for what no linear has absorbed.
#ifndef FDPP_KERNELS_CPU_POINTWISE_H
#define FDPP_KERNELS_CPU_POINTWISE_H

#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/prologue.h"
#include "kernels/cpu/team.h"

namespace fdpp::cpu {

/// out[T][K] = prologue(x), rounded to Y: a norm on its own.
template <class Prologue, class Y>
void normalize(Team &team, int tokens, const Prologue &rows, Y *out) {
  Range mine = team.share(tokens);
  for (int t = mine.begin; t < mine.end; ++t) {
    auto state = rows.begin(t);
    for_each_chunk<Prologue::columns>([&](int k, int n) FDPP_INLINE_LAMBDA {
      store(out + int64_t(t) * Prologue::columns + k,
            rows.chunk(t, state, k, n), n);
    });
  }
  team.barrier();
}

/// out = rms_norm(x) * gamma.
template <int K, class X, class Y>
void rms_norm(Team &team, int tokens, const X *x, const float *gamma,
              float epsilon, Y *out) {
  normalize(team, tokens, RmsNorm<K, X>{x, gamma, epsilon}, out);
}

/// Runs an epilogue over x[T][source rows of its segment], in source order, as
/// a linear would over its result.
template <class X, class Epilogue>
void pointwise(Team &team, int tokens, const X *x, const Epilogue &epilogue) {
  constexpr ColumnSegment segment = segment_of<Epilogue>();
  constexpr int units = segment_units(segment);
  constexpr int width = source_rows(segment);
  constexpr int partner = segment.partner == Partner::none   ? 0
                          : segment.partner == Partner::half ? segment.group / 2
                                                             : segment.columns;
  Range mine = team.share(tokens);
  for (int t = mine.begin; t < mine.end; ++t)
    for (int u = 0; u < units; ++u) {
      UnitColumns at = unit_columns(segment, u);
      const X *from = x + int64_t(t) * width + at.first;
      epilogue(load(from, at.lanes), load(from + partner, at.lanes), t,
               at.first, at.lanes);
    }
  team.barrier();
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_POINTWISE_H
