// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of a step's tokens over the paged cache. A row is one query head of
// one token; a block of threads takes the rows of a token that read one KV head
// and a piece of its slots, which its warps share out 32 slots at a time: a
// thread computes the logits of one slot, and then a few dimensions of what the
// 32 weights add up to. Warps' results, and in decode attention the pieces',
// are combined exactly by their log-sum-exp (Flash-Decoding), or, where all of
// a row's weights are relative to one phi (FlashDecoding++), just added. The
// cut depends on the sequence alone, so a result depends on no other sequence.
#ifndef FDPP_KERNELS_CUDA_ATTENTION_H
#define FDPP_KERNELS_CUDA_ATTENTION_H

#include "kernels/cuda/cache.h"
#include "kernels/cuda/tokens.h"

namespace fdpp::cuda {

/// What a model adds to softmax(q k^T) v.
struct AttentionOptions {
  float scale;       // of the logits
  int window = 0;    // tokens a token sees, itself included; 0: all
  float softcap = 0; // c * tanh(logit / c); 0: none
};

/// A policy says what each row subtracts from its logits. The exact one: a
/// running maximum.
struct ExactSoftmax {
  static constexpr bool async = false;
};

/// The asynchronous policy (FlashDecoding++, arXiv 2311.01282): a number phi
/// that is fixed ahead, so that parts of a row are plain sums. Rows without one
/// (NaN) are exact. Weights are rounded to P; docs/numerics.md has the rule of
/// valid rows and its proof.
template <class P = float> struct AsyncSoftmax {
  static constexpr bool async = true;
  static constexpr float least_sum = std::is_same_v<P, f16> ? 1.0f : 0x1p-84f;
  __device__ static float round(float weight) {
    return widen(narrow<P>(weight));
  }
};

inline constexpr int attention_warps = 4;
inline constexpr int attention_threads = attention_warps * warp_size;
/// Most rows that a block of threads works on at a time.
inline constexpr int attention_rows = 8;
/// Most pieces that decode attention cuts a sequence's slots into, and the
/// least slots of one.
inline constexpr int most_pieces = 16, least_piece = 128;

/// A row's partial result in scratch: numerators, denominator, maximum.
constexpr int partial_floats(int head_dim) { return head_dim + 2; }

/// Bytes of scratch: partial results of every piece.
constexpr int64_t decode_attention_scratch_bytes(int sequences, int query_heads,
                                                 int head_dim,
                                                 int decode_tokens) {
  return int64_t(sequences) * decode_tokens * query_heads * most_pieces *
         partial_floats(head_dim) * 4;
}

/// The attention of one layer in a step: what it reads, and which rows it
/// computes how.
template <int QueryHeads, class CacheType, class Q, class Y>
struct AttentionCall {
  using cache_type = CacheType;
  static constexpr int query_heads = QueryHeads;
  static constexpr int kv_heads = CacheType::kv_heads;
  static constexpr int head_dim = CacheType::head_dim;
  static constexpr int group = QueryHeads / kv_heads;

  Batch batch;
  int layer;
  const Q *query;
  CacheType cache;
  AttentionOptions options;
  Y *out;
  float *partials = nullptr; // of pieces; null: there is one
  /// Of the layer's query heads; null: all rows are exact.
  const float *phi = nullptr;
  /// [T][QueryHeads], out: 1 where a row is not valid, else 0. Null: all are.
  int32_t *invalid = nullptr;
  /// [T][QueryHeads]: only rows that are not 0 there. Null: all.
  const int32_t *only = nullptr;
  /// [QueryHeads] of the layer: counts the rows of `only`; or null.
  unsigned long long *counts = nullptr;

  /// Weights relative to the layer's of phi[layers][QueryHeads].
  void make_async(const float *all, int32_t *where) {
    phi = all ? all + int64_t(layer) * QueryHeads : nullptr;
    invalid = where;
  }
  /// Only the rows that are named, counted in all[layers][QueryHeads].
  void restrict_to(const int32_t *rows, uint64_t *all) {
    static_assert(sizeof(unsigned long long) == sizeof(uint64_t));
    only = rows;
    if (all)
      counts = reinterpret_cast<unsigned long long *>(all) +
               int64_t(layer) * QueryHeads;
  }

