// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Times of kernels through the C API.
#include "ToySession.h"

#include <gmock/gmock.h>

using testing::ElementsAre;
using testing::HasSubstr;

namespace {

/// Each kernel as 'name layer: bytes'. Kernels follow each other without gaps.
struct Seen {
  std::vector<std::string> lines;
  double end = 0;

  static void see(void *ctx, const fdpp_kernel_time *kernel) {
    EXPECT_EQ(kernel->struct_size, sizeof(fdpp_kernel_time));
    EXPECT_GE(kernel->ms, 0);
    auto &seen = *static_cast<Seen *>(ctx);
    if (kernel->start_ms == 0)
      seen.end = 0;
    EXPECT_NEAR(kernel->start_ms, seen.end, 1e-9);
    seen.end = kernel->start_ms + kernel->ms;
    seen.lines.push_back(std::string(kernel->name) + " " +
                         std::to_string(kernel->layer) + ": " +
                         std::to_string(kernel->bytes));
  }
};

using ProfileTest = toy::SessionTest;

TEST_F(ProfileTest, StepsTellOfTheirKernels) {
  open("toy_model");
  Seen seen;
  step({1, 2});
  ASSERT_EQ(fdpp_session_set_profile(session, Seen::see, &seen), FDPP_OK);
  EXPECT_TRUE(seen.lines.empty());
  step({3, 4, 5}); // 8 bytes a token, layer and slot: five slots are read
  EXPECT_THAT(seen.lines,
              ElementsAre("kv_append -1: 0", "prefill_attention 0: 40",
                          "bank 0: 1040", "prefill_attention 1: 40",
                          "bank 1: 1040"));
  EXPECT_GT(seen.end, 0);
  seen.lines.clear();
  step({6});
  EXPECT_THAT(seen.lines,
              ElementsAre("kv_append -1: 0", "decode_attention 0: 48",
                          "bank 0: 1040", "decode_attention 1: 48",
                          "bank 1: 1040"));
  ASSERT_EQ(fdpp_session_set_profile(session, nullptr, nullptr), FDPP_OK);
  step({7});
  EXPECT_EQ(seen.lines.size(), 5u);
}

TEST_F(ProfileTest, AnOlderEngineSaysSo) {
  open("toy_before_taps");
  EXPECT_EQ(fdpp_session_set_profile(session, Seen::see, nullptr), FDPP_ERROR);
  EXPECT_THAT(fdpp_last_error(), HasSubstr("compile it again"));
  EXPECT_EQ(fdpp_session_set_profile(session, nullptr, nullptr), FDPP_OK);
  step({1});
}

} // namespace
