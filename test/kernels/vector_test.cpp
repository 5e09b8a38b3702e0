// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Storage types and vector functions: every 16-bit value, and f32 arguments
// over the whole range.
#include "kernels/cpu/math.h"
#include "support.h"

#include <gtest/gtest.h>

using namespace fdpp;
using namespace fdpp::cpu;
using fdpp::test::infinity;
using fdpp::test::quiet_nan;

namespace {

template <class E> void expect_widening() {
  for (int first = 0; first < 65536; first += lanes) {
    E bits[lanes];
    for (int i = 0; i < lanes; ++i)
      bits[i].bits = uint16_t(first + i);
    f32x16 wide = load(bits);
    for (int i = 0; i < lanes; ++i) {
      float expected = to_float(bits[i]);
      if (std::isnan(expected))
        EXPECT_TRUE(std::isnan(wide[i])) << first + i;
      else
        EXPECT_EQ(std::bit_cast<uint32_t>(expected),
                  std::bit_cast<uint32_t>(float(wide[i])))
            << first + i;
    }
  }
}

TEST(Storage, WideningIsExact) {
  expect_widening<bf16>();
  expect_widening<f16>();
}

template <class E> void expect_narrowing(uint32_t bits) {
  float values[lanes];
  for (int i = 0; i < lanes; ++i)
    values[i] = std::bit_cast<float>(bits + uint32_t(i) - 8);
  E out[lanes];
  store(out, load(values));
  for (int i = 0; i < lanes; ++i) {
    E expected = from_float<E>(values[i]);
    if (std::isnan(values[i]))
      ASSERT_TRUE(std::isnan(to_float(out[i]))) << values[i];
    else
      ASSERT_EQ(expected.bits, out[i].bits) << values[i];
  }
}

TEST(Storage, NarrowingRoundsToNearestEven) {
  std::mt19937 engine(1);
  for (int i = 0; i < 200000; ++i)
    expect_narrowing<bf16>(engine()), expect_narrowing<f16>(engine());
  // Around every f16 and bf16 value and every midpoint.
  for (uint32_t high = 0; high < 65536; ++high)
    for (uint32_t low : {0u, 0x8000u}) {
      expect_narrowing<bf16>(high << 16 | low);
      float half = to_float(f16{uint16_t(high)});
      expect_narrowing<f16>(std::bit_cast<uint32_t>(half) + (low ? 0x1000 : 0));
    }
}

TEST(Storage, ScalarHalfMatchesTheCompiler) {
  for (uint32_t high = 0; high < 65536; ++high)
    for (uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      float value = std::bit_cast<float>(high << 16 | low);
      if (!std::isnan(value))
        ASSERT_EQ(std::bit_cast<uint16_t>(_Float16(value)), to_f16(value).bits)
            << value;
    }
}

TEST(Storage, TailsTouchOnlyTheirElements) {
  for (int count = 0; count <= lanes; ++count) {
    std::vector<float> from(size_t(count), 3.0f); // ASan sees an overrun
    f32x16 value = load(from.data(), count);
    bf16 to[lanes + 1];
    for (bf16 &e : to)
      e.bits = 7;
    store(to, value, count);
    for (int i = 0; i <= lanes; ++i)
      EXPECT_EQ(i < count ? to_bf16(3.0f).bits : 7, to[i].bits);
  }
}

/// The largest error of fn against exact, in ulp of the exact result; below
/// `floor` in units of the floor's ulp.
template <class Fn, class Exact>
double worst_ulp(Fn fn, Exact exact, float from, float to, float floor) {
  std::mt19937 engine(2);
  std::uniform_real_distribution<float> uniform(from, to);
  double worst = 0;
  for (int i = 0; i < 100000; ++i) {
    float x[lanes], y[lanes];
    for (float &v : x)
      v = uniform(engine);
    store(y, fn(load(x)));
    for (int j = 0; j < lanes; ++j) {
      double expected = exact(double(x[j]));
      double size = std::fmax(std::fabs(expected), floor);
      double ulp = std::ldexp(1.0, std::max(std::ilogb(size) - 23, -149));
      worst = std::fmax(worst, std::fabs(y[j] - expected) / ulp);
    }
  }
  return worst;
}

TEST(Math, ExpWithinTwoUlp) {
  auto fn = [](f32x16 x) { return cpu::exp(x); };
  auto exact = [](double x) { return std::exp(x); };
  EXPECT_LT(worst_ulp(fn, exact, -1, 1, 0), 2.0);
  EXPECT_LT(worst_ulp(fn, exact, -103, 88.7f, 0), 2.0);
}

TEST(Math, SoftmaxWeightsWithinTwoUlp) {
  auto fn = [](f32x16 x) { return exp_weight(x); };
  auto exact = [](double x) { return std::exp(x); };
  EXPECT_LT(worst_ulp(fn, exact, -87, 0, 0), 2.0);
  EXPECT_EQ(1.0f, exp_weight(splat(0.0f))[0]);
  for (float x : {-87.1f, -104.0f, -1e30f, -infinity})
    EXPECT_EQ(0.0f, exp_weight(splat(x))[0]) << x;
  EXPECT_TRUE(std::isnan(exp_weight(splat(quiet_nan))[0]));
}

TEST(Math, ActivationsWithinAFewUlp) {
  EXPECT_LT(worst_ulp([](f32x16 x) { return silu(x); },
                      [](double x) { return x / (1 + std::exp(-x)); }, -80, 80,
                      0),
            4.0);
  EXPECT_LT(worst_ulp([](f32x16 x) { return cpu::sigmoid(x); },
                      [](double x) { return 1 / (1 + std::exp(-x)); }, -80, 80,
                      0),
            4.0);
  EXPECT_LT(worst_ulp([](f32x16 x) { return cpu::tanh(x); },
                      [](double x) { return std::tanh(x); }, -10, 10, 0),
            3.0);
  EXPECT_LT(worst_ulp([](f32x16 x) { return cpu::erf(x); },
                      [](double x) { return std::erf(x); }, -5, 5, 0),
            3.0);
  // 1 + tanh and 1 + erf cancel for large negative x: an absolute bound there.
  EXPECT_LT(worst_ulp([](f32x16 x) { return gelu(x); },
                      [](double x) {
                        return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5)));
                      },
                      -6, 6, 1.0f),
            4.0);
  EXPECT_LT(worst_ulp([](f32x16 x) { return gelu_tanh(x); },
                      [](double x) {
                        double inner =
                            std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
                        return 0.5 * x * (1 + std::tanh(inner));
                      },
                      -6, 6, 1.0f),
            4.0);
}

