// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Intermediate values through the C API.
#include "ToySession.h"

#include <gmock/gmock.h>

using testing::ElementsAre;
using testing::HasSubstr;

namespace {

/// Each value as 'name node layer rows x columns: first element'.
struct Seen {
  std::vector<std::string> lines;
  static void see(void *ctx, const fdpp_value *value) {
    EXPECT_EQ(value->struct_size, sizeof(fdpp_value));
    EXPECT_EQ(value->dtype, FDPP_VALUE_F32);
    auto first = static_cast<int>(*static_cast<const float *>(value->data));
    static_cast<Seen *>(ctx)->lines.push_back(
        std::string(value->name) + " " + value->node + " " +
        std::to_string(value->layer) + " " + std::to_string(value->rows) +
        " x " + std::to_string(value->columns) +
        (value->layer < 0 ? "" : ": " + std::to_string(first)));
  }
};

using TapsTest = toy::SessionTest;

TEST_F(TapsTest, EveryStepShowsItsValues) {
  open("toy_taps");
  Seen seen;
  step({1, 2});
  ASSERT_EQ(fdpp_session_set_tap(session, Seen::see, &seen), FDPP_OK);
  EXPECT_TRUE(seen.lines.empty());
  step({3, 4, 5});
  EXPECT_THAT(seen.lines, ElementsAre("slots graph/first 0 3 x 1: 2",
                                      "slots graph/second 1 3 x 1: 2",
                                      "logits  -1 1 x 260"));
  ASSERT_EQ(fdpp_session_set_tap(session, nullptr, nullptr), FDPP_OK);
  step({6});
  EXPECT_EQ(seen.lines.size(), 3u);
}

TEST_F(TapsTest, AnEngineWithoutTapsSaysSo) {
  for (const char *library : {"toy_model", "toy_before_taps"}) {
    open(library);
    EXPECT_EQ(fdpp_session_set_tap(session, Seen::see, nullptr), FDPP_ERROR);
    EXPECT_THAT(fdpp_last_error(), HasSubstr("compile it with --taps"));
    EXPECT_EQ(fdpp_session_set_tap(session, nullptr, nullptr), FDPP_OK);
    step({1});
    TearDown();
  }
  session = nullptr;
  engine = nullptr;
}

} // namespace
