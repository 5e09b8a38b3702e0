// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "PhiBank.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fdpp::runtime {

PhiBank::PhiBank(const fdpp_model_limits &limits, const float *given, bool used)
    : recomputed(static_cast<size_t>(limits.layers) * limits.query_heads),
      before(recomputed.size()) {
  if (!given)
    return;
  phi.assign(given, given + recomputed.size());
  if (used)
    fixedHeads = phi.size() - std::count_if(phi.begin(), phi.end(),
                                            [](float x) { return x != x; });
}

void PhiBank::record(uint64_t tokens) {
  fixedRows += tokens * fixedHeads;
  window += tokens;
  if (window >= kWindow)
    judge();
}

void PhiBank::judge() {
  for (size_t i = 0; i < phi.size(); ++i)
    if (!std::isnan(phi[i]) &&
        (recomputed[i] - before[i]) * kFailing > window) {
      phi[i] = std::numeric_limits<float>::quiet_NaN();
      ++exactHeads;
      fixedHeads -= fixedHeads > 0;
    }
  before = recomputed;
  window = 0;
}

void PhiBank::reset() {
  std::fill(recomputed.begin(), recomputed.end(), 0);
  std::fill(before.begin(), before.end(), 0);
  window = fixedRows = 0;
}

} // namespace fdpp::runtime
