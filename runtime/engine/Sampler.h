// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_SAMPLER_H
#define FDPP_RUNTIME_ENGINE_SAMPLER_H

#include <cstdint>
#include <vector>

namespace fdpp::runtime {

struct SamplerParams {
  float temperature = 0;   // 0: greedy, ties to the lowest id
  int32_t topK = 0;        // 0: off
  float topP = 1;          // 1: off
  float minP = 0;          // 0: off
  float repeatPenalty = 1; // 1: off
  uint64_t seed = 0;
};

/// True if a token is the one with the largest logit.
inline bool isGreedy(const SamplerParams &params) {
  return params.repeatPenalty == 1 &&
         (params.temperature == 0 || params.topK == 1);
}

/// Throws the internal error about logits that are not finite.
[[noreturn]] void refuseLogits();

/// Throws a user error when a parameter is out of range.
void checkSampler(const SamplerParams &params);

/// A number in [0, 1) that depends on nothing but its three keys: Philox4x32-10
/// (Salmon et al., SC 2011) with key = seed, counter = (sequence, position).
double philoxUniform(uint64_t seed, uint64_t sequence, uint64_t position);

/// Picks a token from logits. In this order: repetition penalty (Keskar et
/// al., arXiv 1909.05858), temperature, top-k, top-p (Holtzman et al., arXiv
/// 1904.09751), min-p (arXiv 2407.01082), then one draw. Candidates of equal
/// probability count in the order of their ids. Allocates nothing after
/// construction.
class Sampler {
public:
  explicit Sampler(int32_t vocab);

  /// `history`: the tokens the penalty looks at. Throws an internal error when
  /// a logit is NaN or none is finite.
  int32_t sample(const float *logits, const SamplerParams &params,
                 const int32_t *history, int32_t historyCount,
                 uint64_t sequence, uint64_t position);

private:
  void penalise(const float *logits, float penalty, const int32_t *history,
                int32_t count);
  int32_t keepTopK(int32_t k);
  int32_t keepTopP(int32_t count, double topP);
  int32_t draw(int32_t count, double uniform) const;
  bool before(int32_t a, int32_t b) const;

  const int32_t vocab;
  const float *scores = nullptr; // the logits of this call, after penalty
  std::vector<float> values;     // logits after penalty
  std::vector<float> weights;    // e^((value - max) / temperature) by id
  std::vector<int32_t> order;    // candidate ids, best first
  std::vector<uint32_t> seen;    // round in which the penalty met the id
  uint32_t round = 0;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_SAMPLER_H
