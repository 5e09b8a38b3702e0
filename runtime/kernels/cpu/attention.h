// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of a block of query rows over a range of cache slots: what decode
// and prefill attention share. A row is one query head of one token; a block
// holds rows that read the same KV head, so K and V are read once for all of
// them. Logits are K^T q by the register tile, 16 tokens a vector; outputs are
// P V, 16 dimensions a vector. P stays in f32; the query is rounded to the
// cache's type.
#ifndef FDPP_KERNELS_CPU_ATTENTION_H
#define FDPP_KERNELS_CPU_ATTENTION_H

#include "kernels/cpu/cache.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/tokens.h"

namespace fdpp::cpu {

/// What a model adds to softmax(q k^T) v.
struct AttentionOptions {
  float scale;       // of the logits
  int window = 0;    // tokens a token sees, itself included; 0: all
  float softcap = 0; // c * tanh(logit / c); 0: none
};

inline constexpr float minus_infinity = -__builtin_inff();

/// A policy says what each row subtracts from its logits. The exact one: a
/// running maximum, and a rescale of what was summed under an older one
/// (Milakov and Gimelshein, 2018).
struct ExactSoftmax {
  using weights = ExactSoftmax;
  static constexpr bool async = false;
};

/// The asynchronous policy (FlashDecoding++, arXiv 2311.01282): a number phi
/// that is fixed ahead, so that parts of a row are plain sums. Rows without
/// one (NaN) are exact. Weights are rounded to P; docs/numerics.md has the rule
/// of valid rows and its proof.
template <class P = float> struct AsyncSoftmax {
  /// What a block of rows has to know; rules that differ in valid() share it.
  using weights = AsyncSoftmax;
  static constexpr bool async = true;
  static constexpr float least_sum = std::is_same_v<P, f16> ? 1.0f : 0x1p-84f;

  FDPP_INLINE static f32x16 round(f32x16 weight) { return round_to<P>(weight); }
  /// What the denominator adds up of a weight.
  FDPP_INLINE static f32x16 summed(f32x16, f32x16 rounded) { return rounded; }
  /// `finite`: all numerators are. False for a NaN denominator.
  FDPP_INLINE static bool valid(float denominator, bool finite) {
    return denominator >= least_sum && denominator < -minus_infinity && finite;
  }
};

/// e^x of one number, as the vectors compute it.
FDPP_INLINE float exp_one(float x) { return exp(splat(x)).x; }

/// Writes numerators(d, count) / denominator; zero without a denominator.
/// False where the row counts on a phi and is not valid.
template <class Softmax, int HeadDim, class Numerators, class Y>
FDPP_INLINE bool finish_row(bool fixed, float denominator,
                            Numerators numerators, Y *to) {
  float scale = denominator == 0.0f ? 0.0f : 1.0f / denominator;
  f32x16 check = splat(0.0f); // becomes NaN with a numerator that is not finite
  for_each_chunk<HeadDim>([&](int d, int count) FDPP_INLINE_LAMBDA {
    f32x16 numerator = numerators(d, count);
    if constexpr (Softmax::async)
      check = fma(numerator, splat(0.0f), check);
    store(to + d, numerator * scale, count);
  });
  if constexpr (Softmax::async)
    if (fixed)
      return Softmax::valid(denominator, reduce_add(check) == 0.0f);
  return true;
}

template <class E, int HeadDim, int PageTokens, class Softmax>
class AttentionBlock {
public:
  static constexpr int page_tokens = PageTokens, head_dim = HeadDim;
  static constexpr int dims = cache_dims(HeadDim);
  static constexpr int padded_dims = panels_of(dims) * lanes;
  static constexpr int max_rows = 24;
  static constexpr int tile_rows = widest_tile;

  /// Rows that read the same KV head.
  struct Head {
    int kv_head, begin, end;
  };

