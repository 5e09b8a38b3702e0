// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prefill and decode attention over shuffled pages of ragged batches, against
// plain softmax in double. Everything in the cache that no token wrote is NaN.
#include "kernels/cpu/kernels.h"
#include "reference.h"
#include "support.h"

#include <gtest/gtest.h>

using namespace fdpp;
using namespace fdpp::cpu;
using namespace fdpp::test;

namespace {

struct Sequence {
  int tokens, context;
};

/// A step over a cache filled by the cache's own store functions, through
/// pointwise epilogues.
template <class E, int QueryHeads, int KvHeads, int HeadDim, int PageTokens>
struct Step {
  using KvCache = Cache<E, KvHeads, HeadDim, PageTokens>;
  static constexpr int layer = 1, group = QueryHeads / KvHeads;
  static constexpr int kv_width = KvHeads * HeadDim;

  struct StoreKey {
    static constexpr Partner partner = Partner::none;
    static constexpr int columns = kv_width;
    KvCache cache;
    const int32_t *slots;
    template <class V>
    void operator()(V value, V, int row, int column, int count) const {
      kv_store_key_columns(cache, layer, slots[row], column, value, count);
    }
  };
  struct StoreValue {
    static constexpr Partner partner = Partner::none;
    static constexpr int columns = kv_width;
    KvCache cache;
    const int32_t *slots;
    template <class V>
    void operator()(V value, V, int row, int column, int count) const {
      kv_store_value_columns(cache, layer, slots[row], column, value, count);
    }
  };

  std::vector<int32_t> offsets{0}, context, pages;
  int max_pages = 0, num_pages = 0, tokens = 0;
  std::vector<E> memory;
  std::vector<float> query;
  std::vector<AttentionReference> heads; // [sequence][kv head]

  Step(const std::vector<Sequence> &sequences, float spread, unsigned seed) {
    for (const Sequence &s : sequences) {
      tokens += s.tokens;
      offsets.push_back(tokens);
      context.push_back(s.context);
      max_pages =
          std::max(max_pages, (s.context + PageTokens - 1) / PageTokens);
      num_pages += (s.context + PageTokens - 1) / PageTokens;
    }
    num_pages += 3;
    memory.assign(size_t(2 * num_pages) *
                      cache_page_elements(KvHeads, HeadDim, PageTokens),
                  from_float<E>(quiet_nan));
    std::vector<int32_t> order(static_cast<size_t>(num_pages));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(seed));
    pages.assign(sequences.size() * max_pages, -1);
    for (size_t s = 0, next = 0; s < sequences.size(); ++s) {
      int used = (sequences[s].context + PageTokens - 1) / PageTokens;
      for (int p = 0; p < used; ++p)
        pages[s * max_pages + p] = order[next++];
      fill(int(s), spread, seed + unsigned(s));
    }
    query = random_values<float>(size_t(tokens) * QueryHeads * HeadDim,
                                 seed + 99, spread);
  }

  Batch batch() const {
    return {int(context.size()), offsets.data(), context.data(), pages.data(),
            max_pages};
  }
  KvCache cache() { return {memory.data(), num_pages}; }

  void fill(int s, float spread, unsigned seed) {
    int count = context[s];
    auto keys = random_values<float>(size_t(count) * kv_width, seed, spread);
    auto values = random_values<float>(size_t(count) * kv_width, seed + 1);
    std::vector<int32_t> slots;
    for (int j = 0; j < count; ++j)
      slots.push_back(pages[s * max_pages + j / PageTokens] * PageTokens +
                      j % PageTokens);
    on_team(2, [&](Team &team) {
      pointwise(team, count, keys.data(), StoreKey{cache(), slots.data()});
      pointwise(team, count, values.data(), StoreValue{cache(), slots.data()});
    });
    for (int h = 0; h < KvHeads; ++h) {
      AttentionReference reference;
      for (int j = 0; j < count; ++j) {
        reference.keys.push_back(head_row(keys, j, h));
        reference.values.push_back(head_row(values, j, h));
      }
      heads.push_back(reference);
    }
  }

  static std::vector<double> head_row(const std::vector<float> &from, int row,
                                      int head, int width = kv_width) {
    std::vector<double> out;
    for (int d = 0; d < HeadDim; ++d)
      out.push_back(to_float(
          from_float<E>(from[size_t(row) * width + head * HeadDim + d])));
    return out;
  }

  /// Compares out[T][QueryHeads * HeadDim]. Logits are exact to about 1e-6 of
  /// their size, which is what the spread of the data makes it.
  void expect(const std::vector<float> &out, const AttentionOptions &options,
              double bound) {
    for (size_t s = 0; s < context.size(); ++s)
      for (int t = offsets[s]; t < offsets[s + 1]; ++t)
        for (int h = 0; h < QueryHeads; ++h) {
          AttentionReference &reference = heads[s * KvHeads + h / group];
          reference.scale = options.scale;
          reference.softcap = options.softcap;
          int last = context[s] - (offsets[s + 1] - t) + 1;
          int first =
              options.window > 0 ? std::max(0, last - options.window) : 0;
          auto row = reference.row(head_row(query, t, h, QueryHeads * HeadDim),
                                   first, last);
          for (int d = 0; d < HeadDim; ++d)
            ASSERT_NEAR(row[d], out[(size_t(t) * QueryHeads + h) * HeadDim + d],
                        bound)
                << "sequence " << s << " token " << t << " head " << h
                << " dim " << d;
        }
  }

