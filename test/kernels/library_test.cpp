// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A library's linear: what is ours of it, around an sgemm that adds in the
// order of k as our own tiles do.
#include "kernels/cpu/library.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/pointwise.h"
#include "segments.h"

#include <atomic>

using namespace fdpp;
using namespace fdpp::test;

namespace {

std::atomic<int> calls{0};

void plain_sgemm(int order, int transpose_a, int transpose_b, int m, int n,
                 int k, float alpha, const float *a, int lda, const float *b,
                 int ldb, float beta, float *c, int ldc) {
  ++calls;
  EXPECT_EQ(order, FDPP_ROW_MAJOR);
  EXPECT_EQ(transpose_a, FDPP_NO_TRANSPOSE);
  EXPECT_EQ(transpose_b, FDPP_NO_TRANSPOSE);
  EXPECT_EQ(alpha, 1.0f);
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      // As in BLAS, what beta = 0 drops may be NaN.
      float sum = beta == 0 ? 0 : beta * c[int64_t(i) * ldc + j];
      for (int p = 0; p < k; ++p)
        sum = std::fma(a[int64_t(i) * lda + p], b[int64_t(p) * ldb + j], sum);
      c[int64_t(i) * ldc + j] = sum;
    }
}

template <class E, class Prologue>
Outputs run(int threads, int tokens, const Prologue &from,
            const std::vector<E> &packed) {
  Outputs first(size_t(tokens) * 72, quiet_nan),
      second(size_t(tokens) * 37, quiet_nan),
      third(size_t(tokens) * 100, quiet_nan);
  constexpr int k = Prologue::columns;
  constexpr int columns =
      (segment_panels(First::segment) + segment_panels(Second::segment) +
       segment_panels(Third::segment)) *
      panel_rows;
  Scratch rows(size_t(tokens) * k * 4), sums(size_t(tokens) * columns * 4);
  Scratch scratch(size_t(library_scratch_bytes(threads)));
  auto *x = static_cast<float *>(rows.data());
  auto *y = static_cast<float *>(sums.data());
  on_team(threads, [&](Team &team) {
    prologue<E>(team, tokens, from, x);
    library_gemm<k, columns>(team, plain_sgemm, tokens, x, packed.data(),
                             scratch.data(), y);
    epilogue(team, tokens, y, First{first.data()}, Second{second.data()},
             Third{third.data()});
  });
  EXPECT_TRUE(rows.intact() && sums.intact() && scratch.intact());
  return side_by_side(first, second, third, tokens);
}

template <class E, class Prologue>
Outputs run_own(int tokens, const Prologue &from,
                const std::vector<E> &packed) {
  Outputs first(size_t(tokens) * 72), second(size_t(tokens) * 37),
      third(size_t(tokens) * 100);
  Scratch scratch(size_t(linear_scratch_bytes(tokens, Prologue::columns, 1)));
  on_team(1, [&](Team &team) {
    linear<Flat>(team, tokens, from, packed.data(), scratch.data(),
                 First{first.data()}, Second{second.data()},
                 Third{third.data()});
  });
  return side_by_side(first, second, third, tokens);
}

/// True if an own linear multiplies and adds in one rounding, in the order of
/// k, as plain_sgemm does.
template <class E> constexpr bool adds_alike() {
#ifdef __FMA__
  return Activation<E>::k_step == 1;
#else
  return false;
#endif
}

template <class E, int K> void sweep() {
  std::vector<E> w = random_values<E>(size_t(total_rows) * K, K);
  std::vector<E> packed = pack_weights(w, K, segments);
  constexpr int most = 35;
  std::vector<float> x = random_values<float>(size_t(most) * K, K + 1);
  std::vector<float> exact = rounded<E>(x);
  for (int tokens : {1, 2, 7, most})
    for (int threads = 1; threads <= 4; ++threads) {
      Rows<K> rows{x.data()};
      Outputs out = run(threads, tokens, rows, packed);
      expect_product(out, exact, w, K, tokens);
      if (adds_alike<E>())
        EXPECT_TRUE(same_bits(run_own(tokens, rows, packed), out))
            << tokens << " tokens, " << threads << " threads, k " << K;
    }
}

