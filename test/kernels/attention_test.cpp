// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prefill and decode attention over shuffled pages of ragged batches, against
// plain softmax in double. Everything in the cache that no token wrote is NaN.
#include "attention_step.h"

#include <gtest/gtest.h>

using namespace fdpp;
using namespace fdpp::cpu;
using namespace fdpp::test;

namespace {

const std::vector<Sequence> ragged = {{1, 1},    {3, 64},  {2, 65}, {1, 700},
                                      {5, 2100}, {0, 100}, {1, 127}};

template <class E, int QueryHeads, int KvHeads, int HeadDim,
          int PageTokens = 64>
void sweep(AttentionOptions options) {
  options.scale *= 1 / std::sqrt(float(HeadDim));
  Step<E, QueryHeads, KvHeads, HeadDim, PageTokens> step(ragged, 1.5f, HeadDim);
  std::vector<float> decoded = step.decode(1, options);
  step.expect(decoded, options, 2e-5);
  // The split into pieces must not depend on the team.
  EXPECT_EQ(decoded, step.decode(2, options));
  EXPECT_EQ(decoded, step.decode(4, options));
  for (int threads : {1, 3}) {
    SCOPED_TRACE(threads);
    step.expect(step.prefill(threads, options), options, 2e-5);
  }
}

TEST(Attention, GroupedQueries) { sweep<bf16, 9, 3, 64>({1.0f}); }
TEST(Attention, OneHeadEach) { sweep<float, 3, 3, 80>({1.0f}); }
TEST(Attention, WideHeads) { sweep<bf16, 8, 2, 128>({1.0f}); }
TEST(Attention, MoreRowsThanABlockAndOddHeads) {
  sweep<f16, 29, 1, 33, 48>({1.0f});
}
TEST(Attention, OddPairs) { sweep<bf16, 4, 2, 13, 16>({1.0f}); }
TEST(Attention, Window) {
  sweep<bf16, 4, 2, 64>({1.0f, 70}), sweep<bf16, 4, 2, 13, 16>({1.0f, 1});
}
TEST(Attention, Softcap) { sweep<bf16, 4, 2, 64>({1.0f, 0, 5.0f}); }

TEST(Attention, ChunksEqualTheWhole) {
  using Whole = Step<bf16, 6, 2, 64, 64>;
  Whole whole({{150, 150}}, 1.0f, 7);
  AttentionOptions options{0.125f};
  std::vector<float> expected = whole.prefill(2, options);
  whole.expect(expected, options, 2e-5);
  // The last 37 tokens again, as a step of their own over the same cache.
  constexpr int chunk = 37, width = 6 * 64;
  whole.offsets = {0, chunk};
  whole.query.erase(whole.query.begin(),
                    whole.query.end() - size_t(chunk) * width);
  std::vector<float> tail = whole.prefill(2, options);
  for (size_t i = 0; i < tail.size(); ++i)
    ASSERT_NEAR(expected[expected.size() - tail.size() + i], tail[i], 1e-6);
}

TEST(Attention, LargeLogitsStayFinite) {
  // Logits in the tens of thousands: exp would overflow without the maximum.
  Step<float, 2, 1, 80, 64> step({{2, 600}, {1, 33}}, 30.0f, 3);
  for (float value : step.decode(2, {1.0f}))
    EXPECT_TRUE(std::isfinite(value));
  for (float value : step.prefill(2, {1.0f}))
    EXPECT_TRUE(std::isfinite(value));
}

TEST(Attention, NaNReachesItsRowsOnly) {
  Step<bf16, 4, 2, 64, 64> step({{2, 300}}, 1.0f, 3);
  step.query[size_t(1) * 4 * 64 + 2 * 64 + 5] = quiet_nan; // token 1, head 2
  for (const std::vector<float> &out :
       {step.decode(2, {0.2f}), step.prefill(2, {0.2f})})
    for (int row = 0; row < 8; ++row)
      for (int d = 0; d < 64; ++d)
        EXPECT_EQ(row == 6, bool(std::isnan(out[size_t(row) * 64 + d]))) << row;
}

TEST(Attention, StoresRoundToTheOutputType) {
  Step<bf16, 4, 2, 64, 64> step({{1, 300}, {4, 40}}, 1.0f, 3);
  AttentionOptions options{0.2f};
  std::vector<float> wide = step.prefill(2, options);
  std::vector<bf16> out(wide.size());
  on_team(2, [&](Team &team) {
    prefill_attention<4>(team, step.batch(), step.layer, step.query.data(),
                         step.cache(), options, out.data());
  });
  for (size_t i = 0; i < out.size(); ++i)
    EXPECT_EQ(to_bf16(wide[i]).bits, out[i].bits);
}

} // namespace
