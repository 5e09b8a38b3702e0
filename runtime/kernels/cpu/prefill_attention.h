// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of many tokens a sequence over the paged cache, which already holds
// the step's own keys and values. A chunk of a longer prompt, or a prompt whose
// prefix is shared, is the same call with a longer context.
#ifndef FDPP_KERNELS_CPU_PREFILL_ATTENTION_H
#define FDPP_KERNELS_CPU_PREFILL_ATTENTION_H

#include "kernels/cpu/observe.h"

namespace fdpp::cpu {

/// A prefill attention: what it reads, and which rows it computes how. Row i of
/// a sequence's KV head is query head i % group of its token i / group.
template <int QueryHeads, class CacheType, class Q, class Y, class Softmax>
class PrefillAttention {
public:
  const Batch &batch;
  int layer;
  const Q *query;
  const CacheType &cache;
  const AttentionOptions &options;
  Y *out;
  /// Of the layer's query heads; null: all rows are exact.
  const float *phi = nullptr;
  /// [T][QueryHeads], out: 1 where a row is not valid, else 0. Null: all are.
  int32_t *invalid = nullptr;
  /// [T][QueryHeads]: only rows that are not 0 there. Null: all.
  const int32_t *only = nullptr;

  void run(Team &team) const {
    Block block;
    int piece = team.take(), before = 0;
    for (int s = 0; s < batch.sequences; ++s) {
      int rows = batch.tokens_of(s) * group;
      int blocks = (rows + Block::max_rows - 1) / Block::max_rows;
      for (; piece < before + blocks * kv_heads; piece = team.take()) {
        int head = (piece - before) % kv_heads;
        // The last rows see most; started first, they do not end last.
        int first =
            (blocks - 1 - (piece - before) / kv_heads) * Block::max_rows;
        int last =
            first + Block::max_rows < rows ? first + Block::max_rows : rows;
        attend_rows(team, block, s, head, {first, last});
      }
      before += blocks * kv_heads;
    }
    team.barrier();
  }

private:
  using Block = BlockFor<CacheType, Softmax>;
  static constexpr int kv_heads = CacheType::kv_heads;
  static constexpr int head_dim = CacheType::head_dim;
  static constexpr int group = QueryHeads / kv_heads;

  FDPP_INLINE void attend_rows(Team &team, Block &block, int s, int head,
                               Range rows) const {
    int64_t which[Block::max_rows];
    bool empty[Block::max_rows];
    Range all{0, 0};
    block.rows = 0;
    for (int i = rows.begin; i < rows.end; ++i) {
      int t = batch.seq_offsets[s] + i / group;
      int query_head = head * group + i % group;
      int64_t at = int64_t(t) * QueryHeads + query_head;
      if (only && only[at] == 0)
        continue;
      Range seen = visible_slots(batch, s, t, options);
      if (block.rows == 0)
        all.begin = seen.begin / Block::page_tokens * Block::page_tokens;
      all.end = seen.end;
      which[block.rows] = at;
      empty[block.rows] = seen.empty();
      block.add_row(query + at * head_dim, seen.begin, seen.end,
                    phi ? phi[query_head] : __builtin_nanf(""));
    }
    if (block.rows == 0)
      return;
    block.attend(cache, batch, s, layer, head, all.begin, all.end, options);
    for (int r = 0; r < block.rows; ++r) {
      bool valid =
          block.template write_row<Softmax>(r, out + which[r] * head_dim);
      if (!invalid)
        continue;
      // A row that sees no key is zero and valid.
      invalid[which[r]] = !valid && !empty[r];
      if (invalid[which[r]])
        team.raise();
    }
  }
};

/// out[T][QueryHeads * head_dim] = softmax(q k^T) v, causal inside the step.
template <int QueryHeads, class CacheType, class Q, class Y>
void prefill_attention(Team &team, const Batch &batch, int layer,
                       const Q *query, const CacheType &cache,
                       const AttentionOptions &options, Y *out) {
  observe_attention<QueryHeads>(team, batch, layer, query, cache, options);
  PrefillAttention<QueryHeads, CacheType, Q, Y, ExactSoftmax>{
      batch, layer, query, cache, options, out}
      .run(team);
}

/// The same as async_softmax_decode_attention, for many tokens a sequence.
template <int QueryHeads, class P, class Softmax = AsyncSoftmax<P>,
          class CacheType, class Q, class Y>
void async_softmax_prefill_attention(Team &team, const Batch &batch, int layer,
                                     const Q *query, const CacheType &cache,
                                     const AttentionOptions &options,
                                     const float *phi, Y *out,
                                     int32_t *invalid) {
  observe_attention<QueryHeads>(team, batch, layer, query, cache, options);
  PrefillAttention<QueryHeads, CacheType, Q, Y, Softmax>{
      batch,
      layer,
      query,
      cache,
      options,
      out,
      phi ? phi + int64_t(layer) * QueryHeads : nullptr,
      invalid}
      .run(team);
}

/// The same as recompute_rows, behind async_softmax_prefill_attention.
template <int QueryHeads, class CacheType, class Q, class Y>
void recompute_prefill_rows(Team &team, const Batch &batch, int layer,
                            const Q *query, const CacheType &cache,
                            const AttentionOptions &options,
                            const int32_t *invalid, uint64_t *counts, Y *out) {
  if (!team.raised())
    return;
  count_rows<QueryHeads>(team, batch, layer, invalid, counts);
  PrefillAttention<QueryHeads, CacheType, Q, Y, ExactSoftmax>{
      batch, layer, query, cache, options, out, nullptr, nullptr, invalid}
      .run(team);
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_PREFILL_ATTENTION_H
