// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How a linear by wgmma (wgmma_linear.h) is shared out over a device's blocks,
// and what it takes. The times are those of an H200, fitted to chains of the
// linears of Llama-3.2-1B and Llama-3-8B (docs/cuda.md#linears-of-many-tokens);
// what counts is which of two is less.
#ifndef FDPP_KERNELS_CUDA_WGMMA_PLAN_H
#define FDPP_KERNELS_CUDA_WGMMA_PLAN_H

#include "kernels/common/tiles.h"

namespace fdpp::cuda {

/// Units of W in a tile, a warp each.
inline constexpr int tile_of_units = 8;
inline constexpr int wgmma_rows = tile_of_units * tile_rows;

/// W as tiles see it: [row_tiles][steps] of 128 rows and 64 elements of k.
struct TiledWeights {
  int row_tiles, steps;
};

/// Tiles of `tokens` tokens. The first `cut` are shared out by steps of k, so
/// that each block has as many as any other; the others one by one.
struct TilePlan {
  int tokens, cut, blocks;
  float us; // estimated
};

/// A step of 64 elements of k: of the only block of tokens or one of several,
/// to each of which L2 gives W; `from_memory`: all blocks read W at once.
inline float step_us(int tile_tokens, bool only, bool from_memory) {
  if (only && from_memory && tile_tokens <= 128)
    return tile_tokens <= 32 ? 0.50f : 0.53f;
  return tile_tokens <= 32    ? only ? 0.30f : 0.41f
         : tile_tokens <= 64  ? only ? 0.36f : 0.40f
         : tile_tokens <= 128 ? 0.43f
                              : 0.76f;
}

inline constexpr float launch_us = 3.0f, epilogue_us_of_token = 0.9f / 32;

inline int tiles_of_plan(TiledWeights w, int tokens, int tile_tokens) {
  return w.row_tiles * ((tokens + tile_tokens - 1) / tile_tokens);
}

/// No tile is cut.
inline TilePlan whole_tiles(TiledWeights w, int tokens, int tile_tokens,
                            int blocks) {
  const int tiles = tiles_of_plan(w, tokens, tile_tokens);
  const int waves = (tiles + blocks - 1) / blocks;
  const int busy = tiles < blocks ? tiles : blocks;
  // Few blocks are not held up by memory.
  const bool from_memory = 2 * busy > blocks;
  return {tile_tokens, 0, busy,
          launch_us +
              float(waves) *
                  (float(w.steps) * step_us(tile_tokens, tokens <= tile_tokens,
                                            from_memory) +
                   epilogue_us_of_token * float(tile_tokens))};
}

/// Tiles that would not keep all blocks busy are cut: all, or of more than
/// there are blocks, those of the last two rounds. Cuts that fall between the
/// steps of one tile and another's are for nothing.
inline TilePlan cut_tiles(TiledWeights w, int tokens, int tile_tokens,
                          int blocks) {
  const int tiles = tiles_of_plan(w, tokens, tile_tokens);
  const int rest = tiles % blocks;
  if (rest == 0)
    return whole_tiles(w, tokens, tile_tokens, blocks);
  // Blocks that have less than this are not worth their place.
  constexpr int least_steps = 4;
  bool aligned = false;
  int cut = tiles, used = blocks;
  if (tiles > blocks) {
    cut = blocks + rest;
  } else {
    const int each = blocks / tiles; // of a tile
    const int most = w.steps / least_steps > 1 ? w.steps / least_steps : 1;
    aligned = most <= each || 10 * tiles * each >= 9 * blocks;
    if (aligned)
      used = tiles * (each < most ? each : most);
  }
  const float whole = float((tiles - cut) / blocks);
  const float steps = float(cut) * float(w.steps) / float(used);
  const float adding = aligned ? 3.0f + 0.05f * float(tile_tokens)
                               : 6.0f + 0.08f * float(tile_tokens);
  return {tile_tokens, cut, used,
          launch_us +
              (steps + whole * float(w.steps)) *
                  step_us(tile_tokens, tokens <= tile_tokens, true) +
              whole * epilogue_us_of_token * float(tile_tokens) + adding};
}

/// The best of them.
inline TilePlan best_tiles(TiledWeights w, int tokens, int blocks) {
  TilePlan best = whole_tiles(w, tokens, 32, blocks);
  for (int tile_tokens : {32, 64, 128, 256}) {
    if (tile_tokens > 32 && tile_tokens >= 2 * tokens)
      break;
    for (const TilePlan &plan : {whole_tiles(w, tokens, tile_tokens, blocks),
                                 cut_tiles(w, tokens, tile_tokens, blocks)})
      if (plan.us < best.us)
        best = plan;
  }
  return best;
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_WGMMA_PLAN_H
