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

/// Adds to what other blocks see, who can then read what this thread could, and
/// the other way round. Gives what was there before.
__device__ inline unsigned add_and_show(unsigned *to, unsigned value) {
  unsigned before;
  asm volatile("{\n"
               "fence.acq_rel.gpu;\n"
               "atom.relaxed.gpu.global.add.u32 %0, [%1], %2;\n"
               "fence.acq_rel.gpu;\n"
               "}"
               : "=r"(before)
               : "l"(to), "r"(value)
               : "memory");
  return before;
}
/// What another block showed.
__device__ inline unsigned look(const unsigned *from) {
  unsigned value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
               : "=r"(value)
               : "l"(from)
               : "memory");
  return value;
}
/// How often a block looks before it gives up: some milliseconds.
inline constexpr int most_looks = 10000;

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

/// 2^x; 0 where that would be subnormal. Within 2 units of the last place.
__device__ inline float exp2_of(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

//===----------------------------------------------------------------------===//
// Shared memory.
//===----------------------------------------------------------------------===//

__device__ inline uint32_t shared_address(const void *at) {
  return uint32_t(__cvta_generic_to_shared(at));
}

/// Begins to copy 16 bytes into shared memory, or zeros in their place.
__device__ inline void copy_chunk(void *to, const void *from, bool real) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
      "l"(from), "r"(real ? 16 : 0)
      : "memory");
}
/// Ends a group of copies that this thread began.
__device__ inline void end_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits until at most `Groups` of this thread's groups are not there.
template <int Groups> __device__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Groups) : "memory");
}

/// Four matrices of 8 x 8 elements of 16 bits, turned around: a thread names
/// row lane % 8 of matrix lane / 8, and gets two neighbours of a column of
/// each.
__device__ inline void load_transposed(const void *row, uint32_t (&turned)[4]) {
  asm volatile(
      "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
      : "=r"(turned[0]), "=r"(turned[1]), "=r"(turned[2]), "=r"(turned[3])
      : "r"(shared_address(row))
      : "memory");
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
