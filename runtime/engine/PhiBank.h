// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_PHIBANK_H
#define FDPP_RUNTIME_ENGINE_PHIBANK_H

#include "fdpp-runtime/model_abi.h"

#include <cstdint>
#include <vector>

namespace fdpp::runtime {

/// The numbers that a session's asynchronous softmax subtracts, and what became
/// of its rows. They are the engine's until a head fails too often: each failed
/// row costs an exact one more, so such a head is exact from then on.
class PhiBank {
public:
  /// Rows of a head that are looked at together, and the share that may fail.
  static constexpr uint64_t kWindow = 128, kFailing = 16;

  /// `phi` may be null. Not `used`: the model's attention is exact.
  PhiBank(const fdpp_model_limits &limits, const float *phi, bool used);

  /// For fdpp_step: null without phi.
  const float *data() const { return phi.empty() ? nullptr : phi.data(); }
  /// layers x query_heads counters, which a step adds to.
  uint64_t *counters() { return recomputed.data(); }
  const std::vector<uint64_t> &counts() const { return recomputed; }

  /// Behind a step in which `tokens` went through an attention that has one.
  void record(uint64_t tokens);

  /// Softmax rows computed relative to a phi, of all layers and heads.
  uint64_t rows() const { return fixedRows; }
  /// Heads that failed too often.
  int32_t switched() const { return exactHeads; }
  /// Forgets counts, not which heads are exact.
  void reset();

private:
  void judge();

  std::vector<float> phi;
  std::vector<uint64_t> recomputed, before; // before the window
  uint64_t window = 0;                      // its rows of each head
  uint64_t fixedHeads = 0;                  // with a phi
  uint64_t fixedRows = 0;
  int32_t exactHeads = 0;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_PHIBANK_H
