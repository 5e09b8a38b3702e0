// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Counts of attention's logits through the C API.
#include "ToyEngine.h"
#include "ToyFormula.h"
#include "fdpp-runtime/fdpp.h"

#include <cmath>
#include <gmock/gmock.h>

using testing::HasSubstr;

namespace {

template <typename T> T sized() {
  T value = {};
  value.struct_size = sizeof(T);
  return value;
}

constexpr int kRows = toy::kLayers * toy::kHeads, kBins = 32;

struct CountsTest : testing::Test {
  void open(const std::string &library) {
    folder = std::make_unique<toy::Engine>(library);
    ASSERT_EQ(fdpp_engine_open(folder->folder().c_str(), nullptr, &engine),
              FDPP_OK)
        << fdpp_last_error();
    ASSERT_EQ(fdpp_session_create(engine, nullptr, &session), FDPP_OK);
    ASSERT_EQ(fdpp_sequence_create(session, 0, &sequence), FDPP_OK);
    counts.bins = kBins;
    counts.low = 0;
    counts.width = 1;
    counts.logits = logits.data();
    counts.row_maximum = maximum.data();
    counts.row_log_sum_exp = logSumExp.data();
    counts.extremes = extremes.data();
    for (size_t i = 0; i < extremes.size(); ++i)
      extremes[i] = i % 2 ? -INFINITY : INFINITY;
  }
  void TearDown() override {
    fdpp_session_destroy(session);
    fdpp_engine_close(engine);
  }
  void step(const std::vector<int32_t> &tokens) {
    auto item = sized<fdpp_step_item>();
    item.sequence = sequence;
    item.tokens = tokens.data();
    item.count = static_cast<int32_t>(tokens.size());
    ASSERT_EQ(fdpp_session_step(session, &item, 1), FDPP_OK)
        << fdpp_last_error();
  }
  static uint64_t sum(const std::vector<uint64_t> &histogram, int row) {
    uint64_t all = 0;
    for (int i = 0; i < kBins; ++i)
      all += histogram[row * kBins + i];
    return all;
  }

  std::unique_ptr<toy::Engine> folder;
  fdpp_engine *engine = nullptr;
  fdpp_session *session = nullptr;
  fdpp_sequence *sequence = nullptr;
  std::vector<uint64_t> logits = std::vector<uint64_t>(kRows * kBins),
                        maximum = logits, logSumExp = logits;
  std::vector<float> extremes = std::vector<float>(kRows * 4);
  fdpp_logit_counts counts = sized<fdpp_logit_counts>();
};

TEST_F(CountsTest, CountsWhileAsked) {
  open("toy_model");
  step({1, 2});
  ASSERT_EQ(fdpp_session_count_logits(session, &counts), FDPP_OK);
  step({3, 4, 5}); // see 3, 4 and 5 slots
  step({6});
  ASSERT_EQ(fdpp_session_count_logits(session, nullptr), FDPP_OK);
  step({7});
  for (int row = 0; row < kRows; ++row) {
    EXPECT_EQ(sum(logits, row), 3u + 4 + 5 + 6);
    EXPECT_EQ(sum(maximum, row), 4u);
    EXPECT_EQ(sum(logSumExp, row), 4u);
  }
  EXPECT_EQ(maximum[1 * kBins + 3], 1u);         // 3.5 of three slots
  EXPECT_EQ(maximum[1 * kBins + 4], 3u);         // 4.5
  EXPECT_EQ(maximum[3 * kBins + kBins - 1], 4u); // 300.5, beyond the last bin
  EXPECT_EQ(extremes[4], 1.5F);
  EXPECT_EQ(extremes[5], 4.5F);
  EXPECT_NEAR(extremes[7],
              4.5 + std::log(1 + std::exp(-1.0) + 2 * std::exp(-2.0) +
                             2 * std::exp(-3.0)),
              1e-5);
}

TEST_F(CountsTest, RefusesWhatCannotBeCounted) {
  open("toy_model");
  auto refused = [&](const char *why) {
    EXPECT_EQ(fdpp_session_count_logits(session, &counts), FDPP_ERROR);
    EXPECT_THAT(fdpp_last_error(), HasSubstr(why));
  };
  counts.bins = 0;
  refused("bins");
  counts.bins = kBins;
  counts.width = NAN;
  refused("bins of some width");
  counts.width = 1;
  counts.extremes = nullptr;
  refused("must not be null");
}

TEST_F(CountsTest, OlderEnginesCannot) {
  for (const char *library : {"toy_counts_nothing", "toy_before_taps"}) {
    open(library);
    EXPECT_EQ(fdpp_session_count_logits(session, &counts), FDPP_ERROR);
    EXPECT_THAT(fdpp_last_error(), HasSubstr("compile it again"));
    EXPECT_EQ(fdpp_session_count_logits(session, nullptr), FDPP_OK);
    TearDown();
    session = nullptr;
    engine = nullptr;
  }
}

} // namespace
