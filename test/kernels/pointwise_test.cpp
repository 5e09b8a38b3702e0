// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Norms, unfused epilogues and the kernels about tokens.
#include "kernels/cpu/kernels.h"
#include "reference.h"
#include "support.h"

#include <gtest/gtest.h>

using namespace fdpp;
using namespace fdpp::cpu;
using namespace fdpp::test;

namespace {

template <int K> void expect_norms(float scale, double epsilon) {
  constexpr int tokens = 7;
  std::vector<float> x = random_values<float>(tokens * K, K, scale);
  std::vector<float> gamma = random_values<float>(K, 1);
  std::vector<float> beta = random_values<float>(K, 2);
  std::vector<float> rms(x.size(), quiet_nan), layer(x.size(), quiet_nan);
  on_team(3, [&](Team &team) {
    rms_norm<K>(team, tokens, x.data(), gamma.data(), float(epsilon),
                rms.data());
    normalize(team, tokens,
              LayerNorm<K>{x.data(), gamma.data(), beta.data(), float(epsilon)},
              layer.data());
  });
  for (int t = 0; t < tokens; ++t) {
    auto r = reference_rms_norm(&x[t * K], gamma.data(), K, float(epsilon));
    auto l = reference_layer_norm(&x[t * K], gamma.data(), beta.data(), K,
                                  float(epsilon));
    for (int i = 0; i < K; ++i) {
      EXPECT_NEAR(r[i], rms[t * K + i], 1e-6 * std::fabs(r[i]) + 1e-30);
      EXPECT_NEAR(l[i], layer[t * K + i], 2e-6 * (std::fabs(l[i]) + 1));
    }
  }
}

TEST(Norms, AgainstDouble) {
  expect_norms<16>(1, 1e-5), expect_norms<576>(30, 1e-5);
  expect_norms<33>(1e-4f, 1e-6), expect_norms<7>(1, 0);
}

TEST(Norms, BroadcastsNaN) {
  std::vector<float> x(2 * 20, 1.0f), gamma(20, 1.0f), out(40);
  x[3] = quiet_nan;
  on_team(1, [&](Team &team) {
    rms_norm<20>(team, 2, x.data(), gamma.data(), 1e-5f, out.data());
  });
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(std::isnan(out[i]));
    EXPECT_NEAR(1.0f, out[20 + i], 1e-5);
  }
}

/// Rotates in place of the linear's epilogue.
struct Rotate {
  static constexpr Partner partner = Partner::half;
  static constexpr int columns = 40, group = 20;
  const float *cosine, *sine;
  float *out;
  template <class V>
  void operator()(V value, V other, int row, int column, int count) const {
    V c = load(cosine + row * 10 + column % 20, count);
    V s = load(sine + row * 10 + column % 20, count);
    store(out + row * 40 + column, value * c - other * s, count);
    store(out + row * 40 + column + 10, other * c + value * s, count);
  }
};

TEST(Pointwise, RotaryHalves) {
  constexpr int tokens = 5;
  std::vector<float> x = random_values<float>(tokens * 40, 1);
  std::vector<float> cosine(tokens * 10, quiet_nan), sine = cosine,
                                                     out(x.size(), quiet_nan);
  std::vector<int32_t> positions = {0, 1, 17, 8191, 131071};
  std::vector<float> inv_freq(10);
  for (int i = 0; i < 10; ++i)
    inv_freq[i] = float(std::pow(10000.0, -i / 10.0));
  on_team(2, [&](Team &team) {
    rope_table<10>(team, tokens, positions.data(), inv_freq.data(),
                   cosine.data(), sine.data());
    pointwise(team, tokens, x.data(),
              Rotate{cosine.data(), sine.data(), out.data()});
  });
  for (int t = 0; t < tokens; ++t)
    for (int head = 0; head < 2; ++head)
      for (int i = 0; i < 10; ++i) {
        double angle = float(positions[t]) * inv_freq[i];
        EXPECT_NEAR(std::cos(angle), cosine[t * 10 + i], 1e-7);
        EXPECT_NEAR(std::sin(angle), sine[t * 10 + i], 1e-7);
        double lo = x[t * 40 + head * 20 + i],
               hi = x[t * 40 + head * 20 + 10 + i];
        EXPECT_NEAR(lo * std::cos(angle) - hi * std::sin(angle),
                    out[t * 40 + head * 20 + i], 2e-6);
        EXPECT_NEAR(hi * std::cos(angle) + lo * std::sin(angle),
                    out[t * 40 + head * 20 + 10 + i], 2e-6);
      }
}

