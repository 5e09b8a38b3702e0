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

  /// The sequences [first, end) alone; token indices stay those of the step.
  __host__ __device__ Batch range(int first, int end) const {
    return {tokens,
            end - first,
            seq_offsets + first,
            context + first,
            pages + int64_t(first) * max_pages,
            max_pages};
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
  __device__ int page_of(int s, int slot, int page_tokens) const {
    return pages[int64_t(s) * max_pages + slot / page_tokens];
  }
};

/// Threads of a block whose threads work on elements of their own.
inline constexpr int element_threads = 256;

/// Blocks for `count` elements.
inline dim3 blocks_for(int64_t count) {
  return dim3(unsigned((count + element_threads - 1) / element_threads));
}
__device__ inline int64_t element_index() {
  return int64_t(blockIdx.x) * element_threads + threadIdx.x;
}

template <int PageTokens>
__global__ void __launch_bounds__(element_threads)
    token_slots_kernel(Batch batch, int32_t *slots) {
  wait_for_kernel_before();
  const int64_t t = element_index();
  if (t >= batch.tokens)
    return;
  const int s = batch.sequence_of(int(t)), slot = batch.slot_of(s, int(t));
  slots[t] =
      batch.page_of(s, slot, PageTokens) * PageTokens + slot % PageTokens;
}

/// slots[t] = page * page_tokens + offset of the cache slot that token t is
/// stored in.
template <int PageTokens>
void token_slots(Stream &stream, const Batch &batch, int32_t *slots) {
  stream.launch(token_slots_kernel<PageTokens>, blocks_for(batch.tokens),
                element_threads, 0, batch, slots);
}

template <int Half>
__global__ void __launch_bounds__(element_threads)
    rope_table_kernel(int tokens, const int32_t *positions,
                      const float *inv_freq, float *cosine, float *sine,
                      float magnitude) {
  wait_for_kernel_before();
  const int64_t i = element_index();
  if (i >= int64_t(tokens) * Half)
    return;
  float s, c;
  ::sincosf(float(positions[i / Half]) * inv_freq[i % Half], &s, &c);
  cosine[i] = c * magnitude;
  sine[i] = s * magnitude;
}

/// cosine[t][i], sine[t][i] of the angle positions[t] * inv_freq[i], which is
/// rounded to f32 as the reference models do, times `magnitude`.
template <int Half>
void rope_table(Stream &stream, int tokens, const int32_t *positions,
                const float *inv_freq, float *cosine, float *sine,
                float magnitude = 1.0f) {
  stream.launch(rope_table_kernel<Half>, blocks_for(int64_t(tokens) * Half),
                element_threads, 0, tokens, positions, inv_freq, cosine, sine,
                magnitude);
}

/// How an embedding table lies in memory.
enum class Table {
  rows,  // [vocabulary][Width]
  packed // the tiles of the lm_head, for tied embeddings
};

template <Table Layout, int Width, class E>
__global__ void __launch_bounds__(element_threads)
    embed_kernel(const int32_t *tokens, const E *table, float *out,
                 float scale) {
  wait_for_kernel_before();
  const int t = int(blockIdx.x), id = tokens[t];
  for (int k = threadIdx.x; k < Width; k += element_threads) {
    int64_t at = Layout == Table::rows ? int64_t(id) * Width + k
                                       : tile_index(id, k, Width);
    out[int64_t(t) * Width + k] = load(table + at) * scale;
  }
}

/// out[t] = table[tokens[t]] * scale. The ids are the caller's to check.
template <Table Layout, int Width, class E>
void embed(Stream &stream, int count, const int32_t *tokens, const E *table,
           float *out, float scale = 1.0f) {
  stream.launch(embed_kernel<Layout, Width, E>, dim3(unsigned(count)),
                element_threads, 0, tokens, table, out, scale);
}

template <int Width, class X>
__global__ void __launch_bounds__(element_threads)
    select_rows_kernel(const int32_t *rows, const X *x, X *out) {
  wait_for_kernel_before();
  const int64_t r = blockIdx.x, from = rows[r];
  for (int k = threadIdx.x; k < Width; k += element_threads)
    out[r * Width + k] = x[from * Width + k];
}

/// out[r] = x[rows[r]].
template <int Width, class X>
void select_rows(Stream &stream, int count, const int32_t *rows, const X *x,
                 X *out) {
  stream.launch(select_rows_kernel<Width, X>, dim3(unsigned(count)),
                element_threads, 0, rows, x, out);
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_TOKENS_H
