// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A linear of more tokens than a narrow mma takes, by wgmma: batches and
// prompts. W is the wide operand as it lies packed, tokens the narrow one. A
// block multiplies a tile of 128 rows of W and 32 to 256 tokens at a time: one
// thread copies what 64 elements of k need of both into a ring of stages in
// shared memory, and two groups of four warps multiply 64 rows each.
//
// Tiles go to the blocks one after another. Where they cannot be shared out
// evenly, some are cut along k (Stream-K; Osama et al., arXiv 2301.03598): each
// block has as many steps of them as any other. Those that share a tile put
// their sums into global memory, wait for each other and add up some tokens
// each, in the order of k.
//
// For sm_90a alone.
#ifndef FDPP_KERNELS_CUDA_WGMMA_LINEAR_H
#define FDPP_KERNELS_CUDA_WGMMA_LINEAR_H

#include "kernels/cuda/epilogues.h"
#include "kernels/cuda/stream.h"
#include "kernels/cuda/wgmma.h"
#include "kernels/cuda/wgmma_plan.h"

namespace fdpp::cuda {

/// A warp computes each unit of W in a tile; one copies.
inline constexpr int wgmma_computing_threads = tile_of_units * warp_size;
inline constexpr int wgmma_threads = wgmma_computing_threads + warp_size;
/// Most tokens of a tile.
inline constexpr int wgmma_tokens = 256;
/// Blocks at most: what a Hopper has of processors.
inline constexpr int wgmma_blocks = 132;

/// Bytes of one step of k in shared memory.
constexpr int wgmma_stage_bytes(int tokens) {
  return (wgmma_rows + tokens) * tile_k * 2;
}
/// Stages of a ring. Of few tokens two kernels' blocks have room beside each
/// other, so that weights of the next come while the last of one compute.
constexpr int wgmma_stages(int tokens) {
  const int bytes = tokens <= 64 ? 96 << 10 : 192 << 10;
  return bytes / wgmma_stage_bytes(tokens);
}

/// Tokens whose sums of a unit lie in shared memory at a time, for epilogues.
inline constexpr int staged_tokens = 32, staged_stride = staged_tokens + 1;
inline constexpr int staged_floats = tile_rows * staged_stride;

constexpr int wgmma_shared_bytes(int tokens) {
  return 1024 + wgmma_stages(tokens) * wgmma_stage_bytes(tokens) +
         tile_of_units * staged_floats * 4;
}

/// Global memory of tiles that are cut: sums of two tiles of each block, and
/// where the blocks of each tile meet, zeros between kernels.
struct CutTiles {
  float *sums;
  unsigned *meetings;
};
inline constexpr int most_cut_tiles = 2 * wgmma_blocks;
/// Of steps of at most so many tokens.
constexpr int64_t cut_sums_bytes(int tokens) {
  int tile_tokens = 32;
  while (tile_tokens < tokens && tile_tokens < wgmma_tokens)
    tile_tokens *= 2;
  return int64_t(2) * wgmma_blocks * wgmma_rows * tile_tokens * 4;
}

/// Which steps of which tiles are a block's: the first `cut` tiles are shared
/// out by steps, the others one by one.
class TileShare {
public:
  struct Piece {
    int tile, begin, end; // steps of k
  };

  __device__ TileShare(int tiles, int cut, int steps)
      : tiles(tiles), cut(cut), steps(steps), at(first_of(int(blockIdx.x))),
        end(first_of(int(blockIdx.x) + 1)), next(cut + int(blockIdx.x)) {}

  /// False when there is no more.
  __device__ bool take(Piece &piece) {
    if (at < end) {
      piece.tile = int(at / steps);
      piece.begin = int(at % steps);
      const int64_t left = end - at;
      piece.end = left < steps - piece.begin ? piece.begin + int(left) : steps;
      at += piece.end - piece.begin;
      return true;
    }
    piece = {next, 0, steps};
    next += int(gridDim.x);
    return piece.tile < tiles;
  }

  /// The first and last block that have steps of a tile that is cut.
  __device__ int2 owners(int tile) const {
    return {owner_of(int64_t(tile) * steps),
            owner_of(int64_t(tile + 1) * steps - 1)};
  }

private:
  /// Steps of tiles that are cut, in front of block b's.
  __device__ int64_t first_of(int b) const {
    return int64_t(cut) * steps * b / int(gridDim.x);
  }
  /// The block that has a step: the last whose first is not behind it.
  __device__ int owner_of(int64_t step) const {
    const int64_t all = int64_t(cut) * steps;
    return int(((step + 1) * int(gridDim.x) + all - 1) / all) - 1;
  }

