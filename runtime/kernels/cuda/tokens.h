// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels about tokens: where each is cached, its rotary angles, its embedding
// row, and which rows want logits.
#ifndef FDPP_KERNELS_CUDA_TOKENS_H
#define FDPP_KERNELS_CUDA_TOKENS_H

#include "kernels/common/tiles.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/stream.h"

namespace fdpp::cuda {

/// The sequences of a step, as the step ABI lays them out, on the device.
struct Batch {
  int tokens;                 // T, of the whole step
  int sequences;              // S
  const int32_t *seq_offsets; // [S + 1]
  const int32_t *context;     // [S], the step's tokens included
  const int32_t *pages;       // [S][max_pages]
  int max_pages;
  unsigned int *tickets;  // [T][KV heads], zeros between kernels
  bool invariant = false; // no sequence is cut by the others' lengths

  /// The sequences [first, end) alone; token indices stay those of the step.
  __host__ __device__ Batch range(int first, int end) const {
    return {tokens,
            end - first,
            seq_offsets + first,
            context + first,
            pages + int64_t(first) * max_pages,
            max_pages,
            tickets,
            invariant};
  }

  /// The sequence of token t, -1 if it is of none of these.
  __device__ int sequence_of(int t) const {
    if (sequences == 0 || t < seq_offsets[0])
      return -1;
    for (int s = 0; s < sequences; ++s)
      if (t < seq_offsets[s + 1])
        return s;
    return -1;
  }
  /// The slot of token t of sequence s.
  __device__ int slot_of(int s, int t) const {
    return context[s] - (seq_offsets[s + 1] - t);
  }
  /// The first slot of sequence s that this step writes.
  __device__ int first_new_slot(int s) const {
    return slot_of(s, seq_offsets[s]);
  }
  __device__ int page_of(int s, int slot, int page_tokens) const {
    return pages[int64_t(s) * max_pages + slot / page_tokens];
  }
};

/// Blocks for `count` elements, one a thread.
FDPP_ANY_CONTEXT inline int64_t blocks_for(int64_t count) {
  return (count + block_threads - 1) / block_threads;
}
__device__ inline int64_t element_index(int block) {
  return int64_t(block) * block_threads + thread_index();
}

template <int PageTokens> struct TokenSlotsBody {
  static constexpr int shared_bytes = 0;
  Batch batch;
  int32_t *slots;

  __device__ void operator()(int block, char *) const {
    const int64_t t = element_index(block);
    if (t >= batch.tokens)
      return;
    const int s = batch.sequence_of(int(t)), slot = batch.slot_of(s, int(t));
    slots[t] =
        batch.page_of(s, slot, PageTokens) * PageTokens + slot % PageTokens;
  }
};

/// slots[t] = page * page_tokens + offset of the cache slot that token t is
/// stored in.
template <int PageTokens, class Context>
FDPP_ANY_CONTEXT void token_slots(Context &context, const Batch &batch,
                                  int32_t *slots) {
  context.run_first(blocks_for(batch.tokens),
                    TokenSlotsBody<PageTokens>{batch, slots});
}

template <int Half> struct RopeTableBody {
  static constexpr int shared_bytes = 0;
  int tokens;
  const int32_t *positions;
  const float *inv_freq;
  float *cosine, *sine;
  float magnitude;

  __device__ void operator()(int block, char *) const {
    const int64_t i = element_index(block);
    if (i >= int64_t(tokens) * Half)
      return;
    float s, c;
    ::sincosf(float(positions[i / Half]) * inv_freq[i % Half], &s, &c);
    cosine[i] = c * magnitude;
    sine[i] = s * magnitude;
  }
};

/// cosine[t][i], sine[t][i] of the angle positions[t] * inv_freq[i], which is
/// rounded to f32 as the reference models do, times `magnitude`.
template <int Half, class Context>
FDPP_ANY_CONTEXT void rope_table(Context &context, int tokens,
                                 const int32_t *positions,
                                 const float *inv_freq, float *cosine,
                                 float *sine, float magnitude = 1.0f) {
  context.run_first(blocks_for(int64_t(tokens) * Half),
                    RopeTableBody<Half>{tokens, positions, inv_freq, cosine,
                                        sine, magnitude});
}

/// How an embedding table lies in memory.
enum class Table {
  rows,  // [vocabulary][Width]
  packed // the tiles of the lm_head, for tied embeddings
};

template <Table Layout, int Width, class E> struct EmbedBody {
  static constexpr int shared_bytes = 0;
  const int32_t *tokens;
  const E *table;
  float *out;
  float scale;

  __device__ void operator()(int t, char *) const {
    const int id = tokens[t];
    for (int k = thread_index(); k < Width; k += block_threads) {
      int64_t at = Layout == Table::rows ? int64_t(id) * Width + k
                                         : tile_index(id, k, Width);
      out[int64_t(t) * Width + k] = load(table + at) * scale;
    }
  }
};

/// out[t] = table[tokens[t]] * scale. The ids are the caller's to check.
template <Table Layout, int Width, class Context, class E>
FDPP_ANY_CONTEXT void embed(Context &context, int count, const int32_t *tokens,
                            const E *table, float *out, float scale = 1.0f) {
  context.run_first(count,
                    EmbedBody<Layout, Width, E>{tokens, table, out, scale});
}

template <int Width, class X> struct SelectRowsBody {
  static constexpr int shared_bytes = 0;
  const int32_t *rows;
  const X *x;
  X *out;

  __device__ void operator()(int r, char *) const {
    const int64_t from = rows[r];
    for (int k = thread_index(); k < Width; k += block_threads)
      out[int64_t(r) * Width + k] = x[from * Width + k];
  }
};

/// out[r] = x[rows[r]].
template <int Width, class Context, class X>
FDPP_ANY_CONTEXT void select_rows(Context &context, int count,
                                  const int32_t *rows, const X *x, X *out) {
  context.run(count, SelectRowsBody<Width, X>{rows, x, out});
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_TOKENS_H
