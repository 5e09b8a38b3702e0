// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//   y[T, N] = prologue(x)[T, K] . W[N, K]^T, given value by value to epilogues
//
// One packed copy of W (common/tiles.h) serves every T. A block of threads
// takes a unit of 16 rows of W; its warps share out the tiles along K, multiply
// them by mma.m16n8k16 with W as the wide operand and tokens as the narrow one,
// 8 at a time, and add their results up in the order of the warps.
//
// No shared memory lies between W and the registers. The fragments of an mma
// may take the elements of k in any order as long as W and x take the same one:
// a thread reads 16 bytes, 8 neighbouring k, of each of its two rows of W and
// of its token, and they are its elements of two mma.
#ifndef FDPP_KERNELS_CUDA_LINEAR_H
#define FDPP_KERNELS_CUDA_LINEAR_H

#include "kernels/cuda/epilogues.h"
#include "kernels/cuda/prologue.h"
#include "kernels/cuda/wgmma_linear.h"

namespace fdpp::cuda {

//===----------------------------------------------------------------------===//
// Variants.
//===----------------------------------------------------------------------===//

/// A variant: most tokens of a block of threads. Bytes of weights on their way
/// are the hardware's here, and not chosen.
template <int Tokens, int = 0> struct Variant {
  static constexpr int tokens = Tokens;
};

/// Variant V for at most `Limit` tokens.
template <int Limit, class V> struct UpTo {
  static constexpr int limit = Limit;
  using variant = V;
};
template <class V> using Otherwise = UpTo<INT32_MAX, V>;

/// Ranges with increasing limits; the first whose limit is at least the number
/// of tokens counts.
template <class... Ranges> struct ByTokens {};

template <class Range, class... Rest>
constexpr int tokens_of_variant(ByTokens<Range, Rest...>, int tokens) {
  if constexpr (sizeof...(Rest) > 0)
    if (tokens > Range::limit)
      return tokens_of_variant(ByTokens<Rest...>(), tokens);
  return Range::variant::tokens;
}

//===----------------------------------------------------------------------===//
// The kernel.
//===----------------------------------------------------------------------===//

inline constexpr int linear_warps = 8;
inline constexpr int linear_threads = linear_warps * warp_size;
static_assert(linear_threads == block_threads);
/// Tokens that one mma multiplies.
inline constexpr int mma_tokens = 8;

/// What a thread has of a tile of W: its chunks of rows g and g + 8, of the
/// tile's first and second half.
struct TilePart {
  uint4 chunks[2][2];
};

/// `at` is row g of the tile; `chunk`, the elements at which its chunks lie.
template <class E>
__device__ TilePart load_tile(const E *at, const int (&chunk)[2]) {
  TilePart part;
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int row = 0; row < 2; ++row)
      part.chunks[half][row] = load_once(at + row * 8 * tile_k + chunk[half]);
  return part;
}

/// What a thread has of a token beside that: chunk t of each half.
struct TokenPart {
  uint4 chunks[2];
};

template <class E> __device__ TokenPart load_token(const E *at) {
  return {{*reinterpret_cast<const uint4 *>(at),
           *reinterpret_cast<const uint4 *>(at + tile_k / 2)}};
}

/// Adds the product of a tile and 8 tokens.
template <class E>
__device__ void multiply(float (&sums)[4], const TilePart &w,
                         const TokenPart &v) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint4 &a = w.chunks[half][0], &b = w.chunks[half][1];
    const uint4 &x = v.chunks[half];
    mma<E>(sums, {a.x, b.x, a.y, b.y}, x.x, x.y);
    mma<E>(sums, {a.z, b.z, a.w, b.w}, x.z, x.w);
  }
}

