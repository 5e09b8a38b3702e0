// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Random keys and values in the place of a prefill.
#include "RandomCache.h"

#include "Engine.h"
#include "Error.h"
#include "ToyEngine.h"
#include "kernels/common/types.h"

#include <cmath>
#include <gmock/gmock.h>

using namespace fdpp::runtime;
using testing::Each;
using testing::HasSubstr;

namespace {

constexpr int32_t kLayers = 2, kPages = 5, kElements = 4098; // no multiple of 4

template <class E>
std::vector<E> filled(int32_t dtype, const std::vector<int32_t> &of,
                      uint64_t seed, int32_t threads = 2) {
  std::vector<E> cache(kLayers * kPages * kElements, E{});
  ThreadTeam team(threads, TeamWidth::All);
  fillRandom({cache.data(), kElements * sizeof(E), kLayers, kPages, dtype, of},
             seed, cpuDevice(), team);
  return cache;
}

std::vector<float> page(const std::vector<fdpp::bf16> &cache, int32_t layer,
                        int32_t number) {
  std::vector<float> values;
  for (int32_t i = 0; i < kElements; ++i)
    values.push_back(
        fdpp::to_float(cache[(layer * kPages + number) * kElements + i]));
  return values;
}

TEST(RandomCache, ValuesHaveVarianceOneAndOnlyTheirPagesChange) {
  auto cache = filled<fdpp::bf16>(FDPP_BF16, {3, 1}, 7);
  for (int32_t layer = 0; layer < kLayers; ++layer) {
    for (int32_t number : {0, 2, 4})
      EXPECT_THAT(page(cache, layer, number), Each(0.0f));
    for (int32_t number : {1, 3}) {
      double sum = 0, squares = 0;
      for (float value : page(cache, layer, number)) {
        EXPECT_LE(std::fabs(value), 1.74f);
        sum += value, squares += value * value;
      }
      EXPECT_NEAR(sum / kElements, 0, 0.08);       // 5 standard errors
      EXPECT_NEAR(squares / kElements, 1.0, 0.07); // 5 standard errors
    }
  }
  EXPECT_NE(page(cache, 0, 1), page(cache, 0, 3));
  EXPECT_NE(page(cache, 0, 1), page(cache, 1, 1));
}

TEST(RandomCache, IsAFunctionOfTheSeedInEveryType) {
  auto one = filled<float>(FDPP_F32, {0, 1, 2}, 7, 1);
  EXPECT_EQ(one, filled<float>(FDPP_F32, {2, 1, 0}, 7, 3));
  EXPECT_NE(one, filled<float>(FDPP_F32, {0, 1, 2}, 8, 1));
  auto half = filled<fdpp::f16>(FDPP_F16, {0, 1, 2}, 7);
  auto brain = filled<fdpp::bf16>(FDPP_BF16, {0, 1, 2}, 7);
  for (size_t i = 0; i < one.size(); ++i) {
    ASSERT_EQ(fdpp::to_float(half[i]), fdpp::to_float(fdpp::to_f16(one[i])));
    ASSERT_EQ(fdpp::to_float(brain[i]), fdpp::to_float(fdpp::to_bf16(one[i])));
  }
}

TEST(RandomCache, SessionsRefuseWhatCannotBeFilled) {
  toy::Engine folder;
  Engine engine(folder.folder(), true);
  Session session(engine.view(),
                  {.threads = 1, .context = 16, .sequences = 2, .pages = 5});
  Sequence *sequence = session.createSequence(0);
  auto why = [&](int32_t count) -> std::string {
    try {
      session.fill(sequence, count, 1);
    } catch (const Error &error) {
      return error.what();
    }
    return "filled";
  };
  EXPECT_THAT(why(0), HasSubstr("brings no token"));
  EXPECT_THAT(why(17), HasSubstr("do not fit the context of 16"));
  EXPECT_THAT(why(16), HasSubstr("a cache of i32 cannot be filled"));
  // Nothing is kept of a refused fill.
  EXPECT_EQ(sequence->length(), 0);
  EXPECT_EQ(session.pages().freePages(), 5);
  int32_t token = 1;
  StepItem item{sequence, &token, 1};
  session.step(&item, 1);
  EXPECT_THAT(why(3), HasSubstr("has 1 tokens; truncate it to 0 first"));
}

} // namespace
