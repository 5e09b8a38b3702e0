// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of a step's new tokens: a block of threads takes the rows of a
// token that read one KV head. Its warps share out the slots, 32 at a time: a
// thread computes the logits of one slot, and then a few dimensions of what the
// 32 weights add up to.
#ifndef FDPP_KERNELS_CUDA_PREFILL_ATTENTION_H
#define FDPP_KERNELS_CUDA_PREFILL_ATTENTION_H

#include "kernels/cuda/matrix_prefill.h"

namespace fdpp::cuda {

inline constexpr int attention_warps = 4;
inline constexpr int attention_threads = attention_warps * warp_size;
/// Most rows that a block of threads works on at a time.
inline constexpr int attention_rows = 8;

/// Block (KV head, token).
template <class Softmax, class Call>
__global__ void __launch_bounds__(attention_threads)
    attention_kernel(Call call) {
  wait_for_kernel_before();
  using E = typename Call::cache_type::element;
  constexpr int dims = Call::head_dim;
  constexpr int rows =
      Call::group < attention_rows ? Call::group : attention_rows;
  constexpr int own = (dims + warp_size - 1) / warp_size; // dims of a thread
  __shared__ float query[rows][dims];
  __shared__ float numerators[attention_warps][rows][dims];
  __shared__ float sums[attention_warps][rows], maxima[attention_warps][rows];
  const int t = int(blockIdx.y), kv = int(blockIdx.x);
  const int s = call.batch.sequence_of(t);
  if (s < 0)
    return;
  const int warp = thread_index() / warp_size;
  const int lane = thread_index() % warp_size;
  const int2 seen = call.visible(s, t);
  const int begin = seen.x, end = seen.y;
  const E *values =
      static_cast<const E *>(call.cache.pages) + Call::cache_type::to_values;
  for (int first = 0; first < Call::group; first += rows) {
    const int count = Call::group - first < rows ? Call::group - first : rows;
    const int64_t row0 =
        int64_t(t) * Call::query_heads + kv * Call::group + first;
    bool wanted = !call.only;
    for (int r = 0; r < count && !wanted; ++r)
      wanted = call.only[row0 + r] != 0;
    if (!wanted)
      continue;
    for (int i = thread_index(); i < rows * dims; i += attention_threads)
      // Rounded to the cache's type, as on every target.
      query[i / dims][i % dims] =
          i / dims < count
              ? widen(narrow<E>(load(call.query + row0 * dims + i)))
              : 0.0f;
    __syncthreads();
    float maximum[rows], sum[rows], output[rows][own];
    bool fixed[rows];
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      const float phi =
          r < count ? call.phi_of(kv * Call::group + first + r) : 0.0f;
      fixed[r] = Softmax::async && phi == phi;
      maximum[r] = fixed[r] ? phi : -__int_as_float(0x7f800000);
      sum[r] = 0.0f;
#pragma unroll
      for (int i = 0; i < own; ++i)
        output[r][i] = 0.0f;
    }
    for (int base = begin + warp * warp_size; base < end;
         base += attention_threads) {
      const int slot = base + lane;
      const bool visible = slot < end;
      float logit[rows] = {};
      // Of the slot's key; its value lies a plane further.
      int64_t offset = 0;
      if (visible) {
        const E *key = call.key_of(s, slot, kv);
        offset = key - static_cast<const E *>(call.cache.pages);
        for (int d = 0; d < dims; d += 8) {
          constexpr int words = sizeof(E) * 8 / 16;
          uint4 packed[words];
#pragma unroll
          for (int i = 0; i < words; ++i)
            packed[i] = reinterpret_cast<const uint4 *>(key + d)[i];
          const E *of_key = reinterpret_cast<const E *>(packed);
#pragma unroll
          for (int i = 0; i < 8; ++i) {
            const float k = widen(of_key[i]);
#pragma unroll
            for (int r = 0; r < rows; ++r)
              logit[r] = fmaf(k, query[r][d + i], logit[r]);
          }
        }
      }
#pragma unroll
      for (int r = 0; r < rows; ++r) {
        const float x = call.logit(logit[r]);
        float weight;
        if (Softmax::async && fixed[r]) {
          weight = shifted_exp(x - maximum[r]);
          if constexpr (Softmax::async)
            weight = Softmax::round(weight);
        } else {
          const float most = fmaxf(
              maximum[r], warp_max(visible ? x : -__int_as_float(0x7f800000)));
          const float scale = shifted_exp(maximum[r] - most);
          sum[r] *= scale;
#pragma unroll
          for (int i = 0; i < own; ++i)
            output[r][i] *= scale;
          maximum[r] = most;
          weight = shifted_exp(x - most);
        }
        logit[r] = visible ? weight : 0.0f;
        sum[r] += warp_sum(logit[r]);
      }
      const int keys = end - base < warp_size ? end - base : warp_size;
#pragma unroll 4
      for (int j = 0; j < keys; ++j) {
        const E *value =
            values + __shfl_sync(0xffffffffu, (long long)offset, j);
        float weight[rows];
#pragma unroll
        for (int r = 0; r < rows; ++r)
          weight[r] = __shfl_sync(0xffffffffu, logit[r], j);
#pragma unroll
        for (int i = 0; i < own; ++i) {
          const int d = lane + i * warp_size;
          if (d >= dims)
            continue;
          const float v = load(value + d);
#pragma unroll
          for (int r = 0; r < rows; ++r)
            output[r][i] = fmaf(weight[r], v, output[r][i]);
        }
      }
    }
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      if (lane == 0) {
        sums[warp][r] = sum[r];
        maxima[warp][r] = maximum[r];
      }
#pragma unroll
      for (int i = 0; i < own; ++i)
        if (lane + i * warp_size < dims)
          numerators[warp][r][lane + i * warp_size] = output[r][i];
    }
    __syncthreads();
    // A warp a row.
    for (int r = warp; r < count; r += attention_warps) {
      const int64_t row = row0 + r;
      if (call.only && call.only[row] == 0)
        continue;
      const float phi = call.phi_of(kv * Call::group + first + r);
      const bool is_fixed = Softmax::async && phi == phi;
      float most = maxima[0][r];
      for (int w = 1; w < attention_warps; ++w)
        most = fmaxf(most, maxima[w][r]);
      float denominator = 0.0f, total[own] = {};
      for (int w = 0; w < attention_warps; ++w) {
        const float scale = is_fixed ? 1.0f
                            : sums[w][r] == 0.0f
                                ? 0.0f
                                : shifted_exp(maxima[w][r] - most);
        denominator += scale * sums[w][r];
#pragma unroll
        for (int i = 0; i < own; ++i)
          if (lane + i * warp_size < dims)
            total[i] =
                fmaf(scale, numerators[w][r][lane + i * warp_size], total[i]);
      }
      write_row<Softmax>(call, row, is_fixed, total, denominator);
    }
    __syncthreads();
  }
}