  std::vector<float> prefill(int threads, const AttentionOptions &options) {
    std::vector<float> out(query.size(), quiet_nan);
    on_team(threads, [&](Team &team) {
      prefill_attention<QueryHeads>(team, batch(), layer, query.data(), cache(),
                                    options, out.data());
    });
    return out;
  }

  std::vector<float> decode(int threads, const AttentionOptions &options) {
    int most = 0;
    for (size_t s = 0; s < context.size(); ++s)
      most = std::max(most, int(offsets[s + 1] - offsets[s]));
    Scratch scratch(size_t(decode_attention_scratch_bytes(
        int(context.size()), QueryHeads, HeadDim, most)));
    std::vector<float> out(query.size(), quiet_nan);
    on_team(threads, [&](Team &team) {
      decode_attention<QueryHeads>(team, batch(), layer, query.data(), cache(),
                                   options, scratch.data(), out.data());
    });
    EXPECT_TRUE(scratch.intact());
    return out;
  }
};

const std::vector<Sequence> ragged = {{1, 1},    {3, 64},  {2, 65}, {1, 700},
                                      {5, 2100}, {0, 100}, {1, 127}};

template <class E, int QueryHeads, int KvHeads, int HeadDim,
          int PageTokens = 64>
void sweep(AttentionOptions options) {
  options.scale *= 1 / std::sqrt(float(HeadDim));
  Step<E, QueryHeads, KvHeads, HeadDim, PageTokens> step(ragged, 1.5f, HeadDim);
  std::vector<float> decoded = step.decode(1, options);
  step.expect(decoded, options, 2e-5);
  // The split into pieces must not depend on the team.
  EXPECT_EQ(decoded, step.decode(2, options));
  EXPECT_EQ(decoded, step.decode(4, options));
  for (int threads : {1, 3}) {
    SCOPED_TRACE(threads);
    step.expect(step.prefill(threads, options), options, 2e-5);
  }
}

TEST(Attention, GroupedQueries) { sweep<bf16, 9, 3, 64>({1.0f}); }
TEST(Attention, OneHeadEach) { sweep<float, 3, 3, 80>({1.0f}); }
TEST(Attention, WideHeads) { sweep<bf16, 8, 2, 128>({1.0f}); }
TEST(Attention, MoreRowsThanABlockAndOddHeads) {
  sweep<f16, 29, 1, 33, 48>({1.0f});
}
TEST(Attention, OddPairs) { sweep<bf16, 4, 2, 13, 16>({1.0f}); }
TEST(Attention, Window) {
  sweep<bf16, 4, 2, 64>({1.0f, 70}), sweep<bf16, 4, 2, 13, 16>({1.0f, 1});
}
TEST(Attention, Softcap) { sweep<bf16, 4, 2, 64>({1.0f, 0, 5.0f}); }

TEST(Attention, ChunksEqualTheWhole) {
  using Whole = Step<bf16, 6, 2, 64, 64>;
  Whole whole({{150, 150}}, 1.0f, 7);
  AttentionOptions options{0.125f};
  std::vector<float> expected = whole.prefill(2, options);
  whole.expect(expected, options, 2e-5);
  // The last 37 tokens again, as a step of their own over the same cache.
  constexpr int chunk = 37, width = 6 * 64;
  whole.offsets = {0, chunk};
  whole.query.erase(whole.query.begin(),
                    whole.query.end() - size_t(chunk) * width);
  std::vector<float> tail = whole.prefill(2, options);
  for (size_t i = 0; i < tail.size(); ++i)
    ASSERT_NEAR(expected[expected.size() - tail.size() + i], tail[i], 1e-6);
}

TEST(Attention, LargeLogitsStayFinite) {
  // Logits in the tens of thousands: exp would overflow without the maximum.
  Step<float, 2, 1, 80, 64> step({{2, 600}, {1, 33}}, 30.0f, 3);
  for (float value : step.decode(2, {1.0f}))
    EXPECT_TRUE(std::isfinite(value));
  for (float value : step.prefill(2, {1.0f}))
    EXPECT_TRUE(std::isfinite(value));
}

TEST(Attention, NaNReachesItsRowsOnly) {
  Step<bf16, 4, 2, 64, 64> step({{2, 300}}, 1.0f, 3);
  step.query[size_t(1) * 4 * 64 + 2 * 64 + 5] = quiet_nan; // token 1, head 2
  for (const std::vector<float> &out :
       {step.decode(2, {0.2f}), step.prefill(2, {0.2f})})
    for (int row = 0; row < 8; ++row)
      for (int d = 0; d < 64; ++d)
        EXPECT_EQ(row == 6, bool(std::isnan(out[size_t(row) * 64 + d]))) << row;
}

TEST(Attention, StoresRoundToTheOutputType) {
  Step<bf16, 4, 2, 64, 64> step({{1, 300}, {4, 40}}, 1.0f, 3);
  AttentionOptions options{0.2f};
  std::vector<float> wide = step.prefill(2, options);
  std::vector<bf16> out(wide.size());
  on_team(2, [&](Team &team) {
    prefill_attention<4>(team, step.batch(), step.layer, step.query.data(),
                         step.cache(), options, out.data());
  });
  for (size_t i = 0; i < out.size(); ++i)
    EXPECT_EQ(to_bf16(wide[i]).bits, out[i].bits);
}

} // namespace
