// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations on whole rows that no linear took over, and the choice of a
// linear's variant.
#include "kernels/cpu/kernels.h"
#include "support.h"

#include <gtest/gtest.h>

#include <atomic>

using namespace fdpp;
using namespace fdpp::cpu;
using namespace fdpp::test;

namespace {

template <int Width, class X, class Y> void expect_mapped() {
  constexpr int tokens = 5;
  std::vector<X> a = random_values<X>(tokens * Width, 1);
  std::vector<X> b = random_values<X>(tokens * Width, 2);
  std::vector<Y> scaled(a.size() + 1, from_float<Y>(7)), gated = scaled;
  on_team(3, [&](Team &team) {
    map_rows<Width>(team, tokens, a.data(), scaled.data(),
                    [](auto x) { return 2.5f * x; });
    zip_rows<Width>(team, tokens, a.data(), b.data(), gated.data(),
                    [](auto x, auto y) { return silu(x) * y; });
  });
  for (size_t i = 0; i < a.size(); ++i) {
    float x = to_float(a[i]), y = to_float(b[i]);
    EXPECT_EQ(to_float(from_float<Y>(2.5f * x)), to_float(scaled[i]));
    double expected = x / (1 + std::exp(-double(x))) * y;
    EXPECT_NEAR(expected, to_float(gated[i]),
                std::fabs(expected) * 0x1p-8 + 1e-6);
  }
  EXPECT_EQ(7, to_float(scaled.back())) << "wrote past the end";
  EXPECT_EQ(7, to_float(gated.back())) << "wrote past the end";
}

TEST(Elementwise, MapsAndZipsRows) {
  expect_mapped<16, float, float>(), expect_mapped<33, float, float>();
  expect_mapped<7, float, bf16>(), expect_mapped<48, bf16, float>();
}

/// Heads of 10 elements of which `Rotary` turn, from tables in the columns
/// behind the first 3 of 8.
template <int Rotary, RotaryPairs Pairs> void expect_rotated() {
  constexpr int tokens = 4, heads = 3, dim = 10, width = heads * dim;
  constexpr int half = Rotary / 2, stride = 8, first = 3;
  std::vector<float> x = random_values<float>(tokens * width, 1);
  std::vector<float> cosine = random_values<float>(tokens * stride, 2);
  std::vector<float> sine = random_values<float>(tokens * stride, 3);
  std::vector<float> out(x.size(), quiet_nan);
  on_team(2, [&](Team &team) {
    rope<width, dim, Rotary, Pairs>(team, tokens, x.data(),
                                    cosine.data() + first, sine.data() + first,
                                    stride, out.data());
  });
  std::vector<float> expected = x;
  for (int t = 0; t < tokens; ++t)
    for (int h = 0; h < heads; ++h)
      for (int j = 0; j < half; ++j) {
        bool halves = Pairs == RotaryPairs::halves;
        int base = t * width + h * dim;
        int one = base + (halves ? j : 2 * j);
        int two = base + (halves ? j + half : 2 * j + 1);
        double c = cosine[t * stride + first + j];
        double s = sine[t * stride + first + j];
        expected[one] = float(x[one] * c - x[two] * s);
        expected[two] = float(x[two] * c + x[one] * s);
      }
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(expected[i], out[i], 1e-6 * (std::fabs(expected[i]) + 1)) << i;
}

TEST(Elementwise, RotatesPairsOfAHead) {
  expect_rotated<10, RotaryPairs::halves>();
  expect_rotated<4, RotaryPairs::halves>();
  expect_rotated<10, RotaryPairs::neighbours>();
  expect_rotated<6, RotaryPairs::neighbours>();
}

template <class E, int HeadDim> void expect_appended() {
  using KvCache = Cache<E, 3, HeadDim, 16>;
  constexpr int tokens = 3, heads = 3, width = heads * HeadDim, pages = 4;
  std::vector<float> key = random_values<float>(tokens * width, 1);
  std::vector<float> value = random_values<float>(tokens * width, 2);
  std::vector<int32_t> slots = {0, 2 * 16 + 5, 3 * 16 + 15};
  int64_t elements = 2 * heads * KvCache::head_elements * pages;
  std::vector<E> memory(size_t(2 * elements), from_float<E>(quiet_nan));
  KvCache cache{memory.data(), pages};
  on_team(2, [&](Team &team) {
    kv_append(team, tokens, key.data(), value.data(), slots.data(), 1, cache);
  });
  for (int t = 0; t < tokens; ++t)
    for (int h = 0; h < heads; ++h)
      for (int d = 0; d < HeadDim; ++d) {
        int page = slots[t] / 16, at = slots[t] % 16;
        int i = t * width + h * HeadDim + d;
        EXPECT_EQ(to_float(from_float<E>(key[i])),
                  to_float(cache.keys(1, page, h)[key_index<E>(at, d, 16)]));
        EXPECT_EQ(
            to_float(from_float<E>(value[i])),
            to_float(cache.values(1, page, h)[value_index(at, d, HeadDim)]));
      }
  // The layer before, and the slots beside, are as they were.
  EXPECT_TRUE(
      std::isnan(to_float(cache.keys(0, 2, 1)[key_index<E>(5, 0, 16)])));
  EXPECT_TRUE(
      std::isnan(to_float(cache.keys(1, 2, 1)[key_index<E>(6, 0, 16)])));
}

TEST(Elementwise, AppendsToTheCache) {
  expect_appended<float, 16>(), expect_appended<bf16, 24>();
  expect_appended<f16, 5>(), expect_appended<bf16, 7>();
}

struct Keep {
  static constexpr Partner partner = Partner::none;
  static constexpr int columns = 37;
  float *out;
  template <class V>
  void operator()(V value, V, int row, int column, int count) const {
    store(out + row * 37 + column, value, count);
  }
};

/// A prologue that counts the rows it is asked for at once.
struct Counted : Rows<24> {
  std::atomic<int> *rows;
  State begin(int row) const {
    ++*rows;
    return Rows<24>::begin(row);
  }
};

TEST(Dispatch, RunsTheRangeOfTheNumberOfTokens) {
  using Two = Variant<2>;
  using Variants = ByTokens<UpTo<1, Variant<1>>, UpTo<4, Two>,
                            Otherwise<Variant<most_tile, 0>>>;
  constexpr int most = 9;
  std::vector<float> w = random_values<float>(37 * 24, 1);
  std::vector<float> packed = pack_weights(w, 24, {{Partner::none, 37, 0}});
  std::vector<float> x = random_values<float>(most * 24, 2);
  for (int tokens = 0; tokens <= most; ++tokens) {
    std::vector<float> expected(most * 37, 0.0f), out = expected;
    Scratch scratch(size_t(linear_scratch_bytes(most, 24, 1)));
    std::atomic<int> rows = 0;
    on_team(1, [&](Team &team) {
      linear<Two>(team, tokens, Rows<24>{x.data()}, packed.data(),
                  scratch.data(), Keep{expected.data()});
      linear_by_tokens<Variants>(team, tokens, Counted{{x.data()}, &rows},
                                 packed.data(), scratch.data(),
                                 Keep{out.data()});
    });
    EXPECT_EQ(expected, out) << tokens;
    EXPECT_EQ(tokens, rows) << "one variant runs, once";
  }
}

} // namespace
