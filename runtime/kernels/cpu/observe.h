// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Counts the logits of attention, for fdpp-calibrate: what a phi fixed ahead
// has to fit. Computed beside the attention and much slower than it; a step
// that does not ask for it pays one comparison for each attention.
#ifndef FDPP_KERNELS_CPU_OBSERVE_H
#define FDPP_KERNELS_CPU_OBSERVE_H

#include "fdpp-runtime/model_abi.h"
#include "kernels/cpu/attention.h"

namespace fdpp::cpu {

/// The statistics of one layer and query head.
class HeadStatistics {
public:
  HeadStatistics(const fdpp_attention_statistics &all, int64_t head)
      : all(all), first(head * all.bins), extremes(all.extremes + head * 4) {}

  FDPP_INLINE void add_logit(float x) {
    ++all.logits[place(x)];
    widen(extremes, x);
  }
  FDPP_INLINE void add_row(float maximum, float log_sum_exp) {
    ++all.row_maximum[place(maximum)];
    ++all.row_log_sum_exp[place(log_sum_exp)];
    widen(extremes + 2, log_sum_exp);
  }

private:
  const fdpp_attention_statistics &all;
  const int64_t first;
  float *const extremes;

  /// NaN goes to the first bin.
  FDPP_INLINE int64_t place(float x) const {
    float bin = (x - all.low) / all.width;
    return first + (bin >= float(all.bins) ? all.bins - 1
                    : bin > 0.0f           ? int64_t(bin)
                                           : 0);
  }
  FDPP_INLINE static void widen(float *range, float x) {
    range[0] = x < range[0] ? x : range[0];
    range[1] = x > range[1] ? x : range[1];
  }
};

/// Row 0 of the block, over the slots that it sees.
template <class Block, class CacheType>
FDPP_INLINE void observe_row(Block &block, HeadStatistics statistics,
                             const CacheType &cache, const Batch &batch, int s,
                             int layer, int kv_head, Range slots,
                             const AttentionOptions &options) {
  constexpr int page_tokens = CacheType::page_tokens;
  alignas(64) float logits[page_tokens];
  float maximum = minus_infinity;
  double sum = 0;
  for (int base = slots.begin / page_tokens * page_tokens; base < slots.end;
       base += page_tokens) {
    int page = batch.page_of(s, base, page_tokens);
    Range seen = block.page_logits(cache.keys(layer, page, kv_head), 0, base,
                                   options, logits);
    float before = maximum;
    for (int t = seen.begin; t < seen.end; ++t) {
      statistics.add_logit(logits[t]);
      maximum = logits[t] > maximum ? logits[t] : maximum;
    }
    sum *= before == maximum ? 1.0 : double(exp_one(before - maximum));
    for (int t = seen.begin; t < seen.end; ++t)
      sum += exp_one(logits[t] - maximum);
  }
  if (!slots.empty())
    statistics.add_row(maximum, maximum + float(__builtin_log(sum)));
}

template <int QueryHeads, class Block, class CacheType, class Q>
FDPP_NOINLINE void observe_heads(Team &team, const Batch &batch, int layer,
                                 const Q *query, const CacheType &cache,
                                 const AttentionOptions &options) {
  constexpr int group = QueryHeads / CacheType::kv_heads;
  Block block;
  // One thread writes a head's numbers.
  Range mine = team.share(QueryHeads);
  for (int head = mine.begin; head < mine.end; ++head)
    for (int s = 0; s < batch.sequences; ++s)
      for (int t = batch.seq_offsets[s]; t < batch.seq_offsets[s + 1]; ++t) {
        Range slots = visible_slots(batch, s, t, options);
        block.start();
        block.add_row(query + (int64_t(t) * QueryHeads + head) *
                                  CacheType::head_dim,
                      head / group, slots.begin, slots.end);
        observe_row(block,
                    HeadStatistics(*batch.statistics,
                                   int64_t(layer) * QueryHeads + head),
                    cache, batch, s, layer, head / group, slots, options);
      }
}

/// Counts the logits of a step's attention in its statistics, if it has any.
template <int QueryHeads, class CacheType, class Q>
FDPP_INLINE void observe_attention(Team &team, const Batch &batch, int layer,
                                   const Q *query, const CacheType &cache,
                                   const AttentionOptions &options) {
  if (batch.statistics)
    observe_heads<QueryHeads, BlockFor<CacheType, ExactSoftmax>>(
        team, batch, layer, query, cache, options);
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_OBSERVE_H