template <class Softmax, class Call>
void attend(Stream &stream, const Call &call) {
  using Matrix = MatrixPrefill<Softmax, Call, 2>;
  if constexpr (Matrix::possible)
    if (Call::kv_heads * Matrix::blocks(call) >= enough_blocks)
      launch_matrix_prefill<Softmax, 2>(stream, call);
    else
      launch_matrix_prefill<Softmax, 1>(stream, call);
  else
    stream.launch(attention_kernel<Softmax, Call>,
                  dim3(Call::kv_heads, unsigned(call.batch.tokens)),
                  attention_threads, 0, call);
}

template <int QueryHeads, class CacheType, class Q, class Y>
void prefill_attention(Stream &stream, const Batch &batch, int layer,
                       const Q *query, const CacheType &cache,
                       const AttentionOptions &options, Y *out) {
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  attend<ExactSoftmax>(stream, call);
}

template <int QueryHeads, class P, class CacheType, class Q, class Y>
void async_softmax_prefill_attention(Stream &stream, const Batch &batch,
                                     int layer, const Q *query,
                                     const CacheType &cache,
                                     const AttentionOptions &options,
                                     const float *phi, Y *out,
                                     int32_t *invalid) {
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  call.make_async(phi, invalid);
  attend<AsyncSoftmax<P>>(stream, call);
}

template <int QueryHeads, class CacheType, class Q, class Y>
void recompute_prefill_rows(Stream &stream, const Batch &batch, int layer,
                            const Q *query, const CacheType &cache,
                            const AttentionOptions &options,
                            const int32_t *invalid, uint64_t *counts, Y *out) {
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  call.restrict_to(invalid, counts);
  attend<ExactSoftmax>(stream, call);
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_PREFILL_ATTENTION_H
