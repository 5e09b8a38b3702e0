// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of a few tokens a sequence over a long cache. Each (sequence, KV
// head) is cut into pieces of whole pages, and the pieces are shared out; all
// query heads of the KV head go together. Pieces leave (numerators,
// denominator, maximum), which are combined exactly by their log-sum-exp
// (Flash-Decoding). The cut depends on the sequence alone, so a result depends
// neither on the team nor on the other sequences.
#ifndef FDPP_KERNELS_CPU_DECODE_ATTENTION_H
#define FDPP_KERNELS_CPU_DECODE_ATTENTION_H

#include "kernels/common/scratch.h"
#include "kernels/cpu/attention.h"

namespace fdpp::cpu {

/// How one sequence's visible slots are cut: piece i holds the slots
/// [begin + i * step, begin + (i + 1) * step).
struct AttentionSplit {
  int begin = 0, end = 0, step = 0, pieces = 0;
};

FDPP_INLINE AttentionSplit split_sequence(const Batch &batch, int s,
                                          int page_tokens,
                                          const AttentionOptions &options) {
  constexpr int least_pages = 2;
  int first = batch.seq_offsets[s], last = batch.seq_offsets[s + 1];
  if (first == last)
    return {};
  AttentionSplit split;
  split.begin =
      visible_slots(batch, s, first, options).begin / page_tokens * page_tokens;
  split.end = visible_slots(batch, s, last - 1, options).end;
  int pages = (split.end - split.begin + page_tokens - 1) / page_tokens;
  int each = (pages + max_attention_splits - 1) / max_attention_splits;
  each = each < least_pages ? least_pages : each;
  split.step = each * page_tokens;
  split.pieces = (pages + each - 1) / each;
  return split;
}

/// Partial results in scratch: [sequence][row][piece][partial floats].
struct AttentionPartials {
  float *base;
  int rows; // of all KV heads of a sequence
  int stride;

  float *at(int s, int row, int piece) const {
    return base +
           ((int64_t(s) * rows + row) * max_attention_splits + piece) * stride;
  }
};

/// Stores a block's row unnormalised: numerators, then denominator, maximum.
template <class Block>
FDPP_INLINE void write_partial(const Block &block, int r, float *to) {
  for (int d = 0; d < Block::dims; ++d)
    to[d] = block.output[r][d];
  to[Block::dims] = block.sum[r];
  to[Block::dims + 1] = block.maximum[r];
}

/// One row of the result from its partial results, in the order of the pieces.
template <int HeadDim, class Y>
FDPP_NOINLINE void combine_row(const float *partial, int stride, int pieces,
                               Y *out) {
  constexpr int dims = cache_dims(HeadDim);
  float weights[max_attention_splits];
  float maximum = minus_infinity, sum = 0.0f;
  for (int i = 0; i < pieces; ++i) {
    float m = partial[i * stride + dims + 1];
    maximum = m > maximum ? m : maximum;
  }
  for (int i = 0; i < pieces; ++i) {
    float denominator = partial[i * stride + dims];
    // A piece without a visible key has neither weight nor maximum.
    weights[i] = denominator == 0.0f
                     ? 0.0f
                     : exp_one(partial[i * stride + dims + 1] - maximum);
    sum += weights[i] * denominator;
  }
  float scale = sum == 0.0f ? 0.0f : 1.0f / sum;
  for_each_chunk<HeadDim>([&](int d, int count) FDPP_INLINE_LAMBDA {
    f32x16 total = splat(0.0f);
    for (int i = 0; i < pieces; ++i)
      total =
          fma(load(partial + i * stride + d, count), splat(weights[i]), total);
    store(out + d, total * scale, count);
  });
}

/// One piece: rows of sequence s and KV head `head` over a range of slots.
/// `write(row, block, r)` takes each finished row.
template <int QueryHeads, class CacheType, class Block, class Q, class Write>
FDPP_INLINE void attend_piece(Block &block, const Batch &batch, int s,
                              int layer, int head, Range slots, const Q *query,
                              const CacheType &cache,
                              const AttentionOptions &options, Write write) {
  constexpr int kv_heads = CacheType::kv_heads;
  int rows = batch.tokens_of(s) * (QueryHeads / kv_heads);
  for (int first = 0; first < rows; first += Block::max_rows) {
    int last = first + Block::max_rows < rows ? first + Block::max_rows : rows;
    add_rows<QueryHeads>(block, batch, s, head, {first, last}, query, options,
                         kv_heads);
    block.attend(cache, batch, s, layer, head, slots.begin, slots.end, options);
    for (int r = 0; r < block.rows; ++r)
      write(first + r, r);
  }
}

/// out[T][QueryHeads * head_dim] = softmax(q k^T) v, causal inside the step.
/// `scratch` is decode_attention_scratch_bytes(...), 64-aligned.
template <int QueryHeads, class CacheType, class Q, class Y,
          class Softmax = ExactSoftmax>
void decode_attention(Team &team, const Batch &batch, int layer, const Q *query,
                      const CacheType &cache, const AttentionOptions &options,
                      void *scratch, Y *out) {
  using Block = BlockFor<CacheType, Softmax>;
  constexpr int kv_heads = CacheType::kv_heads, head_dim = CacheType::head_dim;
  constexpr int group = QueryHeads / kv_heads;
  int most = 0;
  for (int s = 0; s < batch.sequences; ++s)
    most = batch.tokens_of(s) > most ? batch.tokens_of(s) : most;
  AttentionPartials partials{static_cast<float *>(scratch), most * QueryHeads,
                             attention_partial_floats(Block::dims)};
  auto output_row = [&](int s, int head, int row) {
    int64_t t = batch.seq_offsets[s] + row / group;
    return out + (t * QueryHeads + head * group + row % group) * head_dim;
  };
  Block block;
  bool combine = false;
  int piece = team.take(), before = 0;
  for (int s = 0; s < batch.sequences; ++s) {
    AttentionSplit split =
        split_sequence(batch, s, CacheType::page_tokens, options);
    combine |= split.pieces > 1;
    for (; piece < before + split.pieces * kv_heads; piece = team.take()) {
      int head = (piece - before) / split.pieces;
      int part = (piece - before) % split.pieces;
      int begin = split.begin + part * split.step;
      int end = begin + split.step < split.end ? begin + split.step : split.end;
      attend_piece<QueryHeads>(
          block, batch, s, layer, head, {begin, end}, query, cache, options,
          [&](int row, int r) {
            if (split.pieces == 1)
              block.write_row(r, output_row(s, head, row));
            else
              write_partial(block, r,
                            partials.at(s, head * most * group + row, part));
          });
    }
    before += split.pieces * kv_heads;
  }
  team.barrier();
  if (!combine)
    return;
  Range mine = team.share(batch.sequences * most * QueryHeads);
  for (int i = mine.begin; i < mine.end; ++i) {
    int s = i / (most * QueryHeads), row = i % (most * QueryHeads);
    int head = row / (most * group), within = row % (most * group);
    AttentionSplit split =
        split_sequence(batch, s, CacheType::page_tokens, options);
    if (split.pieces > 1 && within < batch.tokens_of(s) * group)
      combine_row<head_dim>(partials.at(s, row, 0), partials.stride,
                            split.pieces, output_row(s, head, within));
  }
  team.barrier();
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_DECODE_ATTENTION_H