  __device__ float phi_of(int head) const {
    return phi ? phi[head] : __int_as_float(0x7fc00000);
  }
  /// The slots token t of sequence s sees: [begin, end).
  __device__ int2 visible(int s, int t) const {
    const int slot = batch.slot_of(s, t);
    const int begin = options.window > 0 && slot >= options.window
                          ? slot - options.window + 1
                          : 0;
    return {begin, slot + 1};
  }
  /// Slots of a piece; those of all pieces are the visible ones.
  __device__ static int piece_size(int2 seen) {
    const int each = (seen.y - seen.x + most_pieces - 1) / most_pieces;
    const int whole = (each + warp_size - 1) / warp_size * warp_size;
    return whole < least_piece ? least_piece : whole;
  }
};

__device__ inline float shifted_exp(float x) {
  // Zero where the weight would be subnormal, as on the CPU; NaN goes through.
  return x < -87.0f ? 0.0f : ::expf(x);
}

/// Writes numerator / denominator of dimension d for a row; zero without a
/// denominator.
template <class Call>
__device__ void write_result(const Call &call, int64_t row, int d,
                             float numerator, float denominator) {
  const float scale = denominator == 0.0f ? 0.0f : 1.0f / denominator;
  store(call.out + row * Call::head_dim + d, numerator * scale);
}

/// Notes whether a row whose weights are relative to a phi is valid. `finite`:
/// all its numerators are.
template <class Softmax, class Call>
__device__ void note(const Call &call, int64_t row, bool fixed,
                     float denominator, bool finite) {
  if constexpr (Softmax::async)
    if (call.invalid)
      call.invalid[row] =
          fixed && !(denominator >= Softmax::least_sum &&
                     denominator < __int_as_float(0x7f800000) && finite);
}

/// Block (piece, KV head, token).
template <class Softmax, class Call>
__global__ void __launch_bounds__(attention_threads)
    attention_kernel(Call call) {
  wait_for_kernel_before();
  using E = typename Call::cache_type::element;
  constexpr int dims = Call::head_dim;
  constexpr int rows =
      Call::group < attention_rows ? Call::group : attention_rows;
  constexpr int own = (dims + warp_size - 1) / warp_size; // dims of a thread
  constexpr int page_tokens = Call::cache_type::page_tokens;
  __shared__ float query[rows][dims];
  __shared__ float numerators[attention_warps][rows][dims];
  __shared__ float sums[attention_warps][rows], maxima[attention_warps][rows];
  const int t = int(blockIdx.z), kv = int(blockIdx.y), part = int(blockIdx.x);
  const int s = call.batch.sequence_of(t);
  if (s < 0)
    return;
  const int warp = int(threadIdx.x) / warp_size;
  const int lane = int(threadIdx.x) % warp_size;
  const int2 seen = call.visible(s, t);
  int begin = seen.x, end = seen.y;
  if (call.partials) {
    const int size = Call::piece_size(seen);
    begin += part * size;
    end = begin + size < end ? begin + size : end;
    if (begin >= seen.y)
      return;
  }
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
    for (int i = threadIdx.x; i < rows * dims; i += attention_threads)
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
        const int page = call.batch.page_of(s, slot, page_tokens);
        const E *key = call.cache.key(
            call.layer, page * page_tokens + slot % page_tokens, kv);
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
        float x = logit[r] * call.options.scale;
        if (call.options.softcap != 0.0f)
          x = call.options.softcap * ::tanhf(x / call.options.softcap);
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
    for (int r = 0; r < count; ++r) {
      const int64_t row = row0 + r;
      if (call.only && call.only[row] == 0)
        continue;
      const float phi = call.phi_of(kv * Call::group + first + r);
      const bool is_fixed = Softmax::async && phi == phi;
      float most = maxima[0][r];
      for (int w = 1; w < attention_warps; ++w)
        most = fmaxf(most, maxima[w][r]);
      float scale[attention_warps], denominator = 0.0f;
      for (int w = 0; w < attention_warps; ++w) {
        scale[w] = is_fixed             ? 1.0f
                   : sums[w][r] == 0.0f ? 0.0f
                                        : shifted_exp(maxima[w][r] - most);
        denominator += scale[w] * sums[w][r];
      }
      int finite = 1;
      for (int d = threadIdx.x; d < dims; d += attention_threads) {
        float numerator = 0.0f;
        for (int w = 0; w < attention_warps; ++w)
          numerator = fmaf(scale[w], numerators[w][r][d], numerator);
        finite &= isfinite(numerator) != 0;
        if (call.partials)
          call.partials[(row * most_pieces + part) * partial_floats(dims) + d] =
              numerator;
        else
          write_result(call, row, d, numerator, denominator);
      }
      if (call.partials) {
        if (threadIdx.x == 0) {
          float *at =
              call.partials + (row * most_pieces + part) * partial_floats(dims);
          at[dims] = denominator;
          at[dims + 1] = most;
        }
        continue;
      }
      finite = __syncthreads_and(finite);
      if (threadIdx.x == 0) {
        note<Softmax>(call, row, is_fixed, denominator, finite != 0);
        if (call.counts)
          atomicAdd(call.counts + row % Call::query_heads, 1ull);
      }
    }
    __syncthreads();
  }
}

