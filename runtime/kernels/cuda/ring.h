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

__device__ inline uint32_t shared_address(const void *at) {
  return uint32_t(__cvta_generic_to_shared(at));
}

/// Waits until the barrier's phase of this parity is over.
__device__ inline void wait_for_phase(uint64_t *barrier, uint32_t parity) {
  asm volatile("{\n"
               ".reg .pred done;\n"
               "again:\n"
               "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
               "@!done bra again;\n"
               "}" ::"r"(shared_address(barrier)),
               "r"(parity)
               : "memory");
}

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
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(
          shared_address(barriers->full + i)));
      asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(
                       shared_address(barriers->empty + i)),
                   "n"(block_warps));
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
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
    const uint32_t full = shared_address(barriers->full + stage);
    uint64_t policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0;"
                 : "=l"(policy));
    asm volatile(
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(full),
        "r"(bytes)
        : "memory");
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes."
        "L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(
            shared_address(stages + stage * stage_bytes)),
        "l"(from), "r"(bytes), "r"(full), "l"(policy)
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
      asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(
                       shared_address(barriers->empty + stage))
                   : "memory");
    next();
  }
};

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_RING_H
