// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A step of attention over a cache with shuffled pages. Everything in the cache
// that no token wrote is NaN.
#ifndef FDPP_TEST_KERNELS_ATTENTION_STEP_H
#define FDPP_TEST_KERNELS_ATTENTION_STEP_H

#include "kernels/cpu/kernels.h"
#include "reference.h"
#include "support.h"

#include <gtest/gtest.h>

namespace fdpp::test {

using namespace fdpp::cpu;

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
  const fdpp_attention_statistics *statistics = nullptr;
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
    heads.resize(sequences.size() * KvHeads);
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
    return {int(context.size()), offsets.data(), context.data(),
            pages.data(),        max_pages,      statistics};
  }
  KvCache cache() { return {memory.data(), num_pages}; }

  void fill(int s, float spread, unsigned seed) {
    size_t count = size_t(context[s]) * kv_width;
    store(s, random_values<float>(count, seed, spread),
          random_values<float>(count, seed + 1));
  }

  /// keys, values: [context][KvHeads][HeadDim] of sequence s.
  void store(int s, const std::vector<float> &keys,
             const std::vector<float> &values) {
    int count = context[s];
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
      heads[s * KvHeads + h] = reference;
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

  /// The pair of kernels of the asynchronous softmax; `phi` of this layer's
  /// heads. `counts` become the rows that were recomputed, by head.
  template <class P, class Softmax = AsyncSoftmax<P>>
  std::vector<float> async(int threads, const AttentionOptions &options,
                           const std::vector<float> &phi,
                           std::vector<uint64_t> *counts = nullptr) {
    int most = 0;
    for (size_t s = 0; s < context.size(); ++s)
      most = std::max(most, int(offsets[s + 1] - offsets[s]));
    Scratch scratch(size_t(decode_attention_scratch_bytes(
        int(context.size()), QueryHeads, HeadDim, most)));
    std::vector<float> result =
        on_pair(threads, phi, counts,
                [&](Team &team, const float *bank, int32_t *invalid,
                    uint64_t *counters, float *out) {
                  async_softmax_decode_attention<QueryHeads, P, Softmax>(
                      team, batch(), layer, query.data(), cache(), options,
                      bank, scratch.data(), out, invalid);
                  recompute_rows<QueryHeads>(team, batch(), layer, query.data(),
                                             cache(), options, invalid,
                                             counters, scratch.data(), out);
                });
    EXPECT_TRUE(scratch.intact());
    return result;
  }

  /// The pair for many tokens a sequence, likewise.
  template <class P, class Softmax = AsyncSoftmax<P>>
  std::vector<float> async_prefill(int threads, const AttentionOptions &options,
                                   const std::vector<float> &phi,
                                   std::vector<uint64_t> *counts = nullptr) {
    return on_pair(threads, phi, counts,
                   [&](Team &team, const float *bank, int32_t *invalid,
                       uint64_t *counters, float *out) {
                     async_softmax_prefill_attention<QueryHeads, P, Softmax>(
                         team, batch(), layer, query.data(), cache(), options,
                         bank, out, invalid);
                     recompute_prefill_rows<QueryHeads>(
                         team, batch(), layer, query.data(), cache(), options,
                         invalid, counters, out);
                   });
  }

private:
  /// run(team, phi, invalid, counters, out) with phi of all layers, or null.
  template <class Run>
  std::vector<float> on_pair(int threads, const std::vector<float> &phi,
                             std::vector<uint64_t> *counts, Run run) {
    std::vector<float> out(query.size(), quiet_nan), all(layer * QueryHeads);
    all.insert(all.end(), phi.begin(), phi.end());
    std::vector<uint64_t> counters((layer + 1) * QueryHeads);
    std::vector<int32_t> invalid(size_t(tokens) * QueryHeads, -1);
    on_team(threads, [&](Team &team) {
      run(team, phi.empty() ? nullptr : all.data(), invalid.data(),
          counters.data(), out.data());
    });
    for (int h = 0; h < layer * QueryHeads; ++h)
      EXPECT_EQ(counters[h], 0u);
    if (counts)
      counts->assign(counters.end() - QueryHeads, counters.end());
    return out;
  }
};

} // namespace fdpp::test

#endif // FDPP_TEST_KERNELS_ATTENTION_STEP_H