TEST(Math, ExtremeValues) {
  EXPECT_EQ(0.0f, cpu::exp(splat(-infinity))[0]);
  EXPECT_EQ(0.0f, cpu::exp(splat(-200.0f))[0]);
  EXPECT_EQ(infinity, cpu::exp(splat(infinity))[0]);
  EXPECT_EQ(infinity, cpu::exp(splat(88.8f))[0]);
  EXPECT_EQ(1.0f, cpu::exp(splat(0.0f))[0]);
  EXPECT_EQ(1.0f, cpu::tanh(splat(infinity))[0]);
  EXPECT_EQ(-1.0f, cpu::tanh(splat(-infinity))[0]);
  EXPECT_EQ(1.0f, cpu::erf(splat(infinity))[0]);
  EXPECT_EQ(-1.0f, cpu::erf(splat(-infinity))[0]);
  EXPECT_EQ(0.0f, silu(splat(-1000.0f))[0]);
  EXPECT_EQ(1000.0f, silu(splat(1000.0f))[0]);
  EXPECT_EQ(0.0f, relu(splat(-1.0f))[0]);
  for (auto fn :
       {+[](f32x16 x) { return cpu::exp(x); },
        +[](f32x16 x) { return cpu::tanh(x); },
        +[](f32x16 x) { return cpu::erf(x); },
        +[](f32x16 x) { return silu(x); }, +[](f32x16 x) { return gelu(x); },
        +[](f32x16 x) { return gelu_tanh(x); },
        +[](f32x16 x) { return relu(x); }})
    EXPECT_TRUE(std::isnan(fn(splat(quiet_nan))[3]));
}

} // namespace