struct Glu {
  static constexpr Partner partner = Partner::gate_up;
  static constexpr int columns = 21;
  bf16 *out;
  template <class V>
  void operator()(V gate, V up, int row, int column, int count) const {
    store(out + row * 21 + column, silu(gate) * up, count);
  }
};

TEST(Pointwise, GatedUnit) {
  std::vector<bf16> x = random_values<bf16>(3 * 42, 1);
  std::vector<bf16> out(3 * 21);
  on_team(2,
          [&](Team &team) { pointwise(team, 3, x.data(), Glu{out.data()}); });
  for (int t = 0; t < 3; ++t)
    for (int i = 0; i < 21; ++i) {
      double gate = to_float(x[t * 42 + i]), up = to_float(x[t * 42 + 21 + i]);
      double expected = gate / (1 + std::exp(-gate)) * up;
      EXPECT_NEAR(expected, to_float(out[t * 21 + i]),
                  std::fabs(expected) * 0x1p-8);
    }
}

TEST(Tokens, SlotsFollowTheStepAbi) {
  // Three sequences of 2, 0 and 3 tokens; pages of 16 slots.
  std::vector<int32_t> offsets = {0, 2, 2, 5}, context = {17, 9, 3};
  std::vector<int32_t> pages = {7, 4, 1, 0, 2, 0}, slots(5, -1);
  Batch batch{3, offsets.data(), context.data(), pages.data(), 2};
  on_team(2, [&](Team &team) { token_slots<16>(team, batch, slots.data()); });
  EXPECT_EQ((std::vector<int32_t>{7 * 16 + 15, 4 * 16, 2 * 16, 2 * 16 + 1,
                                  2 * 16 + 2}),
            slots);
}

template <class E> void expect_embedding() {
  constexpr int width = 37, vocabulary = 50;
  std::vector<E> table = random_values<E>(vocabulary * width, 1);
  std::vector<E> packed =
      pack_weights(table, width, {{Partner::none, vocabulary, 0}});
  std::vector<int32_t> tokens = {0, 49, 17, 16, 15};
  std::vector<float> rows(5 * width), gathered(5 * width);
  on_team(3, [&](Team &team) {
    embed<Table::rows, width>(team, 5, tokens.data(), table.data(), rows.data(),
                              1.5f);
    embed<Table::packed, width>(team, 5, tokens.data(), packed.data(),
                                gathered.data(), 1.5f);
  });
  for (int t = 0; t < 5; ++t)
    for (int i = 0; i < width; ++i)
      EXPECT_EQ(1.5f * to_float(table[tokens[t] * width + i]),
                rows[t * width + i]);
  EXPECT_EQ(rows, gathered);
}

TEST(Tokens, EmbeddingFromRowsAndFromTheHead) {
  expect_embedding<float>(), expect_embedding<bf16>(), expect_embedding<f16>();
}

TEST(Tokens, SelectRows) {
  std::vector<float> x = random_values<float>(6 * 5, 1), out(3 * 5);
  std::vector<int32_t> rows = {5, 0, 5};
  on_team(2, [&](Team &team) {
    select_rows<5>(team, 3, rows.data(), x.data(), out.data());
  });
  for (int r = 0; r < 3; ++r)
    for (int i = 0; i < 5; ++i)
      EXPECT_EQ(x[rows[r] * 5 + i], out[r * 5 + i]);
}

} // namespace
