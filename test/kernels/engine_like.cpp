// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The kernels a small engine would instantiate, for check_assembly.py to
// compile for processors that this machine may not be.
#include "kernels/cpu/kernels.h"

namespace engine_like {

using namespace fdpp::cpu;

/// hidden += the linear's result.
struct AddResidual {
  static constexpr Partner partner = Partner::none;
  static constexpr int columns = 256;
  float *hidden; // [T][256]

  template <class V>
  void operator()(V value, V, int row, int column, int lanes) const {
    float *old = hidden + row * 256 + column;
    store(old, load(old, lanes) + value, lanes);
  }
};

/// silu(gate) * up.
template <class E> struct StoreGated {
  static constexpr Partner partner = Partner::gate_up;
  static constexpr int columns = 512;
  E *gated; // [T][512]

  template <class V>
  void operator()(V gate, V up, int row, int column, int lanes) const {
    store(gated + row * 512 + column, silu(gate) * up, lanes);
  }
};

template <class E>
void layer(Team &team, const Batch &batch, int tokens, float *hidden,
           const float *gamma, const E *weights, E *query, E *gated,
           Cache<E, 2, 64> cache, void *scratch) {
  decode_attention<4>(team, batch, 0, query, cache, {.scale = 0.125f}, scratch,
                      query);
  prefill_attention<4>(team, batch, 0, query, cache, {.scale = 0.125f}, query);
  linear<Gemv>(team, tokens, RmsNorm<256>{hidden, gamma, 1e-5f}, weights,
               scratch, StoreGated<E>{gated});
  linear<Flat>(team, tokens, Rows<512, E>{gated}, weights, scratch,
               AddResidual{hidden});
}

template void layer(Team &, const Batch &, int, float *, const float *,
                    const bf16 *, bf16 *, bf16 *, Cache<bf16, 2, 64>, void *);
template void layer(Team &, const Batch &, int, float *, const float *,
                    const f16 *, f16 *, f16 *, Cache<f16, 2, 64>, void *);

} // namespace engine_like
