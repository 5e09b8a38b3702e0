// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A linear of at most grid_tokens tokens by the blocks of a grid. Units of W
// come through the ring, two of a block's side by side, so that what a thread
// has of the tokens serves both; every stage holds a tile for each warp. Sums
// are added in the order of linear.h, so its results are the same bits.
#ifndef FDPP_KERNELS_CUDA_GRID_LINEAR_H
#define FDPP_KERNELS_CUDA_GRID_LINEAR_H

#include "kernels/cuda/grid.h"
#include "kernels/cuda/linear.h"

namespace fdpp::cuda {

static_assert(grid_tokens == mma_tokens && linear_warps == block_warps);

/// Units of a block that are read side by side.
inline constexpr int group_units = 2;
/// Sums of a unit in shared memory: neighbouring rows in different banks.
inline constexpr int grid_stride = mma_tokens + 4;
inline constexpr int unit_floats = tile_rows * grid_stride;

/// Bytes of a token's row in shared memory; neighbours are half of the banks
/// apart.
constexpr int staged_row_bytes(int k) { return tiles_of(k) * tile_k * 2 + 64; }
/// Rows that are packed already are read where they are from this size on.
inline constexpr int most_staged_bytes = 64 << 10;
/// In front of the rows: sums of each warp, and of all.
inline constexpr int grid_sums_bytes =
    (block_warps + 1) * group_units * unit_floats * 4;

template <class Prologue, class E>
FDPP_ANY_CONTEXT constexpr bool is_staged(int tokens) {
  return !is_packed<Prologue, E> ||
         tokens * staged_row_bytes(Prologue::columns) <= most_staged_bytes;
}

/// What a thread has of a tile in shared memory. Odd rows' halves are read in
/// the other order: so eight threads' chunks lie in different banks.
__device__ inline TilePart staged_tile(const char *tile, int g, int t) {
  const int odd = g & 1;
  const int chunk[2] = {((t + 4 * odd) ^ g) * 16, ((t + 4 - 4 * odd) ^ g) * 16};
  TilePart part;
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    const char *at = tile + (g + 8 * row) * tile_k * 2;
    const uint4 a = *reinterpret_cast<const uint4 *>(at + chunk[0]);
    const uint4 b = *reinterpret_cast<const uint4 *>(at + chunk[1]);
    part.chunks[0][row] = odd ? b : a;
    part.chunks[1][row] = odd ? a : b;
  }
  return part;
}

template <class Variants, class Prologue, class E, class... Epilogues>
__device__ void linear_by_tokens(Grid &grid, int tokens, const Prologue &rows,
                                 const E *weights, void *,
                                 const Epilogues &...epilogues) {
  if (tokens == 0)
    return;
  constexpr int k = Prologue::columns, tiles = tiles_of(k);
  constexpr int units = units_of<Epilogues...>();
  constexpr int pitch = staged_row_bytes(k) / 2; // elements
  const int warp = thread_index() / warp_size;
  const int lane = thread_index() % warp_size, g = lane / 4, t = lane % 4;
  float *partial = reinterpret_cast<float *>(grid.shared);
  float *totals = partial + block_warps * group_units * unit_floats;
  E *staged = reinterpret_cast<E *>(grid.shared + grid_sums_bytes);
  grid.arrive();
  const ThreadParameters<Prologue> parameters(rows);
  grid.wait();
  // A column beyond the tokens repeats one; nobody reads its sums.
  const int token = g < tokens ? g : 0;
  const E *row = staged + token * pitch;
  if (is_staged<Prologue, E>(tokens)) {
    auto put = [&](int token, int k, const auto &values) {
      store_vector(staged + token * pitch + k, values);
    };
    if (tokens == 1)
      for_each_element<1>(rows, parameters, 0, 1, put);
    else
      for_each_element<grid_tokens>(rows, parameters, 0, tokens, put);
    if constexpr (constexpr int padding = tiles * tile_k - k; padding > 0)
      for (int i = thread_index(); i < tokens * padding; i += block_threads)
        put(i / padding, k + i % padding, (const float[1]){0.0f});
    block_barrier();
  } else if constexpr (is_packed<Prologue, E>) {
    row = rows.x + int64_t(token) * k;
  }
  for (int unit = grid.share.take(units); unit < units;
       unit += group_units * int(gridDim.x)) {
    const int count = unit + int(gridDim.x) < units ? 2 : 1;
    float sums[group_units][4] = {};
#pragma unroll 2
    for (int base = 0; base < tiles; base += stage_tiles) {
      const int tile = base + warp;
      const bool mine = tiles % stage_tiles == 0 || tile < tiles;
      TokenPart v;
      if (mine)
        v = load_token(row + tile * tile_k + t * 8);
#pragma unroll
      for (int i = 0; i < group_units; ++i) {
        if (i >= count)
          break;
        const char *stage = grid.ring.wait();
        TilePart w;
        if (mine)
          w = staged_tile(stage + warp * tile_bytes, g, t);
        grid.ring.release();
        if (mine)
          multiply<E>(sums[i], w, v);
      }
    }
#pragma unroll
    for (int i = 0; i < group_units; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        partial[(warp * group_units + i) * unit_floats +
                (g + j / 2 * 8) * grid_stride + 2 * t + j % 2] = sums[i][j];
    block_barrier();
    for (int i = thread_index(); i < group_units * unit_floats;
         i += block_threads) {
      float sum = partial[i];
#pragma unroll
      for (int w = 1; w < block_warps; ++w)
        sum += partial[w * group_units * unit_floats + i];
      totals[i] = sum;
    }
    block_barrier();
    // The units at the same time.
    constexpr int threads = block_threads / group_units;
    if (const int i = thread_index() / threads; i < count)
      run_epilogues<threads>(
          thread_index() % threads, unit + i * int(gridDim.x), 0, tokens,
          totals + i * unit_floats, grid_stride, epilogues...);
  }
}

/// Copies this block's units in the order in which they are read.
template <class Variants, class Prologue, class E, class... Epilogues>
__device__ void linear_by_tokens(Loader &loader, int tokens, const Prologue &,
                                 const E *weights, void *,
                                 const Epilogues &...) {
  if (tokens == 0)
    return;
  constexpr int tiles = tiles_of(Prologue::columns);
  constexpr int units = units_of<Epilogues...>();
  for (int unit = loader.share.take(units); unit < units;
       unit += group_units * int(gridDim.x))
    for (int base = 0; base < tiles; base += stage_tiles)
      for (int i = 0; i < group_units; ++i) {
        const int64_t at = unit + i * int(gridDim.x);
        const int left = tiles - base;
        if (at < units)
          loader.copy(weights + (at * tiles + base) * tile_rows * tile_k,
                      (left < stage_tiles ? left : stage_tiles) * tile_bytes);
      }
}

template <class Variants, class Prologue, class E, class... Epilogues>
void linear_by_tokens(GridNeeds &needs, int tokens, const Prologue &, const E *,
                      void *, const Epilogues &...) {
  constexpr int k = Prologue::columns;
  needs.possible &= tokens <= grid_tokens;
  needs.add(grid_sums_bytes + (is_staged<Prologue, E>(tokens)
                                   ? tokens * staged_row_bytes(k)
                                   : 0));
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_GRID_LINEAR_H
