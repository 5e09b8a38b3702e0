// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A ring of stages in shared memory through which weights come: one warp of a
// block copies them in, in bulk, the others take them out. A stage is full when
// its bytes are there, and empty when every computing warp has read its part.
// From sm_90 on.
#ifndef FDPP_KERNELS_CUDA_RING_H
#define FDPP_KERNELS_CUDA_RING_H

#include "kernels/common/tiles.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/stream.h"
#include "kernels/cuda/wgmma.h"

namespace fdpp::cuda {

inline constexpr int block_warps = block_threads / warp_size;
/// Tiles of W in a stage: one for each computing warp.
inline constexpr int stage_tiles = block_warps;
inline constexpr int tile_bytes = tile_rows * tile_k * 2;
inline constexpr int stage_bytes = stage_tiles * tile_bytes;
inline constexpr int most_stages = 13, least_stages = 4;

/// Phases of the stages, in shared memory.
struct RingBarriers {
  uint64_t full[most_stages], empty[most_stages];
};

/// A place in the ring, which both sides step through alike.
struct Ring {
  char *stages; // [count][stage_bytes], 1024-aligned
  RingBarriers *barriers;
  int count;
  int stage = 0;
  uint32_t parity = 0;

  /// By one thread, before any other uses the ring.
  __device__ void initialise() const {
    for (int i = 0; i < count; ++i) {
      initialise_barrier(barriers->full + i, 1);
      initialise_barrier(barriers->empty + i, block_warps);
    }
    finish_initialising();
  }

  __device__ void next() {
    if (++stage == count) {
      stage = 0;
      parity ^= 1;
    }
  }

  /// Copies `bytes` (a multiple of 16) of what is read once into the next
  /// stage, when that is empty. By one thread.
  __device__ void copy(const void *from, int bytes) {
    wait_for_phase(barriers->empty + stage, parity ^ 1);
    uint64_t *full = barriers->full + stage;
    arrive_and_expect(full, bytes);
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes."
        "L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(
            shared_address(stages + stage * stage_bytes)),
        "l"(from), "r"(bytes), "r"(shared_address(full)),
        "l"(copy_policy(Keep::once))
        : "memory");
    next();
  }

  /// Waits until copy `number`, counted from 0, has arrived.
  __device__ void wait_for_copy(unsigned number) const {
    wait_for_phase(barriers->full + number % count, number / count & 1);
  }

  /// The next stage, when it is full. By all threads of a warp.
  __device__ const char *wait() const {
    wait_for_phase(barriers->full + stage, parity);
    return stages + stage * stage_bytes;
  }
  /// Gives the stage back: this warp has read its part.
  __device__ void release() {
    __syncwarp();
    if (thread_index() % warp_size == 0)
      arrive(barriers->empty + stage);
    next();
  }
};

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_RING_H
