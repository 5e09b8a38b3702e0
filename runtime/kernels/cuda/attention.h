// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What attention over the paged cache is called with. A row is one query head
// of one token; parts of a row are combined exactly by their log-sum-exp
// (Flash-Decoding), or, where all of its weights are relative to one phi
// (FlashDecoding++), just added.
#ifndef FDPP_KERNELS_CUDA_ATTENTION_H
#define FDPP_KERNELS_CUDA_ATTENTION_H

#include "kernels/cuda/cache.h"
#include "kernels/cuda/tokens.h"

namespace fdpp::cuda {

/// A row's partial result: numerators, denominator, maximum.
constexpr int partial_floats(int head_dim) { return head_dim + 2; }

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

/// True if weights that are rounded to E are what a policy asks for.
template <class Softmax, class E> inline constexpr bool keeps = true;
template <class P, class E>
inline constexpr bool keeps<AsyncSoftmax<P>, E> = std::is_same_v<P, E>;

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
  /// Of the layer's query heads; null: all rows are exact.
  const float *phi = nullptr;
  /// [T][QueryHeads], out: 1 where a row is not valid, else 0. Null: all are.
  int32_t *invalid = nullptr;
  /// [T][QueryHeads]: only rows that are not 0 there. Null: all.
  const int32_t *only = nullptr;
  /// [QueryHeads] of the layer: counts the rows of `only`; or null.
  unsigned long long *counts = nullptr;

  /// Weights relative to the layer's of phi[layers][QueryHeads].
  FDPP_ANY_CONTEXT void make_async(const float *all, int32_t *where) {
    phi = all ? all + int64_t(layer) * QueryHeads : nullptr;
    invalid = where;
  }
  /// Only the rows that are named, counted in all[layers][QueryHeads].
  FDPP_ANY_CONTEXT void restrict_to(const int32_t *rows, uint64_t *all) {
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
  /// A slot's key; its value lies to_values further.
  __device__ const typename CacheType::element *key_of(int s, int slot,
                                                       int kv) const {
    constexpr int tokens = CacheType::page_tokens;
    const int page = batch.page_of(s, slot, tokens);
    return cache.key(layer, page * tokens + slot % tokens, kv);
  }
  /// The logit of a product q . k.
  __device__ float logit(float product) const {
    const float x = product * options.scale;
    return options.softcap != 0.0f
               ? options.softcap * ::tanhf(x / options.softcap)
               : x;
  }
};

__device__ inline float shifted_exp(float x) {
  // Zero where the weight would be subnormal, as on the CPU; NaN goes through.
  return x < -87.0f ? 0.0f : ::expf(x);
}

/// Notes whether a row whose weights are relative to a phi is valid, and counts
/// rows that are redone. True for a row that is not valid.
template <class Softmax, class Call>
__device__ bool note_row(const Call &call, int64_t row, bool fixed,
                         float denominator, bool finite) {
  bool invalid = false;
  if constexpr (Softmax::async)
    invalid = fixed && !(denominator >= Softmax::least_sum &&
                         denominator < __int_as_float(0x7f800000) && finite);
  if (Softmax::async && call.invalid)
    call.invalid[row] = invalid;
  if (call.counts)
    atomicAdd(call.counts + row % Call::query_heads, 1ull);
  return invalid;
}

/// Of dims of a row that a warp has, thread by thread, the results: numerators
/// divided by the denominator, zeros without one. True for a row that is not
/// valid, in thread 0. By all threads of a warp.
template <class Softmax, class Call, int Own>
__device__ bool write_row(const Call &call, int64_t row, bool fixed,
                          const float (&numerators)[Own], float denominator) {
  constexpr int dims = Call::head_dim;
  const int lane = thread_index() % warp_size;
  const float scale = denominator == 0.0f ? 0.0f : 1.0f / denominator;
  bool finite = true;
#pragma unroll
  for (int i = 0; i < Own; ++i) {
    const int d = lane + i * warp_size;
    if (d >= dims)
      continue;
    finite &= isfinite(numerators[i]);
    store(call.out + row * dims + d, numerators[i] * scale);
  }
  finite = __all_sync(0xffffffffu, finite);
  return lane == 0 && note_row<Softmax>(call, row, fixed, denominator, finite);
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_ATTENTION_H
