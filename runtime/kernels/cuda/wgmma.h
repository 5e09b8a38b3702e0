// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What sm_90 adds for many tokens: barriers in shared memory that count bytes,
// copies by tensor map, and wgmma, which multiplies what lies in shared memory.
// test/runtime/cuda/emulation has the same for a processor.
#ifndef FDPP_KERNELS_CUDA_WGMMA_H
#define FDPP_KERNELS_CUDA_WGMMA_H

#include "kernels/cuda/ptx.h"

#include <cuda.h>

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define FDPP_HAS_WGMMA
#endif

namespace fdpp::cuda {

/// The only architecture that has wgmma; newer ones do not.
inline constexpr int wgmma_arch = 90;

//===----------------------------------------------------------------------===//
// Barriers.
//===----------------------------------------------------------------------===//

/// Of `count` arrivals a phase. By one thread, before any other uses it.
__device__ inline void initialise_barrier(uint64_t *barrier, int count) {
  asm volatile(
      "mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(count));
}
/// Behind the last of them.
__device__ inline void finish_initialising() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ inline void arrive(uint64_t *barrier) {
  asm volatile(
      "mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
      : "memory");
}
/// Arrives; the phase then ends when so many bytes have come, too.
__device__ inline void arrive_and_expect(uint64_t *barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                   shared_address(barrier)),
               "r"(bytes)
               : "memory");
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

//===----------------------------------------------------------------------===//
// Copies by tensor map.
//===----------------------------------------------------------------------===//

/// Of elements of 16 bits in global memory, in boxes.
using TensorMap = CUtensorMap;

/// cuTensorMapEncodeTiled, which the driver has.
using EncodeTensorMap = decltype(&cuTensorMapEncodeTiled);

inline EncodeTensorMap find_tensor_map_encoder() {
  void *found = nullptr;
  cudaDriverEntryPointQueryResult result;
  return cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found,
                                          12000, cudaEnableDefault,
                                          &result) == cudaSuccess
             ? reinterpret_cast<EncodeTensorMap>(found)
             : nullptr;
}

/// A map of elements [sizes[Rank - 1]]..[sizes[0]], `strides` (bytes, of all
/// dimensions but the innermost) apart, in boxes of `box`; `swizzled`: rows of
/// 128 bytes are put into shared memory as tiles of W are (common/tiles.h).
/// False if the driver refuses.
template <int Rank>
bool make_tensor_map(EncodeTensorMap encode, TensorMap &map, const void *base,
                     const uint64_t (&sizes)[Rank],
                     const uint64_t (&strides)[Rank - 1],
                     const uint32_t (&box)[Rank], bool swizzled) {
  static_assert(sizeof(cuuint64_t) == sizeof(uint64_t));
  cuuint64_t all_sizes[Rank], all_strides[Rank];
  cuuint32_t steps[Rank];
  for (int i = 0; i < Rank; ++i) {
    all_sizes[i] = sizes[i];
    steps[i] = 1;
  }
  for (int i = 0; i + 1 < Rank; ++i)
    all_strides[i] = strides[i];
  return encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT16, Rank,
                const_cast<void *>(base), all_sizes, all_strides, box, steps,
                CU_TENSOR_MAP_INTERLEAVE_NONE,
                swizzled ? CU_TENSOR_MAP_SWIZZLE_128B
                         : CU_TENSOR_MAP_SWIZZLE_NONE,
                CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

/// What other threads wrote so far can be read by copies of this one.
__device__ inline void show_to_copies() {
  asm volatile("fence.proxy.async;" ::: "memory");
}

/// How long L2 is to keep what is copied.
enum class Keep { once, longer };

__device__ inline uint64_t copy_policy(Keep keep) {
  uint64_t policy;
  if (keep == Keep::once)
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0;"
                 : "=l"(policy));
  else
    asm volatile("createpolicy.fractional.L2::evict_last.b64 %0;"
                 : "=l"(policy));
  return policy;
}

/// Copies the box at (x, y) or (x, y, z), the innermost first, whose bytes the
/// barrier counts; what lies outside of the map is zeros.
__device__ inline void copy_box(void *to, const TensorMap &map, int x, int y,
                                uint64_t *barrier, uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::"
      "complete_tx::bytes.L2::cache_hint [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(
          shared_address(to)),
      "l"(&map), "r"(x), "r"(y), "r"(shared_address(barrier)), "l"(policy)
      : "memory");
}
__device__ inline void copy_box(void *to, const TensorMap &map, int x, int y,
                                int z, uint64_t *barrier, uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::"
      "complete_tx::bytes.L2::cache_hint [%0], [%1, {%2, %3, %4}], [%5], "
      "%6;" ::"r"(shared_address(to)),
      "l"(&map), "r"(x), "r"(y), "r"(z), "r"(shared_address(barrier)),
      "l"(policy)
      : "memory");
}

