// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What attention counts of its logits, against the same in double.
#include "attention_step.h"

#include <algorithm>
#include <cmath>

using namespace fdpp;
using namespace fdpp::cpu;
using namespace fdpp::test;

namespace {

constexpr int kLayers = 2, kBins = 64;
constexpr float kLow = -4, kWidth = 0.125f; // to 4: some values lie beyond

/// Everything that one head's rows give.
struct Values {
  std::vector<double> logits, maximum, logSumExp;
};

struct Histograms {
  explicit Histograms(int heads)
      : logits(size_t(kLayers * heads) * kBins), maximum(logits.size()),
        logSumExp(logits.size()), extremes(size_t(kLayers * heads) * 4) {
    for (size_t i = 0; i < extremes.size(); i += 2) {
      extremes[i] = INFINITY;
      extremes[i + 1] = -INFINITY;
    }
    view = {sizeof(view),     kBins,          kLow,
            kWidth,           logits.data(),  maximum.data(),
            logSumExp.data(), extremes.data()};
  }
  std::vector<uint64_t> logits, maximum, logSumExp;
  std::vector<float> extremes;
  fdpp_attention_statistics view = {};
};

/// A value within 1e-5 of a bin's edge may be on either side of it.
void expectCounts(const uint64_t *bins, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  auto below = [&](double x) {
    return uint64_t(std::lower_bound(values.begin(), values.end(), x) -
                    values.begin());
  };
  uint64_t sum = 0;
  for (int i = 0; i + 1 < kBins; ++i) {
    sum += bins[i];
    double edge = kLow + (i + 1) * double(kWidth);
    EXPECT_GE(sum, below(edge - 1e-5)) << "bin " << i;
    EXPECT_LE(sum, below(edge + 1e-5)) << "bin " << i;
  }
  EXPECT_EQ(sum + bins[kBins - 1], values.size());
}

template <class S>
Values reference(S &step, int head, const AttentionOptions &options) {
  constexpr int heads = 4, dims = 64;
  Values all;
  for (size_t s = 0; s < step.context.size(); ++s)
    for (int t = step.offsets[s]; t < step.offsets[s + 1]; ++t) {
      auto &cached = step.heads[s * 2 + head / S::group];
      auto query = S::head_row(step.query, t, head, heads * dims);
      int last = step.context[s] - (step.offsets[s + 1] - t) + 1;
      int first = options.window > 0 ? std::max(0, last - options.window) : 0;
      double most = -INFINITY, sum = 0;
      size_t begin = all.logits.size();
      for (int j = first; j < last; ++j) {
        double x = 0;
        for (int d = 0; d < dims; ++d)
          x += query[d] * cached.keys[j][d];
        x *= options.scale;
        if (options.softcap != 0)
          x = options.softcap * std::tanh(x / options.softcap);
        all.logits.push_back(x);
        most = std::max(most, x);
      }
      for (size_t i = begin; i < all.logits.size(); ++i)
        sum += std::exp(all.logits[i] - most);
      all.maximum.push_back(most);
      all.logSumExp.push_back(most + std::log(sum));
    }
  return all;
}

TEST(Observe, CountsWhatEveryKernelReads) {
  using Tested = Step<bf16, 4, 2, 64, 64>;
  for (const AttentionOptions &options :
       {AttentionOptions{0.125f}, AttentionOptions{0.125f, 70},
        AttentionOptions{0.25f, 0, 3.0f}})
    for (int kernel = 0; kernel < 3; ++kernel) {
      SCOPED_TRACE(kernel);
      Tested step({{3, 64}, {1, 1}, {2, 300}, {0, 9}}, 1.5f, 3);
      Histograms found(4);
      step.statistics = &found.view;
      int threads = 1 + kernel;
      if (kernel == 0)
        step.prefill(threads, options);
      else if (kernel == 1)
        step.decode(threads, options);
      else
        step.template async<float>(threads, options, {0, 0, 0, 0});
      for (int head = 0; head < 4; ++head) {
        SCOPED_TRACE(head);
        Values expected = reference(step, head, options);
        size_t row = size_t(Tested::layer) * 4 + head;
        expectCounts(&found.logits[row * kBins], expected.logits);
        expectCounts(&found.maximum[row * kBins], expected.maximum);
        expectCounts(&found.logSumExp[row * kBins], expected.logSumExp);
        auto [least, most] =
            std::minmax_element(expected.logits.begin(), expected.logits.end());
        EXPECT_NEAR(found.extremes[row * 4], *least, 1e-5);
        EXPECT_NEAR(found.extremes[row * 4 + 1], *most, 1e-5);
        auto [low, high] = std::minmax_element(expected.logSumExp.begin(),
                                               expected.logSumExp.end());
        EXPECT_NEAR(found.extremes[row * 4 + 2], *low, 1e-5);
        EXPECT_NEAR(found.extremes[row * 4 + 3], *high, 1e-5);
      }
      // Of the layer that ran only.
      for (int i = 0; i < 4 * kBins; ++i)
        ASSERT_EQ(found.logits[i], 0u);
    }
}

TEST(Observe, ChangesNoResult) {
  using Tested = Step<float, 4, 2, 64, 64>;
  Tested step({{3, 64}, {2, 300}}, 1.0f, 4);
  AttentionOptions options{0.125f};
  std::vector<float> expected = step.prefill(2, options);
  Histograms found(4);
  step.statistics = &found.view;
  EXPECT_EQ(step.prefill(2, options), expected);
}

} // namespace