  int rows = 0, heads = 0;
  Head head[max_rows]; // of the rows, in their order
  float maximum[max_rows];
  float sum[max_rows];
  alignas(64) float output[max_rows][padded_dims];

  FDPP_INLINE void start() { rows = heads = 0; }

  /// Adds a row that reads `kv_head` and sees the slots [first, last).
  template <class Q>
  FDPP_INLINE void add_row(const Q *query, int kv_head, int first, int last,
                           float phi = __builtin_nanf("")) {
    int r = rows++;
    if (heads == 0 || head[heads - 1].kv_head != kv_head)
      head[heads++] = {kv_head, r, r};
    head[heads - 1].end = rows;
    first_slot[r] = first;
    last_slot[r] = last;
    fixed[r] = Softmax::async && phi == phi;
    maximum[r] = fixed[r] ? phi : minus_infinity;
    sum[r] = 0.0f;
    for (int d = 0; d < padded_dims; ++d)
      output[r][d] = 0.0f;
    for_each_chunk<head_dim>([&](int d, int count) FDPP_INLINE_LAMBDA {
      put_query(r, d, load(query + d, count));
    });
  }

  /// Takes in the slots [begin, end); begin is a page's first. All heads of a
  /// page before the next page: that is how they lie in memory. Each head of a
  /// page fetches the one that is read next, the last one `behind`.
  template <class CacheType>
  FDPP_NOINLINE void attend(const CacheType &cache, const Batch &batch, int s,
                            int layer, int begin, int end,
                            const AttentionOptions &options,
                            PageView<E> behind = {}) {
    auto view = [&](int slot, int h) FDPP_INLINE_LAMBDA {
      return cache.view(layer, batch.page_of(s, slot, page_tokens),
                        head[h].kv_head);
    };
    PageView<E> next = view(begin, 0);
    for (int base = begin; base < end; base += page_tokens) {
      int count = end - base < page_tokens ? end - base : page_tokens;
      for (int h = 0; h < heads; ++h) {
        PageView<E> page = next;
        if (h + 1 < heads)
          next = view(base, h + 1);
        else if (end - base > page_tokens)
          next = view(base + page_tokens, 0);
        else if (behind.keys)
          next = behind;
        attend_page(page, next, {head[h].begin, head[h].end}, base, count,
                    options);
      }
    }
  }

  /// Row r's logits of one page of keys, the one at slot `base`, into
  /// to[page_tokens]. Returns the tokens of the page that the row sees.
  Range page_logits(const E *keys, int r, int base,
                    const AttentionOptions &options, float *to) {
    score<1>(keys, keys, r);
    for (int t = 0; t < page_tokens; t += lanes)
      store(to + t, logits_of(r, t, options));
    return seen_of(r, base, page_tokens);
  }

  /// The finished row; zero if it saw no key. False where it is not valid.
  template <class Rule = Softmax, class Y>
  FDPP_INLINE bool write_row(int r, Y *to) const {
    return finish_row<Rule, head_dim>(
        fixed[r], sum[r],
        [&](int d, int count)
            FDPP_INLINE_LAMBDA { return load(&output[r][d], count); },
        to);
  }

  /// True if the row's weights are relative to its phi, in `maximum`.
  bool is_fixed(int r) const { return fixed[r]; }

private:
  static constexpr int query_steps = activation_steps<E>(dims);
  static constexpr int query_stride = padded_dims / Activation<E>::k_step;

  int first_slot[max_rows], last_slot[max_rows];
  bool fixed[max_rows];
  float rescale[max_rows];
  alignas(64) activation_t<E> queries[max_rows][query_stride];
  alignas(64) float scores[max_rows][page_tokens];

