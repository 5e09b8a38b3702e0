// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of a few tokens a sequence over a long cache. Each sequence is cut
// into parts of whole pages; a part for some neighbouring KV heads is a piece,
// and the pieces are shared out. All query heads of a piece go together, page
// by page, so that memory is read in its order. Parts leave (numerators,
// denominator, maximum), which are combined exactly by their log-sum-exp
// (Flash-Decoding), or where all of a row's weights are relative to one phi
// (FlashDecoding++) just added. The parts depend on the sequence alone, and
// which heads stand beside each other changes no row, so a result depends
// neither on the team nor on the other sequences.
#ifndef FDPP_KERNELS_CPU_DECODE_ATTENTION_H
#define FDPP_KERNELS_CPU_DECODE_ATTENTION_H

#include "kernels/common/scratch.h"
#include "kernels/cpu/observe.h"

namespace fdpp::cpu {

/// How one sequence's visible slots are cut: part i holds the slots
/// [begin + i * step, begin + (i + 1) * step).
struct AttentionSplit {
  int begin = 0, end = 0, step = 0, parts = 0;
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
  split.parts = (pages + each - 1) / each;
  return split;
}

/// Partial results in scratch: [sequence][row][part][partial floats].
struct AttentionPartials {
  float *base;
  int rows; // of all KV heads of a sequence
  int stride;

