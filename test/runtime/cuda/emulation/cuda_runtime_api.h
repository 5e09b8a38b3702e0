// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// CUDA's words for a processor, as far as kernels/cuda uses them, so that its
// kernels run in tests where no GPU is. The threads of a block are fibers of
// one thread: each runs until it waits for others, in a warp's shuffle or at a
// barrier, and blocks run one after another. A block whose threads wait for
// each other for ever ends the test.
#ifndef FDPP_TEST_CUDA_RUNTIME_API_H
#define FDPP_TEST_CUDA_RUNTIME_API_H

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <setjmp.h>
#include <ucontext.h>
#include <vector>

#define __device__
#define __host__
#define __global__
#define __shared__ static
#define __align__(bytes) alignas(bytes)
#define __launch_bounds__(...)
#define __grid_constant__

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct int2 {
  int x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}

namespace emulation {

/// Where the threads of a group wait for each other.
struct Gate {
  int arrived = 0;
  unsigned generation = 0;
};

class Block {
public:
  /// Runs `threads` threads of `body`.
  void run(int threads, const std::function<void()> &body) {
    this->body = &body;
    fibers.clear();
    fibers.resize(threads);
    warps.assign((threads + 31) / 32, {});
    exchange.assign(threads, {});
    for (int i = 0; i < threads; ++i) {
      Fiber &fiber = fibers[i];
      fiber.stack.reset(new char[stack_bytes]);
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.get();
      fiber.context.uc_stack.ss_size = stack_bytes;
      makecontext(&fiber.context, enter, 0);
    }
    left = threads;
    while (left > 0) {
      moved = false;
      for (current = 0; current < threads; ++current)
        if (!fibers[current].done)
          enter_fiber(fibers[current]);
      if (!moved) {
        std::fprintf(stderr, "threads of a block wait for each other\n");
        std::abort();
      }
    }
  }

  /// Waits until `count` threads have come.
  void pass(Gate &gate, int count) {
    moved = true;
    const unsigned generation = gate.generation;
    if (++gate.arrived == count) {
      gate.arrived = 0;
      ++gate.generation;
      return;
    }
    while (gate.generation == generation)
      if (_setjmp(fibers[current].place) == 0)
        _longjmp(outside, 1);
    moved = true;
  }

  /// Waits until is_so().
  template <class Condition> void wait_until(Condition is_so) {
    while (!is_so())
      if (_setjmp(fibers[current].place) == 0)
        _longjmp(outside, 1);
    moved = true;
  }

  void pass_warp() { pass(warps[current / 32], 32); }

  /// What lane `lane` of this warp gives; all lanes call it.
  template <class T> T from_lane(T own, int lane) {
    T result;
    with_warp(own, [&](const T *all) { result = all[lane & 31]; });
    return result;
  }
  /// use(values of all 32 lanes).
  template <class T, class Use> void with_warp(T own, Use use) {
    static_assert(sizeof(T) <= sizeof(Slot));
    std::memcpy(&exchange[current], &own, sizeof(T));
    pass_warp();
    T all[32];
    for (int i = 0; i < 32; ++i)
      std::memcpy(&all[i], &exchange[current / 32 * 32 + i], sizeof(T));
    use(static_cast<const T *>(all));
    pass_warp();
  }

  int thread() const { return current; }
  bool any = false;
  int threads() const { return int(fibers.size()); }
  Gate all, named;
  std::vector<char> shared;

private:
  static constexpr size_t stack_bytes = 64 << 10;
  struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    jmp_buf place;
    bool started = false, done = false;
  };
  struct alignas(16) Slot {
    char bytes[32];
  };

  static void enter();
  /// By jumps but for the first time: they ask the system nothing.
  void enter_fiber(Fiber &fiber) {
    if (_setjmp(outside) != 0)
      return;
    if (fiber.started)
      _longjmp(fiber.place, 1);
    fiber.started = true;
    setcontext(&fiber.context);
  }

  const std::function<void()> *body = nullptr;
  std::vector<Fiber> fibers;
  std::vector<Gate> warps;
  std::vector<Slot> exchange;
  jmp_buf outside;
  int current = 0, left = 0;
  bool moved = false;
};

inline Block block;