  /// The rows' share of one page, the one at slot `base`, of which `count`
  /// tokens count.
  FDPP_INLINE void attend_page(PageView<E> page, PageView<E> next, Range which,
                               int base, int count,
                               const AttentionOptions &options) {
    for (int r = which.begin; r < which.end; r += tile_rows) {
      int tile = which.end - r < tile_rows ? which.end - r : tile_rows;
      with_constant<tile_rows>(tile, [&](auto m) FDPP_INLINE_LAMBDA {
        score<m()>(page.keys, next.keys, r);
      });
      int visible = 0;
      for (int i = r; i < r + tile; ++i) {
        int seen = weigh(i, base, count, options);
        visible = seen > visible ? seen : visible;
      }
      if (visible > 0)
        with_constant<tile_rows>(tile, [&](auto m) FDPP_INLINE_LAMBDA {
          accumulate<m()>(page.values, next.values, r, visible);
        });
    }
  }

  FDPP_INLINE void put_query(int r, int d, f32x16 value) {
    if constexpr (Activation<E>::k_step == 2) {
      u16x16 bits = narrow_bf16(value);
      __builtin_memcpy(&queries[r][d / 2], &bits, sizeof bits);
    } else {
      store(&queries[r][d], round_to<E>(value));
    }
  }

  /// The most panels <= panels_for(m) that divide a page.
  static constexpr int token_panels(int m) {
    int panels = panels_for(m);
    while (page_tokens / lanes % panels != 0)
      panels /= 2;
    return panels;
  }

  /// Fetches `Count` elements of a page that is read later, the step's share of
  /// it: into L2, since L1 is full. For several rows line after line, so that
  /// memory is read while they compute; one row reads as fast as memory gives,
  /// in its order, and a fetch of each line would only be in its way.
  template <int Count, int M>
  FDPP_INLINE static void fetch(const E *page, int begin, int64_t step) {
    constexpr int line = 64 / sizeof(E), stride = M == 1 ? 4 * line : line;
#pragma clang loop unroll(full)
    for (int i = 0; i < Count; i += stride)
      __builtin_prefetch(page + begin + step * Count + i, 0, 2);
  }

  /// scores[r + m][token] = q . k for a whole page. `next` is fetched.
  template <int M>
  FDPP_NOINLINE void score(const E *keys, const E *next, int r) {
    constexpr int panels = token_panels(M), pack = k_pack<E>;
    for (int t = 0; t < page_tokens; t += panels * lanes) {
      Accumulators<panels, M> acc;
      clear<panels, M>(acc);
      multiply<panels, M>(
          acc, packed_k<E>(dims) / pack,
          WeightView<E>{keys + t * pack, page_tokens * pack, lanes * pack},
          [&](int64_t step, int m)
              FDPP_INLINE_LAMBDA { return queries[r + m][step]; },
          [&](int64_t step) FDPP_INLINE_LAMBDA {
            fetch<panels * lanes * pack, M>(next, t * dims, step);
          });
#pragma clang loop unroll(full)
      for (int p = 0; p < panels; ++p)
#pragma clang loop unroll(full)
        for (int m = 0; m < M; ++m)
          store(&scores[r + m][t + p * lanes], acc[p][m]);
    }
  }

  /// The first `count` tokens of the page at slot `base`, as far as row r sees
  /// them.
  FDPP_INLINE Range seen_of(int r, int base, int count) const {
    int begin = first_slot[r] > base ? first_slot[r] - base : 0;
    int end = last_slot[r] - base < count ? last_slot[r] - base : count;
    return {begin, end};
  }

  /// Row r's logits of 16 tokens from t on, of what `score` left.
  FDPP_INLINE f32x16 logits_of(int r, int t,
                               const AttentionOptions &options) const {
    f32x16 x = load(&scores[r][t]) * options.scale;
    if (options.softcap != 0.0f)
      x = options.softcap * tanh(x / options.softcap);
    return x;
  }