  float *at(int s, int row, int part) const {
    return base +
           ((int64_t(s) * rows + row) * max_attention_splits + part) * stride;
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

/// The weight of each part, by their log-sum-exp. Returns the denominator.
FDPP_INLINE float weigh_parts(const float *partial, int stride, int dims,
                              int parts, float *weights) {
  float maximum = minus_infinity, sum = 0.0f;
  for (int i = 0; i < parts; ++i) {
    float m = partial[i * stride + dims + 1];
    maximum = m > maximum ? m : maximum;
  }
  for (int i = 0; i < parts; ++i) {
    float denominator = partial[i * stride + dims];
    // A part without a visible key has neither weight nor maximum.
    weights[i] = denominator == 0.0f
                     ? 0.0f
                     : exp_one(partial[i * stride + dims + 1] - maximum);
    sum += weights[i] * denominator;
  }
  return sum;
}

/// One row of the result from its partial results, in the order of the parts.
/// `fixed`: they are relative to one phi. False where the row is not valid.
template <class Softmax, int HeadDim, class Y>
FDPP_NOINLINE bool combine_row(const float *partial, int stride, int parts,
                               bool fixed, Y *out) {
  constexpr int dims = cache_dims(HeadDim);
  float weights[max_attention_splits];
  if (Softmax::async && fixed) {
    float sum = 0.0f;
    for (int i = 0; i < parts; ++i)
      sum += partial[i * stride + dims];
    auto plain_sum = [&](int d, int count) FDPP_INLINE_LAMBDA {
      f32x16 total = splat(0.0f);
      for (int i = 0; i < parts; ++i)
        total += load(partial + i * stride + d, count);
      return total;
    };
    return finish_row<Softmax, HeadDim>(fixed, sum, plain_sum, out);
  }
  float sum = weigh_parts(partial, stride, dims, parts, weights);
  auto weighted_sum = [&](int d, int count) FDPP_INLINE_LAMBDA {
    f32x16 total = splat(0.0f);
    for (int i = 0; i < parts; ++i)
      total =
          fma(load(partial + i * stride + d, count), splat(weights[i]), total);
    return total;
  };
  return finish_row<Softmax, HeadDim>(false, sum, weighted_sum, out);
}

/// A decode attention; `scratch` is decode_attention_scratch_bytes(...).
template <class Softmax, class Call> class DecodeAttention {
public:
  const Call &call;
  void *scratch;

  void run(Team &team) const {
    int most = 0;
    for (int s = 0; s < call.batch.sequences; ++s)
      most = call.batch.tokens_of(s) > most ? call.batch.tokens_of(s) : most;
    AttentionPartials partials{static_cast<float *>(scratch),
                               most * Call::query_heads,
                               attention_partial_floats(Block::dims)};
    attend(team, partials, most);
    team.barrier();
    bool several = false;
    for (int s = 0; s < call.batch.sequences; ++s)
      several |= split(s).parts > 1;
    if (!several)
      return;
    Range mine = team.share(call.batch.sequences * most * Call::query_heads);
    for (int i = mine.begin; i < mine.end; ++i)
      combine_one(team, partials, i / (most * Call::query_heads),
                  i % (most * Call::query_heads), most * group);
    team.barrier();
  }

private:
  using CacheType = typename Call::cache_type;
  using Block = BlockFor<CacheType, Softmax>;
  static constexpr int kv_heads = Call::kv_heads, head_dim = Call::head_dim;
  static constexpr int group = Call::group;

  AttentionSplit split(int s) const {
    return split_sequence(call.batch, s, CacheType::page_tokens, call.options);
  }

  /// A part of a sequence's slots for some KV heads.
  struct Piece {
    int s, part, parts;
    Range heads, slots; // no slots: behind the last piece
  };

  /// Into how many pieces the KV heads of a part go: as few as hold all rows,
  /// but enough pieces that no thread waits long for another.
  int head_groups(const Team &team, int most) const {
    constexpr int pieces_each = 4;
    int rows = kv_heads * most * group, parts = 0;
    for (int s = 0; s < call.batch.sequences; ++s)
      parts += split(s).parts;
    int groups = (rows + Block::max_rows - 1) / Block::max_rows;
    if (parts > 0 && parts * groups < pieces_each * team.count)
      groups = (pieces_each * team.count + parts - 1) / parts;
    return groups < kv_heads ? groups : kv_heads;
  }

  /// Finds pieces by their number, over sequences, parts and heads; numbers
  /// only rise.
  class Pieces {
  public:
    Pieces(const DecodeAttention &of, int groups) : of(of), groups(groups) {
      enter();
    }

    Piece find(int number) {
      while (s < of.call.batch.sequences && number >= before + count()) {
        before += count();
        ++s;
        enter();
      }
      if (s == of.call.batch.sequences)
        return {};
      int part = (number - before) / groups;
      int begin = cut.begin + part * cut.step, end = begin + cut.step;
      return {s,
              part,
              cut.parts,
              Team::share(kv_heads, (number - before) % groups, groups),
              {begin, end < cut.end ? end : cut.end}};
    }

  private:
    const DecodeAttention &of;
    const int groups;
    AttentionSplit cut;
    int s = 0, before = 0; // pieces of the sequences before s

    int count() const { return cut.parts * groups; }
    void enter() {
      if (s < of.call.batch.sequences)
        cut = of.split(s);
    }
  };

  /// The pieces that this thread draws, each one piece ahead, so that its first
  /// page is fetched meanwhile.
  void attend(Team &team, const AttentionPartials &partials, int most) const {
    Block block;
    Pieces pieces(*this, head_groups(team, most));
    Piece next = pieces.find(team.take());
    while (!next.slots.empty()) {
      Piece piece = next;
      next = pieces.find(team.take());
      attend_piece(block, piece, next, [&](int head, int row, int r) {
        int64_t at = call.place(piece.s, head, row);
        if (piece.parts == 1)
          call.note(
              team, piece.s, row, at,
              block.template write_row<Softmax>(r, call.out + at * head_dim));
        else
          write_partial(
              block, r,
              partials.at(piece.s, head * most * group + row, piece.part));
      });
    }
  }

  /// All rows over one piece. `write(head, row, r)` takes each finished row r
  /// of the block.
  template <class Write>
  FDPP_INLINE void attend_piece(Block &block, const Piece &piece,
                                const Piece &next, Write write) const {
    PageView<typename CacheType::element> behind;
    if (!next.slots.empty())
      behind = call.cache.view(
          call.layer,
          call.batch.page_of(next.s, next.slots.begin, CacheType::page_tokens),
          next.heads.begin);
    int rows = call.batch.tokens_of(piece.s) * group;
    int which[Block::max_rows];
    for (int head = piece.heads.begin, row = 0; head < piece.heads.end;) {
      block.start();
      while (head < piece.heads.end && block.rows < Block::max_rows) {
        row = call.fill(block, piece.s, head, {row, rows}, which);
        if (row < rows)
          break;
        ++head;
        row = 0;
      }
      if (block.rows == 0)
        return;
      block.attend(call.cache, call.batch, piece.s, call.layer,
                   piece.slots.begin, piece.slots.end, call.options, behind);
      for (int h = 0; h < block.heads; ++h)
        for (int r = block.head[h].begin; r < block.head[h].end; ++r)
          write(block.head[h].kv_head, which[r], r);
    }
  }

  /// `within`: rows that one KV head has room for.
  void combine_one(Team &team, const AttentionPartials &partials, int s,
                   int row, int within) const {
    AttentionSplit cut = split(s);
    int head = row / within, i = row % within;
    if (cut.parts <= 1 || i >= call.batch.tokens_of(s) * group)
      return;
    int64_t at = call.place(s, head, i);
    if (!call.wanted(at))
      return;
    float reference = call.phi_of(call.query_head(head, i));
    call.note(team, s, i, at,
              combine_row<Softmax, head_dim>(
                  partials.at(s, row, 0), partials.stride, cut.parts,
                  reference == reference, call.out + at * head_dim));
  }
};

/// out[T][QueryHeads * head_dim] = softmax(q k^T) v, causal inside the step.
/// `scratch` is decode_attention_scratch_bytes(...), 64-aligned.
template <int QueryHeads, class CacheType, class Q, class Y>
void decode_attention(Team &team, const Batch &batch, int layer, const Q *query,
                      const CacheType &cache, const AttentionOptions &options,
                      void *scratch, Y *out) {
  observe_attention<QueryHeads>(team, batch, layer, query, cache, options);
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  DecodeAttention<ExactSoftmax, decltype(call)>{call, scratch}.run(team);
}

/// The same with weights of format P relative to phi[layer][QueryHeads]; heads
/// whose phi is NaN, and all where phi is null, are exact. invalid[T]
/// [QueryHeads] becomes 1 for rows that recompute_rows has to replace, else 0.
template <int QueryHeads, class P, class Softmax = AsyncSoftmax<P>,
          class CacheType, class Q, class Y>
void async_softmax_decode_attention(Team &team, const Batch &batch, int layer,
                                    const Q *query, const CacheType &cache,
                                    const AttentionOptions &options,
                                    const float *phi, void *scratch, Y *out,
                                    int32_t *invalid) {
  observe_attention<QueryHeads>(team, batch, layer, query, cache, options);
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  call.phi = phi ? phi + int64_t(layer) * QueryHeads : nullptr;
  call.invalid = invalid;
  DecodeAttention<Softmax, decltype(call)>{call, scratch}.run(team);
}

/// Replaces the rows that `invalid` names, as the call of
/// async_softmax_decode_attention just before left it, by exact ones and counts
/// them in counts[layer][QueryHeads], unless that is null.
template <int QueryHeads, class CacheType, class Q, class Y>
void recompute_rows(Team &team, const Batch &batch, int layer, const Q *query,
                    const CacheType &cache, const AttentionOptions &options,
                    const int32_t *invalid, uint64_t *counts, void *scratch,
                    Y *out) {
  if (!team.raised())
    return;
  count_rows<QueryHeads>(team, batch, layer, invalid, counts);
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  call.only = invalid;
  DecodeAttention<ExactSoftmax, decltype(call)>{call, scratch}.run(team);
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_DECODE_ATTENTION_H