  int tiles, cut, steps;
  int64_t at, end;
  int next;
};

/// Where `count` blocks wait for each other. Nothing says that they are on the
/// device at the same time, as they are unless others share it; so one that has
/// waited too long gives up and leaves its part to the last that comes. By one
/// thread of each block.
class Meeting {
public:
  __device__ Meeting(unsigned *word, int count) : word(word), count(count) {}

  /// What is to be said behind it.
  __device__ unsigned come() { return add_and_show(word, 1); }
  /// Waits for the others; gives the part of `all` that this block, number
  /// `index`, is to do: [x, y).
  __device__ int2 wait(unsigned before, int index, int all) {
    const int2 mine = {index * all / count, (index + 1) * all / count};
    if (come_of(before) + 1 == count)
      return before & given_up ? int2{0, all} : mine;
    for (int looks = 0;; ++looks) {
      const unsigned seen = look(word);
      if (seen & given_up)
        return {0, 0};
      if (come_of(seen) == count)
        return mine;
      if (looks >= most_looks && atomicCAS(word, seen, seen | given_up) == seen)
        return {0, 0};
    }
  }
  /// The last that leaves leaves zero.
  __device__ void leave() {
    const unsigned before = add_and_show(word, one_left);
    if (int(before >> 12 & 0xfff) + 1 == count)
      *word = 0;
  }

private:
  static constexpr unsigned one_left = 1u << 12, given_up = 1u << 24;
  __device__ static int come_of(unsigned seen) { return int(seen & 0xfff); }

  unsigned *word;
  int count;
};

/// The sums of 128 rows and `Tokens` tokens that a block's computing threads
/// have, groups of 8 tokens with 4 sums a thread.
template <int Tokens> class TileSums {
public:
  static constexpr int groups = Tokens / 8;
  /// Groups that lie in shared memory at a time.
  static constexpr int staged =
      groups < staged_tokens / 8 ? groups : staged_tokens / 8;
  float of[4 * groups];

  /// Writes them to where place `slot` is.
  __device__ void put(float *sums, int slot) const {
#pragma unroll
    for (int i = 0; i < groups; ++i)
      *place(sums, slot, i) =
          make_float4(of[4 * i], of[4 * i + 1], of[4 * i + 2], of[4 * i + 3]);
  }

  /// Writes a warp's groups from `staged` * chunk on to shared memory, row by
  /// row.
  __device__ void stage(int chunk, float *to) const {
#pragma unroll
    for (int c = 0; c < groups / staged; ++c)
      if (c == chunk)
#pragma unroll
        for (int i = 0; i < staged; ++i)
          stage_group(&of[4 * (c * staged + i)], i, to);
  }

  /// The same of group `first` + i, if it lies in front of `end`, added up from
  /// what blocks `owners` put: the first at its second place.
  __device__ static void stage_sums(float *sums, int2 owners, int first,
                                    int end, float *to) {
    float total[staged][4] = {};
#pragma unroll 2
    for (int b = owners.x; b <= owners.y; ++b)
#pragma unroll
      for (int i = 0; i < staged; ++i)
        if (first + i < end) {
          const float4 part =
              __ldcg(place(sums, 2 * b + (b == owners.x), first + i));
          total[i][0] += part.x;
          total[i][1] += part.y;
          total[i][2] += part.z;
          total[i][3] += part.w;
        }
#pragma unroll
    for (int i = 0; i < staged; ++i)
      stage_group(total[i], i, to);
  }

private:
  __device__ static float4 *place(float *sums, int slot, int group) {
    return reinterpret_cast<float4 *>(sums +
                                      int64_t(slot) * wgmma_rows * Tokens) +
           group * wgmma_computing_threads + thread_index();
  }
  __device__ static void stage_group(const float *from, int i, float *to) {
    const int lane = thread_index() % warp_size, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int j = 0; j < 4; ++j)
      to[(g + j / 2 * 8) * staged_stride + i * 8 + 2 * t + j % 2] = from[j];
  }
};

template <int K, class... Epilogues> constexpr TiledWeights tiled_weights() {
  constexpr int units = units_of<Epilogues...>();
  return {(units + tile_of_units - 1) / tile_of_units, tiles_of(K)};
}

