// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Sampler.h"

#include "Error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace fdpp::runtime {
namespace {

/// The largest value. Lanes are kept apart so that the compiler can vectorise
/// without being allowed to reorder; a NaN anywhere gives NaN.
float maximum(const float *x, int32_t n) {
  constexpr int32_t kLanes = 16;
  float best[kLanes];
  int32_t nan[kLanes] = {};
  std::fill(best, best + kLanes, -std::numeric_limits<float>::infinity());
  int32_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int32_t j = 0; j < kLanes; ++j) {
      float v = x[i + j];
      best[j] = v > best[j] ? v : best[j];
      nan[j] |= v != v;
    }
  for (; i < n; ++i) {
    best[0] = x[i] > best[0] ? x[i] : best[0];
    nan[0] |= x[i] != x[i];
  }
  for (int32_t j = 0; j < kLanes; ++j)
    if (nan[j])
      return std::numeric_limits<float>::quiet_NaN();
  return *std::max_element(best, best + kLanes);
}

void inRange(bool ok, const char *what) {
  if (!ok)
    userError(what);
}

} // namespace

void checkSampler(const SamplerParams &p) {
  inRange(p.temperature >= 0 && std::isfinite(p.temperature),
          "temperature must be 0 or more");
  inRange(p.topK >= 0, "top-k must be 0 (off) or more");
  inRange(p.topP > 0 && p.topP <= 1, "top-p must be above 0 and at most 1");
  inRange(p.minP >= 0 && p.minP <= 1, "min-p must be from 0 to 1");
  inRange(p.repeatPenalty > 0 && std::isfinite(p.repeatPenalty),
          "repeat penalty must be above 0");
}

double philoxUniform(uint64_t seed, uint64_t sequence, uint64_t position) {
  uint32_t key[2] = {static_cast<uint32_t>(seed),
                     static_cast<uint32_t>(seed >> 32)};
  uint32_t c[4] = {
      static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32),
      static_cast<uint32_t>(sequence), static_cast<uint32_t>(sequence >> 32)};
  for (int round = 0; round < 10; ++round) {
    uint64_t a = uint64_t{0xD2511F53} * c[0], b = uint64_t{0xCD9E8D57} * c[2];
    uint32_t next[4] = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ key[0],
                        static_cast<uint32_t>(b),
                        static_cast<uint32_t>(a >> 32) ^ c[3] ^ key[1],
                        static_cast<uint32_t>(a)};
    std::copy(next, next + 4, c);
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  uint64_t bits = (uint64_t{c[0]} << 32 | c[1]) >> 11; // 53 bits
  return static_cast<double>(bits) * 0x1p-53;
}

void refuseLogits() {
  throw Error(ErrorKind::Internal,
              "the model gave logits that are not finite; run with --verify, "
              "then compile the engine again");
}

Sampler::Sampler(int32_t vocab)
    : vocab(vocab), values(vocab), weights(vocab), order(vocab), seen(vocab) {}

int32_t Sampler::sample(const float *logits, const SamplerParams &params,
                        const int32_t *history, int32_t historyCount,
                        uint64_t sequence, uint64_t position) {
  if (params.repeatPenalty != 1) {
    penalise(logits, params.repeatPenalty, history, historyCount);
    logits = values.data();
  }
  float max = maximum(logits, vocab);
  if (!std::isfinite(max))
    refuseLogits();
  if (params.temperature == 0 || params.topK == 1)
    return static_cast<int32_t>(std::find(logits, logits + vocab, max) -
                                logits);

  scores = logits;
  std::iota(order.begin(), order.end(), 0);
  int32_t count = vocab;
  if (params.topK > 0 && params.topK < vocab)
    count = keepTopK(params.topK);
  for (int32_t i = 0; i < count; ++i)
    weights[order[i]] = std::exp((logits[order[i]] - max) / params.temperature);
  if (params.topP < 1)
    count = keepTopP(count, params.topP);
  if (params.minP > 0)
    count = static_cast<int32_t>(
        std::remove_if(order.begin(), order.begin() + count,
                       [&](int32_t id) { return weights[id] < params.minP; }) -
        order.begin());
  return draw(count, philoxUniform(params.seed, sequence, position));
}

void Sampler::penalise(const float *logits, float penalty,
                       const int32_t *history, int32_t count) {
  std::memcpy(values.data(), logits, sizeof(float) * vocab);
  if (++round == 0) { // the counter wrapped: forget every mark
    std::fill(seen.begin(), seen.end(), 0);
    round = 1;
  }
  for (int32_t i = 0; i < count; ++i) {
    int32_t id = history[i];
    if (seen[id] == round)
      continue;
    seen[id] = round;
    values[id] = values[id] > 0 ? values[id] / penalty : values[id] * penalty;
  }
}

/// Best first; equal scores in the order of their ids.
bool Sampler::before(int32_t a, int32_t b) const {
  return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
}

int32_t Sampler::keepTopK(int32_t k) {
  auto best = [&](int32_t a, int32_t b) { return before(a, b); };
  std::nth_element(order.begin(), order.begin() + k - 1, order.end(), best);
  std::sort(order.begin(), order.begin() + k, best);
  return k;
}

/// Keeps the fewest best candidates whose share reaches topP. Sorts only as far
/// as needed: most of the mass stands in few tokens.
int32_t Sampler::keepTopP(int32_t count, double topP) {
  double total = 0;
  for (int32_t i = 0; i < count; ++i)
    total += weights[order[i]];
  double sum = 0;
  auto first = order.begin(), end = order.begin() + count;
  for (int32_t sorted = 0, chunk = 128; sorted < count; chunk *= 4) {
    int32_t upTo = std::min(count, sorted + chunk);
    std::partial_sort(first + sorted, first + upTo, end,
                      [&](int32_t a, int32_t b) { return before(a, b); });
    for (; sorted < upTo; ++sorted) {
      sum += weights[order[sorted]];
      if (sum >= topP * total)
        return sorted + 1;
    }
  }
  return count;
}

int32_t Sampler::draw(int32_t count, double uniform) const {
  double total = 0;
  for (int32_t i = 0; i < count; ++i)
    total += weights[order[i]];
  double target = uniform * total, sum = 0;
  for (int32_t i = 0; i < count; ++i) {
    sum += weights[order[i]];
    if (sum > target)
      return order[i];
  }
  return order[count - 1]; // rounding left the last one over
}

} // namespace fdpp::runtime
