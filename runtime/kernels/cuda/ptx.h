// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What kernels say in PTX because CUDA has no words for it (for rings and
// barriers of a whole grid: ring.h, grid.h). test/runtime/cuda/emulation has
// the same for a processor.
#ifndef FDPP_KERNELS_CUDA_PTX_H
#define FDPP_KERNELS_CUDA_PTX_H

#include "kernels/common/types.h"

#include <cstdint>
#include <cuda_runtime_api.h>
#include <type_traits>

namespace fdpp::cuda {

/// Threads of a block that runs a body, in every context.
inline constexpr int block_threads = 256;

/// A thread's number in its block. Not a constant to the compiler, which would
/// keep what follows from it in registers from one layer of a grid's step to
/// the next, where other parts of the layer need them.
__device__ inline int thread_index() {
  int index;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(index));
  return index;
}

/// A barrier of these threads: there may be others in a block.
__device__ inline void block_barrier() {
  asm volatile("bar.sync 1, %0;" ::"n"(block_threads) : "memory");
}

/// True for the last of `count` calls with a ticket, which is 0 before and
/// behind them: by then its thread can read what the others' wrote.
__device__ inline bool is_last_ticket(unsigned *ticket, int count) {
  unsigned before;
  asm volatile("{\n"
               "fence.acq_rel.gpu;\n"
               "atom.relaxed.gpu.global.inc.u32 %0, [%1], %2;\n"
               "fence.acq_rel.gpu;\n"
               "}"
               : "=r"(before)
               : "l"(ticket), "r"(count - 1)
               : "memory");
  return before == unsigned(count - 1);
}

/// The architecture that has what kernels need to overlap.
inline constexpr int overlap_arch = 90;

/// Returns when all that earlier kernels wrote can be read. By every thread of
/// every kernel, those of blocks with nothing to do too: a kernel that did not
/// would let its successor run before its predecessor is done.
__device__ inline void wait_for_kernel_before() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;\n"
               "griddepcontrol.wait;" ::
                   : "memory");
#endif
}

/// The shared memory that a launch gives each block.
__device__ inline char *dynamic_shared() {
  extern __shared__ __align__(1024) char memory[];
  return memory;
}

/// 16 bytes that are read once.
__device__ inline uint4 load_once(const void *from) {
  uint4 value;
  asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(from));
  return value;
}

/// d += a . b for a 16 x 16 tile of W and 16 x 8 of the tokens.
template <class E>
__device__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                    uint32_t b1) {
  if constexpr (std::is_same_v<E, bf16>)
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// 8 x 8 elements of 16 bits, two neighbours of a row by each thread, turned
/// around.
__device__ inline uint32_t transpose(uint32_t pair) {
  uint32_t turned;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;"
      : "=r"(turned)
      : "r"(pair));
  return turned;
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_PTX_H