  /// Turns row r's logits of the page at slot `base` into weights, in place.
  /// Returns one more than the last token of the page that the row sees.
  FDPP_NOINLINE int weigh(int r, int base, int count,
                          const AttentionOptions &options) {
    auto [begin, end] = seen_of(r, base, count);
    rescale[r] = 1.0f;
    if (begin >= end) {
      for (int t = 0; t < page_tokens; t += lanes)
        store(&scores[r][t], splat(0.0f));
      return 0;
    }
    if (begin == 0 && end == page_tokens)
      weigh_tokens(r, options,
                   [](f32x16 x, float, int) FDPP_INLINE_LAMBDA { return x; });
    else
      weigh_tokens(
          r, options, [&](f32x16 x, float unseen, int t) FDPP_INLINE_LAMBDA {
            i32x16 token = lane_index() + t;
            return select((token >= begin) & (token < end), x, splat(unseen));
          });
    return end;
  }

  /// The same with mask(x, unseen, t): the lanes of x, which are the tokens
  /// from t on, `unseen` where the row does not see them.
  template <class Mask>
  FDPP_INLINE void weigh_tokens(int r, const AttentionOptions &options,
                                Mask mask) {
    if constexpr (Softmax::async)
      if (fixed[r])
        return weigh_fixed(r, options, mask);
    f32x16 most = splat(minus_infinity);
    for (int t = 0; t < page_tokens; t += lanes) {
      f32x16 x = mask(logits_of(r, t, options), minus_infinity, t);
      most = select(x > most, x, most);
      store(&scores[r][t], x);
    }
    float reference = reduce_max(most);
    if (reference > maximum[r]) {
      rescale[r] = exp_one(maximum[r] - reference);
      maximum[r] = reference;
    }
    f32x16 total = splat(0.0f);
    for (int t = 0; t < page_tokens; t += lanes) {
      f32x16 p = mask(exp_weight(load(&scores[r][t]) - maximum[r]), 0.0f, t);
      total += p;
      store(&scores[r][t], p);
    }
    sum[r] = sum[r] * rescale[r] + reduce_add(total);
  }

  /// The same relative to phi: one pass, and nothing to rescale. A token that
  /// the row does not see has the weight 0, whatever its logit.
  template <class Mask>
  FDPP_INLINE void weigh_fixed(int r, const AttentionOptions &options,
                               Mask mask) {
    const float phi = maximum[r];
    f32x16 total = splat(0.0f);
    for (int t = 0; t < page_tokens; t += lanes) {
      f32x16 exact = mask(exp_shifted(logits_of(r, t, options) - phi), 0.0f, t);
      f32x16 p = Softmax::round(exact);
      total += Softmax::summed(exact, p);
      store(&scores[r][t], p);
    }
    sum[r] += reduce_add(total);
  }

  /// output[r + m] = output * rescale + scores . V over the page's first
  /// `count` tokens. V beyond them is never read: it may be NaN. `next` is
  /// fetched.
  template <int M>
  FDPP_NOINLINE void accumulate(const E *values, const E *next, int r,
                                int count) {
    constexpr int full = dims / lanes;
    constexpr int panels = full % 8 == 0 && fits(8, M) ? 8 : panels_for(M);
    int d = 0;
    for (; d + panels <= full; d += panels)
      accumulate_chunks<M, panels>(values, next, r, d, count, lanes);
    for (; d < full; ++d)
      accumulate_chunks<M, 1>(values, next, r, d, count, lanes);
    if constexpr (dims % lanes != 0)
      accumulate_chunks<M, 1>(values, next, r, full, count, dims % lanes);
  }