/// Block (unit, block of tokens) of `Columns` groups of 8; x is
/// [tokens][tiles_of(K) * 64].
template <int K, int Columns, class E, class... Epilogues>
__global__ void __launch_bounds__(linear_threads)
    linear_kernel(int tokens, const E *x, const E *weights,
                  Epilogues... epilogues) {
  constexpr int tiles = tiles_of(K), width = Columns * mma_tokens;
  constexpr int stride = width + 4; // neighbouring rows in different banks
  __shared__ float partial[linear_warps][tile_rows * stride];
  const int warp = thread_index() / warp_size;
  const int lane = thread_index() % warp_size, g = lane / 4, t = lane % 4;
  const int first = int(blockIdx.y) * width;
  const int count = tokens - first < width ? tokens - first : width;
  // Row g and g + 8 of a tile have one swizzle.
  const int chunk[2] = {(t ^ g) * 8, ((t + 4) ^ g) * 8};
  // Tiles of a warp on their way; and parts of tokens, none where a warp has no
  // more tiles than that: more blocks in the place of registers are better.
  constexpr int stages = Columns <= 2 ? 4 : 2;
  constexpr int token_stages = Columns > 2                     ? 1
                               : tiles > stages * linear_warps ? stages
                                                               : 0;
  const int unit = int(blockIdx.x);
  const E *from =
      weights + int64_t(unit) * tiles * tile_rows * tile_k + g * tile_k;
  auto fetch_weights = [&](TilePart &part, int tile) {
    if (tile < tiles)
      part = load_tile(from + int64_t(tile) * tile_rows * tile_k, chunk);
  };
  // A column beyond the tokens repeats one; nobody reads its sums.
  const E *rows[Columns];
#pragma unroll
  for (int c = 0; c < Columns; ++c) {
    const int token = c * mma_tokens + g;
    rows[c] = x + int64_t(first + (token < count ? token : 0)) * tiles * tile_k;
  }
  auto fetch_tokens = [&](TokenPart(&part)[Columns], int tile) {
    if (tile < tiles)
#pragma unroll
      for (int c = 0; c < Columns; ++c)
        part[c] = load_token(rows[c] + tile * tile_k + t * 8);
  };
  TilePart w[stages];
  TokenPart v[token_stages ? token_stages : 1][Columns];
#pragma unroll
  for (int i = 0; i < stages; ++i)
    fetch_weights(w[i], warp + i * linear_warps);
  wait_for_kernel_before(); // the first weights come meanwhile
#pragma unroll
  for (int i = 0; i < token_stages; ++i)
    fetch_tokens(v[i], warp + i * linear_warps);
  float sums[Columns][4] = {};
  for (int begin = warp; begin < tiles; begin += stages * linear_warps) {
#pragma unroll
    for (int stage = 0; stage < stages; ++stage) {
      const int tile = begin + stage * linear_warps;
      if (tile >= tiles)
        break;
      TokenPart(&now)[Columns] = v[token_stages ? stage % token_stages : 0];
      if constexpr (token_stages == 0)
        fetch_tokens(now, tile);
#pragma unroll
      for (int c = 0; c < Columns; ++c)
        multiply<E>(sums[c], w[stage], now[c]);
      fetch_weights(w[stage], tile + stages * linear_warps);
      if constexpr (token_stages > 0)
        fetch_tokens(now, tile + token_stages * linear_warps);
    }
  }
#pragma unroll
  for (int c = 0; c < Columns; ++c)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      partial[warp][(g + i / 2 * 8) * stride + c * mma_tokens + 2 * t + i % 2] =
          sums[c][i];
  __syncthreads();
  for (int i = thread_index(); i < tile_rows * stride; i += linear_threads) {
    float sum = partial[0][i];
#pragma unroll
    for (int w = 1; w < linear_warps; ++w)
      sum += partial[w][i];
    partial[0][i] = sum;
  }
  __syncthreads();
  run_epilogues<linear_threads>(thread_index(), unit, first, count, partial[0],
                                stride, epilogues...);
}

//===----------------------------------------------------------------------===//
// Launching.
//===----------------------------------------------------------------------===//

/// Bytes of scratch: the tokens' rows behind the prologue, in the weight's
/// type.
constexpr int64_t linear_scratch_bytes(int tokens, int k, int /*threads*/) {
  return int64_t(tokens) * tiles_of(k) * tile_k * 2;
}

/// True for rows that are what the kernel reads already.
template <class Prologue, class E> inline constexpr bool is_packed = false;
template <int K, class E>
inline constexpr bool is_packed<Rows<K, E>, E> = K % tile_k == 0;

template <int K, int Columns, class E, class... Epilogues>
void launch_linear(Stream &stream, int tokens, const E *x, const E *weights,
                   const Epilogues &...epilogues) {
  constexpr int units = units_of<Epilogues...>();
  constexpr int width = Columns * mma_tokens;
  stream.launch(linear_kernel<K, Columns, E, Epilogues...>,
                dim3(unsigned(units), unsigned((tokens + width - 1) / width)),
                linear_threads, 0, tokens, x, weights, epilogues...);
}

/// The linear by the variant that `Variants` names for this many tokens.
/// `weights` holds the segments of the epilogues one after another; `scratch`
/// is linear_scratch_bytes(tokens, K, 0) bytes, 128-aligned.
template <class Variants, class Prologue, class E, class... Epilogues>
void linear_by_tokens(Stream &stream, int tokens, const Prologue &rows,
                      const E *weights, void *scratch,
                      const Epilogues &...epilogues) {
  constexpr int k = Prologue::columns, padded = tiles_of(k) * tile_k;
  // A step may want no logits at all.
  if (tokens == 0)
    return;
  const E *x;
  if constexpr (is_packed<Prologue, E>) {
    x = rows.x;
  } else {
    x = static_cast<E *>(scratch);
    stream.run(tokens, PrologueBody<padded, Prologue, E>{
                           rows, static_cast<E *>(scratch)});
  }
  if (stream.wgmma && tokens > mma_tokens)
    return launch_wgmma<k>(stream,
                           best_tiles(tiled_weights<k, Epilogues...>(), tokens,
                                      stream.wgmma->blocks),
                           tokens, x, weights, epilogues...);
  int most = tokens_of_variant(Variants(), tokens);
  most = tokens < most ? tokens : most;
  if (most <= 8)
    launch_linear<k, 1>(stream, tokens, x, weights, epilogues...);
  else if (most <= 16)
    launch_linear<k, 2>(stream, tokens, x, weights, epilogues...);
  else if (most <= 32)
    launch_linear<k, 4>(stream, tokens, x, weights, epilogues...);
  else
    launch_linear<k, most_block_tokens / mma_tokens>(stream, tokens, x, weights,
                                                     epilogues...);
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_LINEAR_H
