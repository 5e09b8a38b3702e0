// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bytes of scratch that the CPU kernels need, an upper bound for every arch.
// A kernel uses its scratch only between its call and its return, so one
// buffer of the largest size serves a whole step. Plain C++20: the compiler
// plans with the same functions that an engine calls.
#ifndef FDPP_KERNELS_COMMON_SCRATCH_H
#define FDPP_KERNELS_COMMON_SCRATCH_H

#include <cstdint>

namespace fdpp {

constexpr int64_t align_bytes(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// Activations of one token in the order the tile kernels read them.
constexpr int64_t activation_bytes(int k) {
  return align_bytes(int64_t(k + 1) * 4);
}

/// linear(): the tokens' activations, shared by the team; for one token a
/// private copy per thread, which saves a barrier.
constexpr int64_t linear_scratch_bytes(int tokens, int k, int threads) {
  int64_t copies = tokens > threads ? tokens : threads;
  return copies * activation_bytes(k);
}

/// Weights that a thread unpacks for one call of a library's sgemm: so many
/// columns (rows of W) of so much of the inner dimension, 384 KiB.
inline constexpr int library_block_columns = 256, library_block_depth = 384;

/// library_gemm(): the unpacked weights of each thread.
constexpr int64_t library_scratch_bytes(int threads) {
  return int64_t(threads) * library_block_columns * library_block_depth * 4;
}

/// Most pieces that decode_attention cuts one sequence's cache into.
inline constexpr int max_attention_splits = 16;

/// One row's partial result: numerators (an even number, as stored),
/// denominator and maximum.
constexpr int attention_partial_floats(int head_dim) {
  return ((head_dim + 1) / 2 * 2 + 2 + 15) / 16 * 16;
}

/// decode_attention(): partial results of every piece. `decode_tokens` is the
/// most tokens a sequence may bring.
constexpr int64_t decode_attention_scratch_bytes(int sequences, int query_heads,
                                                 int head_dim,
                                                 int decode_tokens) {
  return int64_t(sequences) * query_heads * decode_tokens *
         max_attention_splits * attention_partial_floats(head_dim) * 4;
}

} // namespace fdpp

#endif // FDPP_KERNELS_COMMON_SCRATCH_H