  template <int M, int Panels>
  FDPP_INLINE void accumulate_chunks(const E *values, const E *next, int r,
                                     int chunk, int count, int valid) {
    Accumulators<Panels, M> acc;
#pragma clang loop unroll(full)
    for (int m = 0; m < M; ++m)
#pragma clang loop unroll(full)
      for (int p = 0; p < Panels; ++p)
        acc[p][m] = load(&output[r + m][(chunk + p) * lanes]) * rescale[r + m];
    const E *from = values + chunk * lanes;
    multiply_rows<Panels, M>(
        acc, count,
        [&](int64_t t, int p) FDPP_INLINE_LAMBDA {
          return load(from + t * dims + p * lanes, valid);
        },
        [&](int64_t t, int m) FDPP_INLINE_LAMBDA { return scores[r + m][t]; },
        [&](int64_t t) FDPP_INLINE_LAMBDA {
          fetch<Panels * lanes, M>(next, chunk * lanes * page_tokens, t);
        });
#pragma clang loop unroll(full)
    for (int m = 0; m < M; ++m)
#pragma clang loop unroll(full)
      for (int p = 0; p < Panels; ++p)
        store(&output[r + m][(chunk + p) * lanes], acc[p][m]);
  }
};

/// The block that reads a cache.
template <class CacheType, class Softmax>
using BlockFor =
    AttentionBlock<typename CacheType::element, CacheType::head_dim,
                   CacheType::page_tokens, typename Softmax::weights>;

/// Slots [begin, end) that token t of sequence s sees.
FDPP_INLINE Range visible_slots(const Batch &batch, int s, int t,
                                const AttentionOptions &options) {
  int end = batch.context[s] - (batch.seq_offsets[s + 1] - t) + 1;
  int begin =
      options.window > 0 && end > options.window ? end - options.window : 0;
  return {begin, end};
}

/// The attention of one layer in a step: what it reads, and which rows it
/// computes how. Row i of a sequence's KV head is query head i % group of its
/// token i / group.
template <int QueryHeads, class CacheType, class Q, class Y>
struct AttentionCall {
  using cache_type = CacheType;
  static constexpr int query_heads = QueryHeads;
  static constexpr int kv_heads = CacheType::kv_heads;
  static constexpr int head_dim = CacheType::head_dim;
  static constexpr int group = QueryHeads / kv_heads;

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

  int query_head(int head, int row) const { return head * group + row % group; }
  int64_t place(int s, int head, int row) const {
    int64_t t = batch.seq_offsets[s] + row / group;
    return t * QueryHeads + query_head(head, row);
  }
  bool wanted(int64_t place) const { return !only || only[place] != 0; }
  float phi_of(int query_head) const {
    return phi ? phi[query_head] : __builtin_nanf("");
  }
  Range slots_of(int s, int row) const {
    return visible_slots(batch, s, batch.seq_offsets[s] + row / group, options);
  }

  /// Adds the wanted rows among `rows` of a KV head to the block, as many as it
  /// holds, and their numbers to which[]. Returns the first row behind them.
  template <class Block>
  FDPP_INLINE int fill(Block &block, int s, int head, Range rows,
                       int *which) const {
    int row = rows.begin;
    for (; row < rows.end && block.rows < Block::max_rows; ++row) {
      int64_t at = place(s, head, row);
      if (!wanted(at))
        continue;
      which[block.rows] = row;
      Range seen = slots_of(s, row);
      block.add_row(query + at * head_dim, head, seen.begin, seen.end,
                    phi_of(query_head(head, row)));
    }
    return row;
  }

  /// Whether a row is valid. One that sees no key is zero and valid.
  void note(Team &team, int s, int row, int64_t place, bool valid) const {
    if (!invalid)
      return;
    invalid[place] = !valid && !slots_of(s, row).empty();
    if (invalid[place])
      team.raise();
  }
};

/// Adds the rows that `invalid` names to counts[layer][QueryHeads], unless that
/// is null.
template <int QueryHeads>
FDPP_INLINE void count_rows(Team &team, const Batch &batch, int layer,
                            const int32_t *invalid, uint64_t *counts) {
  if (!counts || team.index != 0)
    return;
  int64_t begin = int64_t(batch.seq_offsets[0]) * QueryHeads;
  int64_t end = int64_t(batch.seq_offsets[batch.sequences]) * QueryHeads;
  for (int64_t i = begin; i < end; ++i)
    counts[int64_t(layer) * QueryHeads + i % QueryHeads] += invalid[i] != 0;
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_ATTENTION_H