//===----------------------------------------------------------------------===//
// wgmma: four warps multiply 64 rows of W with `Tokens` tokens.
//===----------------------------------------------------------------------===//

/// What names rows of 64 elements in shared memory, swizzled, 1024-aligned:
/// row 8 i begins 1024 i bytes behind the first. 16 elements further is
/// 2 more.
__device__ inline uint64_t matrix_in_shared(const void *at) {
  return uint64_t(shared_address(at)) >> 4 | uint64_t(1) << 16 |
         uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62;
}

// Numbers of asm operands.

#define FDPP_REGISTERS_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define FDPP_REGISTERS_16                                                      \
  FDPP_REGISTERS_8                                                             \
  ", %8, %9, %10, %11, %12, %13, %14, %15"
#define FDPP_REGISTERS_32                                                      \
  FDPP_REGISTERS_16                                                            \
  ", %16, %17, %18, %19, %20, %21, %22, %23"                                   \
  ", %24, %25, %26, %27, %28, %29, %30, %31"
#define FDPP_REGISTERS_64                                                      \
  FDPP_REGISTERS_32                                                            \
  ", %32, %33, %34, %35, %36, %37, %38, %39"                                   \
  ", %40, %41, %42, %43, %44, %45, %46, %47"                                   \
  ", %48, %49, %50, %51, %52, %53, %54, %55"                                   \
  ", %56, %57, %58, %59, %60, %61, %62, %63"
#define FDPP_REGISTERS_128                                                     \
  FDPP_REGISTERS_64                                                            \
  ", %64, %65, %66, %67, %68, %69, %70, %71"                                   \
  ", %72, %73, %74, %75, %76, %77, %78, %79"                                   \
  ", %80, %81, %82, %83, %84, %85, %86, %87"                                   \
  ", %88, %89, %90, %91, %92, %93, %94, %95"                                   \
  ", %96, %97, %98, %99, %100, %101, %102, %103"                               \
  ", %104, %105, %106, %107, %108, %109, %110, %111"                           \
  ", %112, %113, %114, %115, %116, %117, %118, %119"                           \
  ", %120, %121, %122, %123, %124, %125, %126, %127"

#define FDPP_SUMS_8(i)                                                         \
  "+f"(d[i + 0]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]),              \
      "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define FDPP_SUMS_16(i) FDPP_SUMS_8(i), FDPP_SUMS_8(i + 8)
#define FDPP_SUMS_32(i) FDPP_SUMS_16(i), FDPP_SUMS_16(i + 16)
#define FDPP_SUMS_64(i) FDPP_SUMS_32(i), FDPP_SUMS_32(i + 32)
#define FDPP_SUMS_128(i) FDPP_SUMS_64(i), FDPP_SUMS_64(i + 64)

#define FDPP_WGMMA(tokens, sums, a, b, type)                                   \
  asm volatile("wgmma.mma_async.sync.aligned.m64n" #tokens "k16.f32." type     \
               "." type " {" FDPP_REGISTERS_##sums "}, %" a ", %" b            \
                                                   ", 1, 1, 1, 0, 0;"          \
               : FDPP_SUMS_##sums(0)                                           \
               : "l"(w), "l"(x))

#define FDPP_WGMMA_OF(tokens, sums, a, b)                                      \
  if constexpr (Tokens == tokens) {                                            \
    if constexpr (std::is_same_v<E, bf16>)                                     \
      FDPP_WGMMA(tokens, sums, a, b, "bf16");                                  \
    else                                                                       \
      FDPP_WGMMA(tokens, sums, a, b, "f16");                                   \
  }

/// d += W . x over 16 elements. The sums of a thread are those of `Tokens` / 8
/// mma.m16n8k16, whose 16 rows are its warp's. They are there when
/// wait_for_products() says so.
template <class E, int Tokens>
__device__ void wgmma(float (&d)[Tokens / 2], uint64_t w, uint64_t x) {
  FDPP_WGMMA_OF(32, 16, "16", "17");
  FDPP_WGMMA_OF(64, 32, "32", "33");
  FDPP_WGMMA_OF(128, 64, "64", "65");
  FDPP_WGMMA_OF(256, 128, "128", "129");
}

/// In front of the first product of a group.
__device__ inline void begin_products() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ inline void end_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Until at most `Groups` are not done.
template <int Groups> __device__ void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Groups) : "memory");
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_WGMMA_H