template <int K, int Tokens, class E, class... Epilogues>
__global__ void __launch_bounds__(wgmma_threads, Tokens <= 64 ? 2 : 1)
    wgmma_linear_kernel(const __grid_constant__ TensorMap weights,
                        const __grid_constant__ TensorMap x, int tokens,
                        int cut, CutTiles space, Epilogues... epilogues) {
#ifdef FDPP_HAS_WGMMA
  constexpr int steps = tiles_of(K), stages = wgmma_stages(Tokens);
  constexpr int stage_bytes = wgmma_stage_bytes(Tokens);
  constexpr int row_tiles = tiled_weights<K, Epilogues...>().row_tiles;
  __shared__ uint64_t full[stages], empty[stages];
  __shared__ int2 mine;
  char *memory = dynamic_shared();
  const int token_blocks = (tokens + Tokens - 1) / Tokens;
  const int thread = thread_index(), warp = thread / warp_size;
  if (thread == 0) {
    for (int i = 0; i < stages; ++i) {
      initialise_barrier(full + i, 1);
      initialise_barrier(empty + i, tile_of_units);
    }
    finish_initialising();
  }
  __syncthreads();
  TileShare share(row_tiles * token_blocks, cut, steps);
  auto unit_of = [&](int tile) { return tile / token_blocks * tile_of_units; };
  TileShare::Piece piece;
  if (warp == tile_of_units) {
    // Weights of the first stages come before what is behind the wait does.
    auto copy_weights = [&](const TileShare::Piece &piece, int step, int stage,
                            uint64_t policy) {
      arrive_and_expect(full + stage, stage_bytes);
      copy_box(memory + stage * stage_bytes, weights, 0, step * tile_rows,
               unit_of(piece.tile), full + stage, policy);
    };
    const bool leads = thread % warp_size == 0;
    const uint64_t once =
        copy_policy(token_blocks == 1 ? Keep::once : Keep::longer);
    const uint64_t longer = copy_policy(Keep::longer);
    int early = 0;
    if (leads)
      for (TileShare ahead = share; early < stages && ahead.take(piece);)
        for (int k = piece.begin; k < piece.end && early < stages; ++k)
          copy_weights(piece, k, early++, once);
    wait_for_kernel_before();
    if (!leads)
      return;
    show_to_copies();
    int stage = 0, copied = 0;
    uint32_t parity = 0;
    while (share.take(piece))
      for (int k = piece.begin; k < piece.end; ++k) {
        if (copied++ >= early) {
          wait_for_phase(empty + stage, parity ^ 1);
          copy_weights(piece, k, stage, once);
        }
        copy_box(memory + stage * stage_bytes + wgmma_rows * tile_k * 2, x,
                 k * tile_k, piece.tile % token_blocks * Tokens, full + stage,
                 longer);
        if (++stage == stages) {
          stage = 0;
          parity ^= 1;
        }
      }
    return;
  }
  wait_for_kernel_before();
  float *staged = reinterpret_cast<float *>(memory + stages * stage_bytes) +
                  warp * staged_floats;
  constexpr int chunk_tokens = 8 * TileSums<Tokens>::staged;
  auto tokens_of = [&](int tile) {
    const int left = tokens - tile % token_blocks * Tokens;
    return left < Tokens ? left : Tokens;
  };
  // Gives the epilogues what is staged of a tile's tokens from `at` on.
  auto finish = [&](int tile, int at, int end) {
    __syncwarp();
    const int count = tokens_of(tile), left = (end < count ? end : count) - at;
    run_epilogues_by_columns(unit_of(tile) + warp,
                             tile % token_blocks * Tokens + at,
                             left < chunk_tokens ? left : chunk_tokens, staged,
                             staged_stride, epilogues...);
    __syncwarp();
  };
  auto meeting_of = [&](int tile) {
    const int2 owners = share.owners(tile);
    return Meeting(space.meetings + tile, owners.y - owners.x + 1);
  };
  auto release = [&](int stage) {
    if (thread % warp_size == 0)
      arrive(empty + stage);
  };
  // A block has at most one piece that ends a tile that others began, and one
  // that begins a tile that others end.
  int ended = -1, begun = -1;
  unsigned came_ended = 0, came_begun = 0;
  int stage = 0;
  uint32_t parity = 0;
  while (share.take(piece)) {
    TileSums<Tokens> sums = {};
    int before = -1; // the stage whose products may not be done
    for (int k = piece.begin; k < piece.end; ++k) {
      wait_for_phase(full + stage, parity);
      const char *at = memory + stage * stage_bytes;
      const uint64_t w =
          matrix_in_shared(at + warp / 4 * 4 * tile_rows * tile_k * 2);
      const uint64_t v = matrix_in_shared(at + wgmma_rows * tile_k * 2);
      begin_products();
#pragma unroll
      for (int i = 0; i < tile_k / 16; ++i)
        wgmma<E, Tokens>(sums.of, w + 2 * i, v + 2 * i);
      end_products();
      wait_for_products<1>();
      if (before >= 0)
        release(before);
      before = stage;
      if (++stage == stages) {
        stage = 0;
        parity ^= 1;
      }
    }
    wait_for_products<0>();
    release(before);
    if (piece.end - piece.begin == steps) {
      for (int chunk = 0; chunk * chunk_tokens < tokens_of(piece.tile);
           ++chunk) {
        sums.stage(chunk, staged);
        finish(piece.tile, chunk * chunk_tokens, Tokens);
      }
      continue;
    }
    // Others need these, so they come before this block waits for any.
    sums.put(space.sums, 2 * int(blockIdx.x) + (piece.begin == 0));
    block_barrier();
    const unsigned came = thread == 0 ? meeting_of(piece.tile).come() : 0;
    if (piece.begin == 0) {
      begun = piece.tile;
      came_begun = came;
    } else {
      ended = piece.tile;
      came_ended = came;
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int tile = i == 0 ? ended : begun;
    if (tile < 0)
      continue;
    const int2 owners = share.owners(tile);
    Meeting meeting = meeting_of(tile);
    if (thread == 0)
      mine =
          meeting.wait(i == 0 ? came_ended : came_begun,
                       int(blockIdx.x) - owners.x, (tokens_of(tile) + 7) / 8);
    block_barrier();
    const int2 groups = mine;
    for (int group = groups.x; group < groups.y;
         group += TileSums<Tokens>::staged) {
      TileSums<Tokens>::stage_sums(space.sums, owners, group, groups.y, staged);
      finish(tile, 8 * group, 8 * groups.y);
    }
    block_barrier(); // all has been read
    if (thread == 0)
      meeting.leave();
  }
#endif
}

//===----------------------------------------------------------------------===//
// Launching.
//===----------------------------------------------------------------------===//

/// Steps of at most so many tokens are as fast by the kernels of linear.h, or
/// faster: one kernel instead of a chain, or tokens in L1, which stages leave
/// nothing of.
inline constexpr int most_narrow_tokens = 32;

/// What a stream has of it.
struct WgmmaSupport {
  EncodeTensorMap encode = nullptr; // null: none
  int blocks = 0;                   // at most wgmma_blocks
  CutTiles space = {};
};

/// Tiles of so many tokens.
template <int K, int Tokens, class E, class... Epilogues>
void launch_wgmma_tiles(Stream &stream, const TilePlan &plan, int tokens,
                        const E *x, const E *weights,
                        const Epilogues &...epilogues) {
  constexpr int steps = tiles_of(K), units = units_of<Epilogues...>();
  const WgmmaSupport &support = *stream.wgmma;
  TensorMap weights_map, x_map;
  constexpr uint64_t row = tile_k * 2, token = steps * row;
  if (!make_tensor_map<3>(support.encode, weights_map, weights,
                          {tile_k, uint64_t(steps) * tile_rows, units},
                          {row, token * tile_rows},
                          {tile_k, tile_rows, tile_of_units}, false) ||
      !make_tensor_map<2>(support.encode, x_map, x,
                          {uint64_t(steps) * tile_k, uint64_t(tokens)}, {token},
                          {tile_k, Tokens}, true))
    return stream.fail(cudaErrorInvalidValue);
  stream.launch_with_shared(wgmma_linear_kernel<K, Tokens, E, Epilogues...>,
                            dim3(unsigned(plan.blocks)), wgmma_threads,
                            wgmma_shared_bytes(Tokens), weights_map, x_map,
                            tokens, plan.cut, support.space, epilogues...);
}

/// The linear for rows x[tokens][tiles_of(K) * 64].
template <int K, class E, class... Epilogues>
void launch_wgmma(Stream &stream, const TilePlan &plan, int tokens, const E *x,
                  const E *weights, const Epilogues &...epilogues) {
  if (plan.tokens == 32)
    launch_wgmma_tiles<K, 32>(stream, plan, tokens, x, weights, epilogues...);
  else if (plan.tokens == 64)
    launch_wgmma_tiles<K, 64>(stream, plan, tokens, x, weights, epilogues...);
  else if (plan.tokens == 128)
    launch_wgmma_tiles<K, 128>(stream, plan, tokens, x, weights, epilogues...);
  else
    launch_wgmma_tiles<K, 256>(stream, plan, tokens, x, weights, epilogues...);
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_WGMMA_LINEAR_H
