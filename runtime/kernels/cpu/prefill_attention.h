// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of many tokens a sequence over the paged cache, which already holds
// the step's own keys and values. A chunk of a longer prompt, or a prompt whose
// prefix is shared, is the same call with a longer context.
#ifndef FDPP_KERNELS_CPU_PREFILL_ATTENTION_H
#define FDPP_KERNELS_CPU_PREFILL_ATTENTION_H

#include "kernels/cpu/observe.h"

namespace fdpp::cpu {

/// out[T][QueryHeads * head_dim] = softmax(q k^T) v, causal inside the step.
template <int QueryHeads, class CacheType, class Q, class Y,
          class Softmax = ExactSoftmax>
void prefill_attention(Team &team, const Batch &batch, int layer,
                       const Q *query, const CacheType &cache,
                       const AttentionOptions &options, Y *out) {
  observe_attention<QueryHeads>(team, batch, layer, query, cache, options);
  using Block = BlockFor<CacheType, Softmax>;
  constexpr int kv_heads = CacheType::kv_heads;
  constexpr int group = QueryHeads / kv_heads;
  Block block;
  int piece = team.take(), before = 0;
  for (int s = 0; s < batch.sequences; ++s) {
    int rows = batch.tokens_of(s) * group;
    int blocks = (rows + Block::max_rows - 1) / Block::max_rows;
    for (; piece < before + blocks * kv_heads; piece = team.take()) {
      int head = (piece - before) % kv_heads;
      // The last rows see most; started first, they do not end last.
      int first = (blocks - 1 - (piece - before) / kv_heads) * Block::max_rows;
      int last =
          first + Block::max_rows < rows ? first + Block::max_rows : rows;
      Range slots = add_rows<QueryHeads>(block, batch, s, head, {first, last},
                                         query, options, kv_heads);
      block.attend(cache, batch, s, layer, head, slots.begin, slots.end,
                   options);
      for (int r = 0; r < block.rows; ++r) {
        int64_t t = batch.seq_offsets[s] + (first + r) / group;
        block.write_row(
            r, out + (t * QueryHeads + head * group + (first + r) % group) *
                         CacheType::head_dim);
      }
    }
    before += blocks * kv_heads;
  }
  team.barrier();
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_PREFILL_ATTENTION_H
