// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Sampler.h"
#include "Error.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <random>

using namespace fdpp::runtime;

namespace {

int32_t pick(const std::vector<float> &logits, const SamplerParams &params,
             uint64_t position = 0, std::vector<int32_t> history = {}) {
  Sampler sampler(static_cast<int32_t>(logits.size()));
  return sampler.sample(logits.data(), params, history.data(),
                        static_cast<int32_t>(history.size()), 0, position);
}

/// How often each id comes in `draws` positions.
std::map<int32_t, double> shares(const std::vector<float> &logits,
                                 const SamplerParams &params,
                                 int draws = 20000) {
  Sampler sampler(static_cast<int32_t>(logits.size()));
  std::map<int32_t, double> result;
  for (int i = 0; i < draws; ++i)
    result[sampler.sample(logits.data(), params, nullptr, 0, 3, i)] +=
        1.0 / draws;
  return result;
}

std::vector<float> logsOf(std::vector<double> probabilities) {
  std::vector<float> logits;
  for (double p : probabilities)
    logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

TEST(SamplerTest, GreedyTakesTheLowestIdOfATie) {
  for (int32_t size : {1, 15, 16, 17, 100}) {
    std::vector<float> logits(size, -1);
    logits[size / 2] = 2;
    logits[size - 1] = 2;
    EXPECT_EQ(pick(logits, {}), size / 2) << size;
  }
  EXPECT_EQ(pick({-INFINITY, -3, -INFINITY}, {}), 1);
}

TEST(SamplerTest, BrokenLogitsAreAnError) {
  for (int32_t at : {0, 20, 39}) {
    std::vector<float> logits(40, 1);
    logits[at] = NAN;
    EXPECT_THROW(pick(logits, {}), Error) << at;
  }
  EXPECT_THROW(pick({-INFINITY, -INFINITY}, {}), Error);
  EXPECT_THROW(pick({0, INFINITY}, {}), Error);
}

// Known answers of Philox4x32-10 (Random123's kat_vectors).
TEST(SamplerTest, PhiloxGivesTheKnownAnswers) {
  auto expect = [](uint64_t seed, uint64_t sequence, uint64_t position,
                   uint32_t first, uint32_t second) {
    uint64_t bits = (uint64_t{first} << 32 | second) >> 11;
    EXPECT_EQ(philoxUniform(seed, sequence, position),
              static_cast<double>(bits) * 0x1p-53);
  };
  expect(0, 0, 0, 0x6627e8d5, 0xe169c58d);
  expect(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}, 0x408f276d, 0x41c83b0e);
  expect(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88, 0xd16cfe09,
         0x94fdcceb);
}

TEST(SamplerTest, SharesFollowTheProbabilities) {
  std::vector<double> p = {0.5, 0.25, 0.125, 0.125};
  auto seen = shares(logsOf(p), {.temperature = 1});
  for (int32_t id = 0; id < 4; ++id)
    EXPECT_NEAR(seen[id], p[id], 0.02) << id;
  // Temperature 0.5 squares them.
  seen = shares(logsOf(p), {.temperature = 0.5f});
  double total = 0.25 + 0.0625 + 2 * 0.015625;
  EXPECT_NEAR(seen[0], 0.25 / total, 0.02);
  EXPECT_NEAR(seen[3], 0.015625 / total, 0.02);
}

TEST(SamplerTest, EachFilterKeepsWhatItShould) {
  std::vector<double> p = {0.1, 0.4, 0.05, 0.3, 0.15};
  auto kept = [&](SamplerParams params) {
    params.temperature = 1;
    std::vector<int32_t> ids;
    for (auto [id, share] : shares(logsOf(p), params, 4000))
      ids.push_back(id);
    return ids;
  };
  EXPECT_EQ(kept({}), (std::vector<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(kept({.topK = 2}), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(kept({.topK = 9}), (std::vector<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(kept({.topP = 0.65f}), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(kept({.topP = 0.75f}), (std::vector<int32_t>{1, 3, 4}));
  EXPECT_EQ(kept({.topP = 1e-6f}), (std::vector<int32_t>{1}));
  EXPECT_EQ(kept({.minP = 0.3f}), (std::vector<int32_t>{1, 3, 4}));
  EXPECT_EQ(kept({.topK = 3, .topP = 0.8f}), (std::vector<int32_t>{1, 3}));
  // Of equals, top-k keeps the lowest ids.
  p = {0.2, 0.2, 0.2, 0.2, 0.2};
  EXPECT_EQ(kept({.topK = 3}), (std::vector<int32_t>{0, 1, 2}));
}

TEST(SamplerTest, TopPOverALargeVocabularyIsThatOfAFullSort) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(5000);
  for (float &value : logits)
    value = normal(random);
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  double total = 0, sum = 0;
  for (float value : logits)
    total += std::exp(value);
  size_t keep = 0;
  while (sum < 0.9 * total)
    sum += std::exp(logits[order[keep++]]);
  auto seen = shares(logits, {.temperature = 1, .topP = 0.9f}, 500);
  std::vector<int32_t> allowed(order.begin(), order.begin() + keep + 1);
  std::sort(allowed.begin(), allowed.end());
  for (auto [id, share] : seen)
    EXPECT_TRUE(std::binary_search(allowed.begin(), allowed.end(), id)) << id;
}

TEST(SamplerTest, ThePenaltyCountsATokenOnce) {
  std::vector<float> logits = {4, 3, -1, -1.5f};
  EXPECT_EQ(pick(logits, {.repeatPenalty = 1.2f}, 0, {0, 0, 0, 0}), 0);
  EXPECT_EQ(pick(logits, {.repeatPenalty = 1.5f}, 0, {0}), 1);
  // Negative logits get worse too.
  EXPECT_EQ(pick({-1, -1.5f}, {.repeatPenalty = 2}, 0, {0}), 1);
}

TEST(SamplerTest, NumbersDependOnAllThreeKeysAndNothingElse) {
  double base = philoxUniform(1, 2, 3);
  EXPECT_EQ(base, philoxUniform(1, 2, 3));
  EXPECT_NE(base, philoxUniform(2, 2, 3));
  EXPECT_NE(base, philoxUniform(1, 3, 3));
  EXPECT_NE(base, philoxUniform(1, 2, 4));
  double sum = 0;
  for (int i = 0; i < 10000; ++i)
    sum += philoxUniform(9, 0, i);
  EXPECT_NEAR(sum / 10000, 0.5, 0.02);
}

TEST(SamplerTest, ParametersOutOfRangeAreRefused) {
  EXPECT_THROW(checkSampler({.temperature = -1}), Error);
  EXPECT_THROW(checkSampler({.temperature = NAN}), Error);
  EXPECT_THROW(checkSampler({.topK = -1}), Error);
  EXPECT_THROW(checkSampler({.topP = 0}), Error);
  EXPECT_THROW(checkSampler({.topP = 1.5f}), Error);
  EXPECT_THROW(checkSampler({.minP = 2}), Error);
  EXPECT_THROW(checkSampler({.repeatPenalty = 0}), Error);
  checkSampler({});
}

} // namespace
