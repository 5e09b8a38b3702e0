// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Intermediate values through the C API.
#include "ToyEngine.h"
#include "fdpp-runtime/fdpp.h"

#include <gmock/gmock.h>
#include <optional>

using testing::ElementsAre;
using testing::HasSubstr;

namespace {

template <typename T> T sized() {
  T value = {};
  value.struct_size = sizeof(T);
  return value;
}

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

struct TapsTest : testing::Test {
  void open(const std::string &library) {
    folder.emplace(library);
    ASSERT_EQ(fdpp_engine_open(folder->folder().c_str(), nullptr, &engine),
              FDPP_OK)
        << fdpp_last_error();
    ASSERT_EQ(fdpp_session_create(engine, nullptr, &session), FDPP_OK);
    ASSERT_EQ(fdpp_sequence_create(session, 0, &sequence), FDPP_OK);
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
    item.logits = FDPP_LOGITS_LAST;
    ASSERT_EQ(fdpp_session_step(session, &item, 1), FDPP_OK)
        << fdpp_last_error();
  }

  std::optional<toy::Engine> folder;
  fdpp_engine *engine = nullptr;
  fdpp_session *session = nullptr;
  fdpp_sequence *sequence = nullptr;
};

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