/// Block: one row; adds up its pieces in their order.
template <class Softmax, class Call>
__global__ void __launch_bounds__(attention_threads) combine_kernel(Call call) {
  wait_for_kernel_before();
  constexpr int dims = Call::head_dim, floats = partial_floats(dims);
  const int64_t row = blockIdx.x;
  const int t = int(row / Call::query_heads);
  const int s = call.batch.sequence_of(t);
  if (s < 0 || (call.only && call.only[row] == 0))
    return;
  const int2 seen = call.visible(s, t);
  const int size = Call::piece_size(seen);
  const int pieces = (seen.y - seen.x + size - 1) / size;
  const float phi = call.phi_of(int(row % Call::query_heads));
  const bool is_fixed = Softmax::async && phi == phi;
  const float *from = call.partials + row * most_pieces * floats;
  float most = -__int_as_float(0x7f800000);
  for (int i = 0; i < pieces; ++i)
    most = fmaxf(most, from[i * floats + dims + 1]);
  float scale[most_pieces], denominator = 0.0f;
  for (int i = 0; i < pieces; ++i) {
    const float sum = from[i * floats + dims];
    scale[i] = is_fixed      ? 1.0f
               : sum == 0.0f ? 0.0f
                             : shifted_exp(from[i * floats + dims + 1] - most);
    denominator += scale[i] * sum;
  }
  int finite = 1;
  for (int d = threadIdx.x; d < dims; d += attention_threads) {
    float numerator = 0.0f;
    for (int i = 0; i < pieces; ++i)
      numerator = fmaf(scale[i], from[i * floats + d], numerator);
    finite &= isfinite(numerator) != 0;
    write_result(call, row, d, numerator, denominator);
  }
  finite = __syncthreads_and(finite);
  if (threadIdx.x == 0) {
    note<Softmax>(call, row, is_fixed, denominator, finite != 0);
    if (call.counts)
      atomicAdd(call.counts + row % Call::query_heads, 1ull);
  }
}

/// Over all visible slots by one block of threads a row.
template <class Softmax, class Call>
void attend(Stream &stream, const Call &call) {
  stream.launch(attention_kernel<Softmax, Call>,
                dim3(1, Call::kv_heads, unsigned(call.batch.tokens)),
                attention_threads, 0, call);
}
/// The same split over blocks.
template <class Softmax, class Call>
void attend_split(Stream &stream, Call call, void *scratch) {
  call.partials = static_cast<float *>(scratch);
  stream.launch(attention_kernel<Softmax, Call>,
                dim3(most_pieces, Call::kv_heads, unsigned(call.batch.tokens)),
                attention_threads, 0, call);
  stream.launch(combine_kernel<Softmax, Call>,
                dim3(unsigned(call.batch.tokens) * Call::query_heads),
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

/// `scratch` is decode_attention_scratch_bytes(...) bytes.
template <int QueryHeads, class CacheType, class Q, class Y>
void decode_attention(Stream &stream, const Batch &batch, int layer,
                      const Q *query, const CacheType &cache,
                      const AttentionOptions &options, void *scratch, Y *out) {
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  attend_split<ExactSoftmax>(stream, call, scratch);
}

/// The same with weights of format P relative to phi[layer][QueryHeads]; heads
/// whose phi is NaN are exact. invalid[T][QueryHeads]: 1 where the row is not
/// valid and recompute_rows must replace it.
template <int QueryHeads, class P, class CacheType, class Q, class Y>
void async_softmax_decode_attention(Stream &stream, const Batch &batch,
                                    int layer, const Q *query,
                                    const CacheType &cache,
                                    const AttentionOptions &options,
                                    const float *phi, void *scratch, Y *out,
                                    int32_t *invalid) {
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  call.make_async(phi, invalid);
  attend_split<AsyncSoftmax<P>>(stream, call, scratch);
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

/// Replaces the rows that `invalid` names, and adds them to
/// counts[layer][QueryHeads] unless that is null. Blocks without such a row
/// return at once.
template <int QueryHeads, class CacheType, class Q, class Y>
void recompute_rows(Stream &stream, const Batch &batch, int layer,
                    const Q *query, const CacheType &cache,
                    const AttentionOptions &options, const int32_t *invalid,
                    uint64_t *counts, void *scratch, Y *out) {
  AttentionCall<QueryHeads, CacheType, Q, Y> call{batch, layer,   query,
                                                  cache, options, out};
  call.restrict_to(invalid, counts);
  attend_split<ExactSoftmax>(stream, call, scratch);
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

#endif // FDPP_KERNELS_CUDA_ATTENTION_H