TEST(Library, F32) { sweep<float, 33>(), sweep<float, 64>(); }
TEST(Library, Bf16) { sweep<bf16, 33>(), sweep<bf16, 64>(), sweep<bf16, 1>(); }
TEST(Library, F16) { sweep<f16, 33>(); }
// Longer than a block, whose last part is odd.
TEST(Library, Long) {
  sweep<bf16, 2 * library_block_depth + 261>();
  sweep<f16, library_block_depth + 1>();
  sweep<float, library_block_depth>();
}

TEST(Library, MoreThreadsThanPanels) {
  std::vector<bf16> w = random_values<bf16>(total_rows * 33, 1);
  std::vector<float> x = random_values<float>(3 * 33, 2);
  Outputs out = run(23, 3, Rows<33>{x.data()}, pack_weights(w, 33, segments));
  expect_product(out, rounded<bf16>(x), w, 33, 3);
}

/// A linear wider than a block of columns is several calls for each thread.
TEST(Library, TakesBlocksOfColumns) {
  using Wide = Keep<Partner::none, 3 * library_block_columns + 5>;
  constexpr int k = 20, tokens = 3, columns = Wide::columns;
  constexpr int padded = panels_of(columns) * panel_rows;
  std::vector<float> w = random_values<float>(size_t(columns) * k, 1);
  std::vector<float> packed = pack_weights(w, k, {Wide::segment});
  std::vector<float> x = random_values<float>(tokens * k, 2);
  std::vector<float> sums(tokens * padded, quiet_nan), out(tokens * columns);
  Scratch scratch(size_t(library_scratch_bytes(1)));
  calls = 0;
  on_team(1, [&](Team &team) {
    library_gemm<k, padded>(team, plain_sgemm, tokens, x.data(), packed.data(),
                            scratch.data(), sums.data());
    epilogue(team, tokens, sums.data(), Wide{out.data()});
  });
  EXPECT_EQ(calls, 4);
  for (int t = 0; t < tokens; ++t)
    for (int n = 0; n < columns; ++n) {
      Dot dot = reference_dot(x, w, k, t, n);
      ASSERT_NEAR(dot.value, out[size_t(t) * columns + n],
                  (k + 2) * 0x1p-24 * dot.magnitude);
    }
}

/// What the norm alone computes, rounded.
template <class E, class Prologue> void expect_prologue(const Prologue &from) {
  constexpr int k = Prologue::columns, tokens = 7;
  std::vector<float> normed(tokens * k), got(tokens * k, quiet_nan);
  on_team(1, [&](Team &team) { normalize(team, tokens, from, normed.data()); });
  on_team(2, [&](Team &team) { prologue<E>(team, tokens, from, got.data()); });
  EXPECT_TRUE(same_bits(rounded<E>(normed), got));
}

TEST(Library, NormsOnEntry) {
  constexpr int k = 75;
  std::vector<float> x = random_values<float>(7 * k, 3, 5.0f);
  std::vector<float> gamma = random_values<float>(k, 4);
  std::vector<float> beta = random_values<float>(k, 5);
  RmsNorm<k> rms{x.data(), gamma.data(), 1e-5f};
  LayerNorm<k> layer{x.data(), gamma.data(), beta.data(), 1e-5f};
  expect_prologue<f16>(rms), expect_prologue<bf16>(rms);
  expect_prologue<float>(layer), expect_prologue<bf16>(layer);
}

/// A step may want no logits at all.
TEST(Library, NoRows) {
  std::vector<float> packed(4096, 1.0f);
  calls = 0;
  run(2, 0, Rows<4>{nullptr}, packed);
  EXPECT_EQ(calls, 0);
}

} // namespace
