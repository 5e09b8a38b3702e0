// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The asynchronous softmax against the exact one over the same logits, within
// the bound that docs/numerics.md states, and which rows were recomputed.
// Mistakes in the rule of valid rows are told from the rule by the same checks.
#include "attention_step.h"
#include "row_bound.h"

using namespace fdpp;
using namespace fdpp::cpu;
using namespace fdpp::test;

namespace {

//===----------------------------------------------------------------------===//
// Mistakes in the rule.
//===----------------------------------------------------------------------===//

/// One least denominator for every format.
template <class P> struct FixedThreshold : AsyncSoftmax<P> {
  static bool valid(float denominator, bool finite) {
    return denominator >= 0x1p-84f && denominator < infinity && finite;
  }
};
/// Denominators of terms that were not rounded.
template <class P> struct UnroundedSum : AsyncSoftmax<P> {
  using weights = UnroundedSum;
  static f32x16 summed(f32x16 exact, f32x16) { return exact; }
};
/// The same with a threshold that such sums pass.
template <class P> struct UnroundedSmallSum : UnroundedSum<P> {
  static bool valid(float denominator, bool finite) {
    return denominator >= 0x1p-84f && denominator < infinity && finite;
  }
};
/// Numerators may be infinite.
template <class P> struct NoNumerators : AsyncSoftmax<P> {
  static bool valid(float denominator, bool) {
    return AsyncSoftmax<P>::valid(denominator, true);
  }
};
/// Infinite denominators pass.
template <class P> struct NoCeiling : AsyncSoftmax<P> {
  static bool valid(float denominator, bool) {
    return denominator >= AsyncSoftmax<P>::least_sum;
  }
};

//===----------------------------------------------------------------------===//
// One token of one sequence, one head, logits as wished.
//===----------------------------------------------------------------------===//

constexpr int page = 64, dims = 16;
using Lone = Step<float, 1, 1, dims, page>;

/// Dimension 0 of keys are `logits`; the query is `factor` there and 0
/// elsewhere, so that logits are exact.
Lone lone_row(const std::vector<float> &logits, float factor,
              const std::vector<float> &values) {
  Lone step({{1, int(logits.size())}}, 1.0f, 1);
  std::vector<float> keys(logits.size() * dims, 0.0f);
  for (size_t j = 0; j < logits.size(); ++j)
    keys[j * dims] = logits[j];
  step.store(0, keys, values);
  std::fill(step.query.begin(), step.query.end(), 0.0f);
  step.query[0] = factor;
  return step;
}

RowBound bound_of(const Lone &step) {
  const AttentionReference &reference = step.heads[0];
  std::vector<double> logits;
  for (const std::vector<double> &key : reference.keys)
    logits.push_back(key[0] * double(step.query[0]));
  return {std::move(logits), reference.values, page};
}

/// True if the asynchronous softmax agrees with the exact one within the bound
/// wherever that is finite, and recomputes `recomputed` rows (any number if
/// below 0). Logits are `shift` larger than the bound's.
template <class P, class Softmax>
bool agrees(Lone &step, const RowBound &bound, double phi, int recomputed,
            double shift = 0) {
  std::vector<uint64_t> counts;
  std::vector<float> exact = step.decode(2, {1.0f});
  std::vector<float> got =
      step.async<P, Softmax>(2, {1.0f}, {float(phi)}, &counts);
  bool right = recomputed < 0 || counts[0] == uint64_t(recomputed);
  for (int d = 0; d < dims; ++d)
    if (std::isfinite(exact[d]))
      right &=
          std::fabs(double(got[d]) - exact[d]) <= bound.at<P>(d, phi, shift);
  return right;
}

/// What the rule says of n logits that are x above phi: 1 if recomputed, -1
/// where the sum's own rounding decides, or the values.
template <class P> int fails_uniform(int n, double x) {
  double p = x < -87 ? 0 : to_float(from_float<P>(float(std::exp(x))));
  double sum = n * p;
  if (std::fabs(sum / least<P>() - 1) < 1e-3 ||
      (sum > 0x1p124 && sum < 0x1p129))
    return -1;
  return !(sum >= least<P>() && sum < 0x1p128);
}

template <class P, class Softmax = AsyncSoftmax<P>>
bool uniform_logits_agree() {
  bool right = true;
  for (int n : {1, 64, 4096, 65536}) {
    Lone step = lone_row(std::vector<float>(size_t(n), 1.0f), 0.0f,
                         random_values<float>(size_t(n) * dims, 5));
    RowBound bound = bound_of(step); // of logits 0
    for (int shift = -120; shift <= 120; ++shift) {
      step.query[0] = float(shift);
      bool agreed =
          agrees<P, Softmax>(step, bound, 0, fails_uniform<P>(n, shift), shift);
      if (!agreed && std::is_same_v<Softmax, AsyncSoftmax<P>>)
        ADD_FAILURE() << n << " keys at " << shift;
      right &= agreed;
    }
  }
  return right;
}

TEST(AsyncAttention, UniformLogitsAtEveryShift) {
  EXPECT_TRUE(uniform_logits_agree<float>());
  EXPECT_TRUE(uniform_logits_agree<bf16>());
  EXPECT_TRUE(uniform_logits_agree<f16>());
}

/// 65,536 keys 17.4 below phi: in fp16 every weight rounds to 0, while their
/// unrounded sum is 0.0018.
template <class Softmax> bool vanished_row_agrees() {
  Lone step = lone_row(std::vector<float>(65536, 1.0f), -17.4f,
                       random_values<float>(size_t(65536) * dims, 5));
  return agrees<f16, Softmax>(step, bound_of(step), 0, 1);
}

/// One key far above the others, whose weights are subnormal in fp16: too few
/// bits of them are left.
template <class Softmax> bool subnormal_row_agrees() {
  std::vector<float> logits;
  for (int j = 0; j < 64; ++j)
    logits.push_back(-15.5f - 0.01f * float(j % 7));
  Lone step = lone_row(logits, 1.0f, random_values<float>(64 * dims, 5));
  return agrees<f16, Softmax>(step, bound_of(step), 0, 1);
}

/// Peaked rows, many of whose weights round in one direction.
template <class Softmax> bool peaked_row_agrees() {
  std::vector<float> logits(4096, std::log(1.0f + 0x1.8p-9f)),
      values(size_t(4096) * dims, 1.0f);
  Lone step = lone_row(logits, 1.0f, values);
  return agrees<bf16, Softmax>(step, bound_of(step), 0, 0);
}

/// Numerators overflow while the denominator is fine.
template <class Softmax> bool large_values_agree() {
  Lone step = lone_row({60.0f, 60.0f, 59.0f}, 1.0f,
                       std::vector<float>(3 * dims, 1e15f));
  return agrees<float, Softmax>(step, bound_of(step), 0, 1);
}

template <class Softmax> bool infinite_row_agrees() {
  Lone step = lone_row({900.0f, 60.0f, 901.0f}, 1.0f,
                       random_values<float>(3 * dims, 2));
  return agrees<float, Softmax>(step, bound_of(step), 0, 1);
}

TEST(AsyncAttention, MistakesInTheRuleAreSeen) {
  EXPECT_TRUE(vanished_row_agrees<AsyncSoftmax<f16>>());
  EXPECT_FALSE(vanished_row_agrees<UnroundedSmallSum<f16>>());

  EXPECT_TRUE(subnormal_row_agrees<AsyncSoftmax<f16>>());
  EXPECT_FALSE(subnormal_row_agrees<FixedThreshold<f16>>());

  EXPECT_TRUE(peaked_row_agrees<AsyncSoftmax<bf16>>());
  EXPECT_FALSE(peaked_row_agrees<UnroundedSum<bf16>>());

  EXPECT_TRUE(large_values_agree<AsyncSoftmax<float>>());
  EXPECT_FALSE(large_values_agree<NoNumerators<float>>());

  EXPECT_TRUE(infinite_row_agrees<AsyncSoftmax<float>>());
  EXPECT_FALSE(infinite_row_agrees<NoCeiling<float>>());

  EXPECT_FALSE((uniform_logits_agree<f16, FixedThreshold<f16>>()));
}

/// The first key draws most of the weight (an attention sink) or none of it,
/// beside `others` ordinary ones: a row fails when its weight overflows, or its
/// product with a value, which is at most a few.
template <class P> void attend_to_a_sink(int others) {
  constexpr bool half = std::is_same_v<P, f16>;
  std::vector<float> logits = random_values<float>(size_t(others) + 1, 3);
  std::vector<float> values = random_values<float>(logits.size() * dims, 5);
  for (int sink = -120; sink <= 120; ++sink) {
    logits[0] = float(sink);
    Lone step = lone_row(logits, 1.0f, values);
    int fails = half ? sink > 11 : sink > 88 ? 1 : sink > 85 ? -1 : 0;
    EXPECT_TRUE((agrees<P, AsyncSoftmax<P>>(step, bound_of(step), 0, fails)))
        << others << " keys beside a sink of " << sink;
  }
}

TEST(AsyncAttention, FirstKeyAttractsMost) {
  for (int others : {64, 700}) {
    attend_to_a_sink<float>(others);
    attend_to_a_sink<bf16>(others);
    attend_to_a_sink<f16>(others);
  }
}

//===----------------------------------------------------------------------===//
// Batches.
//===----------------------------------------------------------------------===//

const std::vector<Sequence> ragged = {{1, 1},    {3, 64},  {2, 65}, {1, 700},
                                      {4, 2100}, {0, 100}, {1, 127}};

/// Against softmax in double: logits are good to about 1e-5 here, and the
/// values' spread is about 1.
template <class P> double benign_bound() { return 2e-5 + 2 * rounding<P>(); }

template <class P, class E, int QueryHeads, int KvHeads, int HeadDim>
void sweep(AttentionOptions options) {
  options.scale *= 1 / std::sqrt(float(HeadDim));
  Step<E, QueryHeads, KvHeads, HeadDim, 64> step(ragged, 1.5f, HeadDim);
  // fp16 wants phi just below the rows' maxima; some rows fail all the same.
  std::vector<float> phi(QueryHeads, std::is_same_v<P, f16> ? -2.0f : 0.0f);
  std::vector<uint64_t> counts, again;
  std::vector<float> out = step.template async<P>(1, options, phi, &counts);
  step.expect(out, options, benign_bound<P>());
  for (int threads : {2, 4}) {
    EXPECT_EQ(out, step.template async<P>(threads, options, phi, &again));
    EXPECT_EQ(counts, again);
  }
  if (!std::is_same_v<P, f16>) {
    EXPECT_EQ(counts, std::vector<uint64_t>(QueryHeads, 0));
  }
}

TEST(AsyncAttention, GroupedQueries) {
  sweep<float, bf16, 9, 3, 64>({1.0f});
  sweep<bf16, bf16, 9, 3, 64>({1.0f});
  sweep<f16, f16, 9, 3, 64>({1.0f});
}
TEST(AsyncAttention, OddHeads) { sweep<float, f16, 29, 1, 33>({1.0f}); }
TEST(AsyncAttention, Window) {
  sweep<float, bf16, 4, 2, 64>({1.0f, 70});
  sweep<bf16, float, 4, 2, 13>({1.0f, 1});
  sweep<f16, bf16, 4, 2, 64>({1.0f, 200});
}
TEST(AsyncAttention, Softcap) {
  sweep<float, bf16, 4, 2, 64>({1.0f, 0, 5.0f});
  sweep<f16, bf16, 4, 2, 64>({1.0f, 0, 5.0f});
}

/// Rows of 4 heads over 6 tokens of 2 sequences.
using Batched = Step<float, 4, 2, 16, 64>;
Batched batched() { return Batched({{2, 300}, {1, 40}, {3, 1500}}, 1.0f, 3); }
constexpr AttentionOptions plain{0.25f};

TEST(AsyncAttention, RowsOfHeadsWithoutPhiAreExactAndNotCounted) {
  Batched step = batched();
  std::vector<float> exact = step.decode(2, plain);
  std::vector<uint64_t> counts;
  EXPECT_EQ(exact, step.async<float>(2, plain, {}, &counts));
  EXPECT_EQ(counts, std::vector<uint64_t>(4, 0));
  std::vector<float> nan(4, quiet_nan);
  EXPECT_EQ(exact, step.async<f16>(2, plain, nan, &counts));
  EXPECT_EQ(counts, std::vector<uint64_t>(4, 0));
  // Head 2 alone has a phi; the others keep their bits.
  nan[2] = 0.5f;
  std::vector<float> one = step.async<float>(2, plain, nan, &counts);
  for (size_t i = 0; i < one.size(); ++i)
    if (i / 16 % 4 != 2)
      EXPECT_EQ(one[i], exact[i]);
  EXPECT_EQ(counts, std::vector<uint64_t>(4, 0));
  step.expect(one, plain, 2e-5);
}

TEST(AsyncAttention, PhiWrongForAHeadRecomputesItsRowsAlone) {
  for (float wrong : {100.0f, -100.0f}) {
    Batched step = batched();
    std::vector<float> exact = step.decode(2, plain);
    std::vector<uint64_t> counts;
    std::vector<float> out =
        step.async<float>(2, plain, {0.0f, wrong, 0.0f, 0.0f}, &counts);
    EXPECT_EQ(counts, (std::vector<uint64_t>{0, 6, 0, 0}));
    // A recomputed row has the bits of the exact softmax.
    for (size_t i = 0; i < out.size(); ++i)
      if (i / 16 % 4 == 1)
        EXPECT_EQ(out[i], exact[i]);
    step.expect(out, plain, 2e-5);
  }
}

TEST(AsyncAttention, OneRowOfLargeLogitsIsRecomputedAlone) {
  Batched step = batched();
  // Token 4, head 3: logits to 10^3 and more.
  for (int d = 0; d < 16; ++d)
    step.query[size_t(4 * 4 + 3) * 16 + d] *= 1000.0f;
  std::vector<float> exact = step.decode(2, plain);
  std::vector<uint64_t> counts;
  for (int threads : {1, 3}) {
    std::vector<float> out =
        step.async<float>(threads, plain, std::vector<float>(4, 0.0f), &counts);
    EXPECT_EQ(counts, (std::vector<uint64_t>{0, 0, 0, 1}));
    for (int d = 0; d < 16; ++d)
      EXPECT_EQ(out[size_t(4 * 4 + 3) * 16 + d],
                exact[size_t(4 * 4 + 3) * 16 + d]);
  }
}

TEST(AsyncAttention, NaNReachesItsRowsOnly) {
  Batched step = batched();
  step.query[size_t(1) * 64 + 2 * 16 + 5] = quiet_nan; // token 1, head 2
  std::vector<float> out =
      step.async<float>(2, plain, std::vector<float>(4, 0.0f));
  for (size_t i = 0; i < out.size(); ++i)
    EXPECT_EQ(i / 16 == 1 * 4 + 2, bool(std::isnan(out[i]))) << i;
}

//===----------------------------------------------------------------------===//
// Many tokens a sequence.
//===----------------------------------------------------------------------===//

Batched prompts() { return Batched({{70, 300}, {1, 40}, {150, 150}}, 1.0f, 4); }

template <class P> void prompts_agree(double bound) {
  Batched step = prompts();
  std::vector<uint64_t> counts;
  for (AttentionOptions options :
       {plain, AttentionOptions{0.25f, 20}, AttentionOptions{0.25f, 0, 3.0f}}) {
    for (int threads : {1, 3})
      step.expect(step.async_prefill<P>(threads, options,
                                        std::vector<float>(4, 0.5f), &counts),
                  options, bound);
    EXPECT_EQ(counts, std::vector<uint64_t>(4, 0));
  }
}

TEST(AsyncPrefill, AgreesWithTheReference) {
  prompts_agree<float>(2e-5);
  prompts_agree<bf16>(3e-2);
}

TEST(AsyncPrefill, HeadsWithoutPhiAreExactAndNotCounted) {
  Batched step = prompts();
  std::vector<float> exact = step.prefill(2, plain);
  std::vector<uint64_t> counts;
  EXPECT_EQ(exact, step.async_prefill<float>(2, plain, {}, &counts));
  EXPECT_EQ(exact, step.async_prefill<f16>(2, plain, std::vector(4, quiet_nan),
                                           &counts));
  EXPECT_EQ(counts, std::vector<uint64_t>(4, 0));
}

TEST(AsyncPrefill, FailedRowsHaveTheBitsOfTheExactSoftmax) {
  Batched step = prompts();
  std::vector<float> exact = step.prefill(2, plain);
  std::vector<uint64_t> counts;
  for (float wrong : {100.0f, -100.0f}) {
    EXPECT_EQ(exact, step.async_prefill<float>(3, plain, std::vector(4, wrong),
                                               &counts));
    EXPECT_EQ(counts, std::vector<uint64_t>(4, 221));
    std::vector<float> out =
        step.async_prefill<float>(2, plain, {0.0f, wrong, 0.0f, 0.0f}, &counts);
    EXPECT_EQ(counts, (std::vector<uint64_t>{0, 221, 0, 0}));
    step.expect(out, plain, 2e-5);
    for (size_t i = 0; i < out.size(); ++i)
      if (i / 16 % 4 == 1)
        ASSERT_EQ(out[i], exact[i]);
  }
}

TEST(AsyncPrefill, OneRowOfLargeLogitsIsRecomputedAlone) {
  Batched step = prompts();
  size_t row = size_t(100) * 4 + 3; // token 100, head 3
  for (int d = 0; d < 16; ++d)
    step.query[row * 16 + d] *= 1000.0f;
  std::vector<float> exact = step.prefill(2, plain);
  std::vector<uint64_t> counts;
  std::vector<float> out =
      step.async_prefill<float>(2, plain, std::vector<float>(4, 0.0f), &counts);
  EXPECT_EQ(counts, (std::vector<uint64_t>{0, 0, 0, 1}));
  for (size_t d = 0; d < 16; ++d)
    EXPECT_EQ(out[row * 16 + d], exact[row * 16 + d]);
  // Without the test of its rows it would be wrong.
  struct Untested : AsyncSoftmax<float> {
    static bool valid(float, bool) { return true; }
  };
  out = step.async_prefill<float, Untested>(2, plain,
                                            std::vector<float>(4, 0.0f));
  EXPECT_NE(out[row * 16], exact[row * 16]);
}

//===----------------------------------------------------------------------===//
// Anything goes.
//===----------------------------------------------------------------------===//

/// A row with random phi, spread of logits and size of values.
template <class P, class Softmax> bool fuzzed_row_agrees(std::mt19937 &engine) {
  auto pick = [&](auto... items) {
    float list[] = {float(items)...};
    return list[engine() % sizeof...(items)];
  };
  int n = int(pick(1, 2, 17, 64, 129, 700));
  float spread = pick(0, 0.1, 1, 10, 100, 1000),
        centre = pick(0, 0, 5, -80, 300);
  float size = pick(0, 1e-30, 1e-3, 1, 1e4, 1e15, 1e30, 3e38);
  float phi = pick(0, 0, 1, -7, 12, -57, 63, 90, -100, 400, -400, 1e5, -1e30);
  std::uniform_real_distribution<float> unit(-1.0f, 1.0f);
  std::vector<float> logits, values;
  for (int j = 0; j < n; ++j)
    logits.push_back(centre + spread * unit(engine));
  for (int i = 0; i < n * dims; ++i)
    values.push_back(size * unit(engine));
  Lone step = lone_row(logits, 1.0f, values);
  return agrees<P, Softmax>(step, bound_of(step), phi, -1);
}

template <class P, class Softmax = AsyncSoftmax<P>> int fuzzed_mismatches() {
  std::mt19937 engine(11);
  int wrong = 0;
  for (int i = 0; i < 500; ++i)
    wrong += !fuzzed_row_agrees<P, Softmax>(engine);
  return wrong;
}

TEST(AsyncAttention, FuzzedRowsAgreeAndAreFinite) {
  EXPECT_EQ(fuzzed_mismatches<float>(), 0);
  EXPECT_EQ(fuzzed_mismatches<bf16>(), 0);
  EXPECT_EQ(fuzzed_mismatches<f16>(), 0);
  EXPECT_GT((fuzzed_mismatches<float, NoNumerators<float>>()), 0);
  EXPECT_GT((fuzzed_mismatches<f16, FixedThreshold<f16>>()), 0);
  EXPECT_GT((fuzzed_mismatches<f16, UnroundedSmallSum<f16>>()), 0);
}

} // namespace
