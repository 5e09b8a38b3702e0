// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A whole decode step as one kernel. A block a processor stays for the step;
// between two kernels of the chain there is a barrier of all blocks. The
// emitted step runs in each block twice, by two contexts: Grid, whose threads
// compute, and Loader, one thread that goes through the step's linears only and
// copies the weights of this block into its ring (ring.h) as fast as it
// empties. Weights depend on nothing, so the Loader waits for no barrier:
// memory is read on while the blocks wait for each other, attend and normalize.
//
// The host asks GridNeeds, the same step again, what a block needs and whether
// a step can run so.
#ifndef FDPP_KERNELS_CUDA_GRID_H
#define FDPP_KERNELS_CUDA_GRID_H

#include "kernels/cuda/ring.h"

namespace fdpp::cuda {

/// The architecture that steps are one kernel on. Newer ones have all that it
/// takes; but nvcc 13.0 spills registers of it for sm_100a, and nobody has
/// measured it there.
#define FDPP_GRID_ARCH 90
inline constexpr int grid_arch = FDPP_GRID_ARCH;
/// Most tokens of a step that one kernel runs.
inline constexpr int grid_tokens = 8;
/// Computing threads and, for the sake of registers, a group of four warps for
/// those that move weights.
inline constexpr int grid_threads = block_threads + 4 * warp_size;
/// Registers of a thread of each; 168 is what they are launched with.
inline constexpr int computing_registers = 240, moving_registers = 24;

template <int Registers> __device__ void take_registers() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ / 10 == FDPP_GRID_ARCH
  if constexpr (Registers > 168)
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
  else
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
#endif
}

/// What blocks know of each other, in global memory: zeros between steps.
struct GridState {
  unsigned long long arrived; // blocks at barriers; above bit 32, flags
  unsigned int left;          // blocks that are done
};

/// Round robin over the blocks, and the next linear begins where one ended: a
/// few units more in one are a few less in another.
class UnitShare {
public:
  /// The first of `units` that is this block's; others are gridDim.x further.
  __device__ int take(int units) {
    const int blocks = int(gridDim.x);
    int first = int(blockIdx.x) - begun;
    first += first < 0 ? blocks : 0;
    begun = (begun + units) % blocks;
    return first;
  }

private:
  int begun = 0;
};

/// The computing threads of a block.
class Grid {
public:
  __device__ Grid(GridState *state, const Ring &ring, char *shared)
      : ring(ring), shared(shared), state(state) {}

  template <class Body> __device__ void run(int64_t blocks, const Body &body) {
    if constexpr (Prepares<Body>) {
      run_prepared(blocks, body, true);
    } else {
      arrive();
      wait();
      run_from_first(blocks, body);
    }
  }

  /// The same for what reads nothing that a body before wrote, and writes
  /// nothing that one before reads.
  template <class Body>
  __device__ void run_first(int64_t blocks, const Body &body) {
    run_from_first(blocks, body);
  }

  /// Only if the body before gave true to some thread.
  template <class Body>
  __device__ void run_if_flagged(int64_t blocks, const Body &body) {
    arrive();
    if (wait())
      run_first(blocks, body);
  }

  /// A barrier of all blocks: what they wrote before they arrive can be read
  /// when they have waited. What depends on nothing of that is best done in
  /// between.
  __device__ void arrive() {
    const bool any = block_any(flag);
    flag = false;
    if (thread_index() == 0) {
      target += gridDim.x;
      const unsigned long long one = 1 + ((any ? 1ull : 0ull) << 32);
      asm volatile(
          "red.release.gpu.global.add.u64 [%0], %1;" ::"l"(&state->arrived),
          "l"(one)
          : "memory");
    }
  }
  /// True if a body gave true to some thread since the barrier before.
  __device__ bool wait() {
    __shared__ int flagged;
    if (thread_index() == 0) {
      unsigned long long seen;
      do {
        asm volatile("ld.acquire.gpu.global.u64 %0, [%1];"
                     : "=l"(seen)
                     : "l"(&state->arrived)
                     : "memory");
      } while (uint32_t(seen) < target);
      flagged = uint32_t(seen >> 32) != flags;
      flags = uint32_t(seen >> 32);
    }
    block_barrier();
    return flagged != 0;
  }

  __device__ void done(const char *, int) {}

  /// After the last body: the last block leaves the state as it was.
  __device__ void leave() {
    block_barrier();
    if (threadIdx.x == 0 &&
        atomicInc(&state->left, gridDim.x - 1) == gridDim.x - 1)
      state->arrived = 0;
  }

  Ring ring;
  UnitShare share;
  char *shared; // of bodies and of a linear's rows

private:
  template <class Body>
  __device__ void run_from_first(int64_t blocks, const Body &body) {
    if constexpr (Prepares<Body>)
      run_prepared(blocks, body, false);
    else
      for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x)
        body(int(block), shared);
  }
  template <class Body>
  __device__ void run_prepared(int64_t blocks, const Body &body,
                               bool behind_barrier) {
    int64_t block = blockIdx.x;
    if (behind_barrier)
      arrive();
    auto ready = body.prepare(block < blocks ? int(block) : -1);
    if (behind_barrier)
      wait();
    while (block < blocks) {
      flag |= body(int(block), shared, ready);
      block += gridDim.x;
      ready = body.prepare(block < blocks ? int(block) : -1);
    }
  }

  /// A barrier of the computing threads; true if `value` is for one of them.
  __device__ static bool block_any(bool value) {
    int any;
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "setp.ne.s32 p, %1, 0;\n"
                 "bar.red.or.pred p, 1, %2, p;\n"
                 "selp.s32 %0, 1, 0, p;\n"
                 "}"
                 : "=r"(any)
                 : "r"(int(value)), "n"(block_threads)
                 : "memory");
    return any != 0;
  }

  GridState *state;
  bool flag = false;
  uint32_t target = 0, flags = 0; // of thread 0
};

/// Copies on their way at a time. They are enough to keep memory busy; more
/// only queue up, and barriers and tokens behind them.
inline constexpr unsigned most_copies = 3;
static_assert(most_copies < least_stages);

/// The thread that copies weights.
class Loader {
public:
  __device__ explicit Loader(const Ring &ring) : ring(ring) {}

  template <class Body> __device__ void run(int64_t, const Body &) {}
  template <class Body> __device__ void run_first(int64_t, const Body &) {}
  template <class Body> __device__ void run_if_flagged(int64_t, const Body &) {}
  __device__ void done(const char *, int) {}

  /// Copies what the ring's next stage is to hold.
  __device__ void copy(const void *from, int bytes) {
    if (copies >= most_copies)
      ring.wait_for_copy(copies - most_copies);
    ring.copy(from, bytes);
    ++copies;
  }

  UnitShare share;

private:
  Ring ring;
  unsigned copies = 0;
};

/// What a block needs of shared memory beside its ring.
class GridNeeds {
public:
  template <class Body> void run(int64_t, const Body &) {
    add(Body::shared_bytes);
  }
  template <class Body> void run_first(int64_t, const Body &) {
    add(Body::shared_bytes);
  }

  template <class Body> void run_if_flagged(int64_t, const Body &) {
    add(Body::shared_bytes);
  }

  void done(const char *, int) {}

  void add(int bytes) { shared_bytes = std::max(shared_bytes, bytes); }

  int shared_bytes = 0;
  bool possible = true; // can the step run as a grid at all
};

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_GRID_H
