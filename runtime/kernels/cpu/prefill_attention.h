// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of many tokens a sequence over the paged cache, which already holds
// the step's own keys and values. A chunk of a longer prompt, or a prompt whose
// prefix is shared, is the same call with a longer context.
#ifndef FDPP_KERNELS_CPU_PREFILL_ATTENTION_H
#define FDPP_KERNELS_CPU_PREFILL_ATTENTION_H

#include "kernels/cpu/observe.h"

namespace fdpp::cpu {

/// A prefill attention.
template <class Softmax, class Call> class PrefillAttention {
public:
  const Call &call;

  void run(Team &team) const {
    Block block;
    int piece = team.take(), before = 0;
    for (int s = 0; s < call.batch.sequences; ++s) {
      int rows = call.batch.tokens_of(s) * Call::group;
      int blocks = (rows + Block::max_rows - 1) / Block::max_rows;
      for (; piece < before + blocks * Call::kv_heads; piece = team.take()) {
        int head = (piece - before) % Call::kv_heads;
        // The last rows see most; started first, they do not end last.
        int first =
            (blocks - 1 - (piece - before) / Call::kv_heads) * Block::max_rows;
        int last =
            first + Block::max_rows < rows ? first + Block::max_rows : rows;
        attend_rows(team, block, s, head, {first, last});
      }
      before += blocks * Call::kv_heads;
    }
    team.barrier();
  }

private:
  using Block = BlockFor<typename Call::cache_type, Softmax>;

  FDPP_INLINE void attend_rows(Team &team, Block &block, int s, int head,
                               Range rows) const {
    int which[Block::max_rows];
    block.start();
    call.fill(block, s, head, rows, which);
    if (block.rows == 0)
      return;
    // Of the first row's tokens and the last one's: both ends only rise.
    int begin = call.slots_of(s, which[0]).begin;
    int end = call.slots_of(s, which[block.rows - 1]).end;
    block.attend(call.cache, call.batch, s, call.layer,
                 begin / Block::page_tokens * Block::page_tokens, end,
                 call.options);
    for (int r = 0; r < block.rows; ++r) {
      int64_t at = call.place(s, head, which[r]);
      call.note(
          team, s, which[r], at,
          block.template write_row<Softmax>(r, call.out + at * Call::head_dim));
    }
  }
};

/// out[T][QueryHeads * head_dim] = softmax(q k^T) v, causal inside the step.
template <int QueryHeads, class CacheType, class Q, class Y>
void prefill_attention(Team &team, const Batch &batch, int layer,
                       const Q *query, const CacheType &cache,
                       const AttentionOptions &options, Y *out) {
  observe_attention<QueryHeads>(team, batch, layer, query, cache, options);
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  PrefillAttention<ExactSoftmax, decltype(call)>{call}.run(team);
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
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  call.phi = phi ? phi + int64_t(layer) * QueryHeads : nullptr;
  call.invalid = invalid;
  PrefillAttention<Softmax, decltype(call)>{call}.run(team);
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
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  call.only = invalid;
  PrefillAttention<ExactSoftmax, decltype(call)>{call}.run(team);
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_PREFILL_ATTENTION_H
