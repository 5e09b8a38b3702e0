// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Linears of every storage type, partner layout and number of tokens against
// plain dot products in double.
#include "kernels/cpu/linear.h"
#include "kernels/cpu/pointwise.h"
#include "segments.h"

#include <gtest/gtest.h>

using namespace fdpp;
using namespace fdpp::cpu;
using namespace fdpp::test;

namespace {

template <class E, class Prologue>
Outputs run_by(Tiling tiling, int threads, int tokens, const Prologue &rows,
               const std::vector<E> &packed) {
  Outputs first(size_t(tokens) * 72, quiet_nan),
      second(size_t(tokens) * 37, quiet_nan),
      third(size_t(tokens) * 100, quiet_nan);
  Scratch scratch(
      size_t(linear_scratch_bytes(tokens, Prologue::columns, threads)));
  on_team(threads, [&](Team &team) {
    linear_by(tiling, team, tokens, rows, packed.data(), scratch.data(),
              First{first.data()}, Second{second.data()}, Third{third.data()});
  });
  EXPECT_TRUE(scratch.intact());
  return side_by_side(first, second, third, tokens);
}

template <class V, class E, class Prologue>
Outputs run(int threads, int tokens, const Prologue &rows,
            const std::vector<E> &packed) {
  return run_by(V::tiling, threads, tokens, rows, packed);
}

template <class E, int K> void sweep() {
  std::vector<E> w = random_values<E>(size_t(total_rows) * K, K);
  std::vector<E> packed = pack_weights(w, K, segments);
  constexpr int most = 610; // three blocks, or seven
  std::vector<float> x = random_values<float>(size_t(most) * K, K + 1);
  Rows<K> rows{x.data()};
  std::vector<float> exact = rounded<E>(x);
  Outputs all = run<Prefill, E>(2, most, rows, packed);
  expect_product(all, exact, w, K, most);
  for (int tokens = 1; tokens <= most; tokens += tokens < 20   ? 1
                                                 : tokens < 99 ? 19
                                                               : 101) {
    Outputs expected(all.begin(), all.begin() + tokens * total_rows);
    int threads = tokens % 4 + 1;
    // A token's result depends neither on the variant nor on its neighbours.
    EXPECT_TRUE(
        same_bits(expected, run<Flat, E>(threads, tokens, rows, packed)))
        << tokens;
  }
  for (int threads = 1; threads <= 4; ++threads) {
    Outputs expected(all.begin(), all.begin() + total_rows);
    EXPECT_TRUE(same_bits(expected, run<Gemv, E>(threads, 1, rows, packed)));
  }
}

/// Threads pack neighbouring tiles at the same time, so no tile may write into
/// another: whichever is packed first, the result is the same.
template <class E, int K> void expect_tiles_apart(int tile) {
  const int tokens = 3 * tile - tile / 2; // the last tile is not full
  std::vector<float> x = random_values<float>(size_t(tokens) * K, K);
  const ActivationLayout<E> layout{K, tokens, tile};
  size_t bytes = size_t(linear_scratch_bytes(tokens, K, 1));
  Scratch rising(bytes), falling(bytes);
  auto pack = [&](int i, Scratch &to) {
    int first = i * tile, left = tokens - first;
    pack_tile<E>(Rows<K>{x.data()}, layout, first, left < tile ? left : tile,
                 static_cast<activation_t<E> *>(to.data()));
  };
  for (int i = 0; i < 3; ++i)
    pack(i, rising), pack(2 - i, falling);
  size_t used = size_t(tokens) * activation_steps<E>(K) * 4;
  EXPECT_EQ(0, __builtin_memcmp(rising.data(), falling.data(), used))
      << "k " << K << ", tiles of " << tile;
}

template <int K> void expect_tiles_apart() {
  for (int tile = 1; tile <= 12; ++tile) {
    expect_tiles_apart<float, K>(tile);
    expect_tiles_apart<bf16, K>(tile);
    expect_tiles_apart<f16, K>(tile);
  }
}

TEST(PackTile, WritesNoOther) {
  expect_tiles_apart<1>(), expect_tiles_apart<17>(), expect_tiles_apart<33>();
  expect_tiles_apart<64>(), expect_tiles_apart<611>();
  expect_tiles_apart<2065>();
}

TEST(Linear, F32) { sweep<float, 33>(); }
TEST(Linear, Bf16) { sweep<bf16, 33>(), sweep<bf16, 64>(); }
TEST(Linear, F16) { sweep<f16, 33>(); }
TEST(Linear, OneColumn) { sweep<bf16, 1>(); }
// Longer than one part of the inner dimension.
TEST(Linear, Long) {
  sweep<bf16, 1030>(), sweep<f16, 611>(), sweep<float, 300>();
}

/// Every variant that a tuning table may name gives the same bits.
template <class E, int K> void expect_variants_agree() {
  std::vector<E> packed =
      pack_weights(random_values<E>(size_t(total_rows) * K, K), K, segments);
  constexpr int most = 2 * most_variant + 3;
  std::vector<float> x = random_values<float>(size_t(most) * K, K + 1);
  Rows<K> rows{x.data()};
  Outputs all = run_by(Tiling{1, 0}, 1, most, rows, packed);
  for (int tokens = 1; tokens <= most; ++tokens) {
    Outputs expected(all.begin(), all.begin() + tokens * total_rows);
    // Tiles of the matrix unit have one size.
    for (int tile = 1; tile <= most_variant;
         tile += on_matrix_unit<E> ? most_variant - 1 : 1)
      EXPECT_TRUE(
          same_bits(expected, run_by(Tiling{tile, (tile + tokens) % 5 * 2048},
                                     tokens % 3 + 1, tokens, rows, packed)))
          << tokens << " tokens in tiles of " << tile << ", k " << K;
  }
}

TEST(Linear, VariantsAgree) {
  expect_variants_agree<float, 33>();
  expect_variants_agree<bf16, 1030>();
  expect_variants_agree<f16, 611>();
}

TEST(Linear, MoreThreadsThanPanels) {
  std::vector<bf16> w = random_values<bf16>(total_rows * 33, 1);
  std::vector<float> x = random_values<float>(3 * 33, 2);
  Outputs out =
      run<Flat, bf16>(23, 3, Rows<33>{x.data()}, pack_weights(w, 33, segments));
  expect_product(out, rounded<bf16>(x), w, 33, 3);
}

template <class E> void expect_storage_input() {
  constexpr int k = 70, tokens = 13;
  std::vector<E> w = random_values<E>(size_t(total_rows) * k, 1);
  std::vector<E> x = random_values<E>(size_t(tokens) * k, 2);
  std::vector<float> wide;
  for (E value : x)
    wide.push_back(to_float(value));
  Outputs out = run<Flat, E>(2, tokens, Rows<k, E>{x.data()},
                             pack_weights(w, k, segments));
  expect_product(out, wide, w, k, tokens);
}

TEST(Linear, ReadsRowsOfItsOwnType) {
  expect_storage_input<bf16>();
  expect_storage_input<f16>();
}

/// The norm's own accuracy is pointwise_test's matter: here the linear must see
/// exactly what the norm alone computes, rounded.
template <class E, class Prologue> void expect_prologue(const Prologue &rows) {
  constexpr int k = Prologue::columns;
  std::vector<E> w = random_values<E>(size_t(total_rows) * k, 5);
  std::vector<E> packed = pack_weights(w, k, segments);
  for (int tokens : {1, 7, 31}) {
    std::vector<float> normed(size_t(tokens) * k);
    on_team(1,
            [&](Team &team) { normalize(team, tokens, rows, normed.data()); });
    Outputs out = run<Flat, E>(2, tokens, rows, packed);
    expect_product(out, rounded<E>(normed), w, k, tokens);
  }
}

template <int K> void expect_norms() {
  std::vector<float> x = random_values<float>(31 * K, 3, 5.0f);
  std::vector<float> gamma = random_values<float>(K, 4);
  std::vector<float> beta = random_values<float>(K, 5);
  RmsNorm<K> rms{x.data(), gamma.data(), 1e-5f};
  LayerNorm<K> layer{x.data(), gamma.data(), beta.data(), 1e-5f};
  expect_prologue<bf16>(rms), expect_prologue<f16>(rms);
  expect_prologue<bf16>(layer);
}

TEST(Linear, NormsOnEntry) { expect_norms<48>(), expect_norms<75>(); }

/// Special values spread to the whole row of outputs, and to no other row.
template <class E> void expect_special(float value) {
  constexpr int k = 40, tokens = 9, row = 4;
  std::vector<E> w = random_values<E>(size_t(total_rows) * k, 1);
  for (E &e : w) // no zero, so that infinity stays infinite
    if (to_float(e) == 0)
      e = from_float<E>(1);
  std::vector<float> x = random_values<float>(size_t(tokens) * k, 2);
  x[row * k + 7] = value;
  Outputs out =
      run<Flat, E>(2, tokens, Rows<k>{x.data()}, pack_weights(w, k, segments));
  for (int t = 0; t < tokens; ++t)
    for (int n = 0; n < total_rows; ++n) {
      float got = out[size_t(t) * total_rows + n];
      if (t != row)
        ASSERT_TRUE(std::isfinite(got));
      else if (std::isnan(value))
        ASSERT_TRUE(std::isnan(got));
      else
        ASSERT_TRUE(std::isinf(got));
    }
}

TEST(Linear, SpecialValuesStayInTheirRow) {
  for (float value : {quiet_nan, infinity, -infinity}) {
    expect_special<float>(value);
    expect_special<bf16>(value);
    expect_special<f16>(value);
  }
  expect_special<f16>(1e6f); // rounds to infinity on entry
}

template <class E> void expect_scaled(float scale_x, float scale_w) {
  constexpr int k = 64, tokens = 5;
  std::vector<E> w = random_values<E>(size_t(total_rows) * k, 1, scale_w);
  std::vector<float> x = random_values<float>(tokens * k, 2, scale_x);
  Outputs out =
      run<Flat, E>(1, tokens, Rows<k>{x.data()}, pack_weights(w, k, segments));
  expect_product(out, rounded<E>(x), w, k, tokens);
}

TEST(Linear, LargeAndSmallValues) {
  expect_scaled<float>(1e18f, 1e18f), expect_scaled<float>(1e-18f, 1e-18f);
  expect_scaled<bf16>(1e18f, 1e18f), expect_scaled<bf16>(1e-12f, 1e-12f);
  expect_scaled<f16>(1e3f, 1e3f), expect_scaled<f16>(1e-5f, 1e-5f);
}

} // namespace