inline void Block::enter() {
  (*block.body)();
  block.fibers[block.current].done = true;
  --block.left;
  block.moved = true;
  _longjmp(block.outside, 1);
}

} // namespace emulation

inline dim3 blockIdx, gridDim;

//===----------------------------------------------------------------------===//
// Launching.
//===----------------------------------------------------------------------===//

using cudaStream_t = void *;
enum cudaError_t { cudaSuccess, cudaErrorInvalidValue };
enum { cudaFuncAttributeMaxDynamicSharedMemorySize };
template <class Kernel> cudaError_t cudaFuncSetAttribute(Kernel, int, int) {
  return cudaSuccess;
}
enum {
  cudaLaunchAttributeProgrammaticStreamSerialization,
  cudaLaunchAttributeCooperative,
  cudaLaunchAttributePreferredSharedMemoryCarveout,
  cudaSharedmemCarveoutMaxShared = 100
};
struct cudaLaunchAttribute {
  int id;
  struct {
    int programmaticStreamSerializationAllowed, cooperative, sharedMemCarveout;
  } val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute *attrs;
  unsigned numAttrs;
};

template <class... Parameters>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config,
                               void (*kernel)(Parameters...),
                               const Parameters &...arguments) {
  gridDim = config->gridDim;
  // Nothing of what a block leaves there is there for the next.
  for (unsigned z = 0; z < gridDim.z; ++z)
    for (unsigned y = 0; y < gridDim.y; ++y)
      for (unsigned x = 0; x < gridDim.x; ++x) {
        blockIdx = dim3(x, y, z);
        emulation::block.shared.assign(config->dynamicSmemBytes + 1024,
                                       char(0xff));
        emulation::block.run(int(config->blockDim.x),
                             [&] { kernel(arguments...); });
      }
  return cudaSuccess;
}

//===----------------------------------------------------------------------===//
// Functions of kernels.
//===----------------------------------------------------------------------===//

using std::isfinite;
using std::max;
using std::min;

inline float __uint_as_float(unsigned bits) {
  return std::bit_cast<float>(bits);
}
inline unsigned __float_as_uint(float value) {
  return std::bit_cast<unsigned>(value);
}
inline float __int_as_float(int bits) { return std::bit_cast<float>(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }

inline void __syncthreads() {
  emulation::block.pass(emulation::block.all, emulation::block.threads());
}
inline int __syncthreads_or(int value) {
  emulation::block.any |= value != 0;
  __syncthreads();
  const bool any = emulation::block.any;
  __syncthreads();
  emulation::block.any = false;
  __syncthreads();
  return any;
}
inline void __syncwarp() { emulation::block.pass_warp(); }
template <class T> T __ldcg(const T *from) { return *from; }
template <class T> T __shfl_sync(unsigned, T value, int lane) {
  return emulation::block.from_lane(value, lane);
}
template <class T> T __shfl_xor_sync(unsigned, T value, int distance) {
  return emulation::block.from_lane(value,
                                    emulation::block.thread() % 32 ^ distance);
}
template <class T> T __shfl_up_sync(unsigned, T value, int distance) {
  const int lane = emulation::block.thread() % 32;
  return emulation::block.from_lane(value,
                                    lane < distance ? lane : lane - distance);
}
inline unsigned __ballot_sync(unsigned, bool value) {
  unsigned bits = 0;
  emulation::block.with_warp(value, [&](const bool *all) {
    for (int i = 0; i < 32; ++i)
      bits |= unsigned(all[i]) << i;
  });
  return bits;
}
inline bool __all_sync(unsigned mask, bool value) {
  return __ballot_sync(mask, value) == 0xffffffffu;
}
inline unsigned __reduce_max_sync(unsigned, unsigned value) {
  unsigned most = 0;
  emulation::block.with_warp(value, [&](const unsigned *all) {
    most = *std::max_element(all, all + 32);
  });
  return most;
}
template <class T> T atomicAdd(T *to, T value) {
  T before = *to;
  *to += value;
  return before;
}
inline unsigned atomicCAS(unsigned *at, unsigned expected, unsigned value) {
  const unsigned before = *at;
  if (before == expected)
    *at = value;
  return before;
}

#endif // FDPP_TEST_CUDA_RUNTIME_API_H
