// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// runtime/kernels/cuda/ptx.h for a processor: the same functions by the rules
// of the PTX ISA (9.7.14, fragments of mma.m16n8k16, movmatrix and ldmatrix).
#ifndef FDPP_KERNELS_CUDA_PTX_H
#define FDPP_KERNELS_CUDA_PTX_H

#include "kernels/common/types.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#include <type_traits>

namespace fdpp::cuda {

inline constexpr int block_threads = 256;

inline int thread_index() { return emulation::block.thread(); }
inline void block_barrier() {
  emulation::block.pass(emulation::block.named, block_threads);
}
inline bool is_last_ticket(unsigned *ticket, int count) {
  const unsigned before = *ticket;
  *ticket = before >= unsigned(count - 1) ? 0 : before + 1;
  return before == unsigned(count - 1);
}
inline unsigned add_and_show(unsigned *to, unsigned value) {
  const unsigned before = *to;
  *to += value;
  return before;
}
inline unsigned look(const unsigned *from) { return *from; }
inline constexpr int most_looks = 0; // no other block runs meanwhile
inline void wait_for_kernel_before() {}
inline char *dynamic_shared() {
  const auto at = reinterpret_cast<uintptr_t>(emulation::block.shared.data());
  return reinterpret_cast<char *>((at + 1023) / 1024 * 1024);
}
inline uint4 load_once(const void *from) {
  return *static_cast<const uint4 *>(from);
}

/// Element `half` of a pair.
template <class E> float element_of(uint32_t pair, int half) {
  const auto bits = static_cast<unsigned short>(pair >> 16 * half);
  if constexpr (std::is_same_v<E, bf16>)
    return std::bit_cast<float>(uint32_t(bits) << 16);
  else
    return __half2float(__ushort_as_half(bits));
}

template <class E>
void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  struct Part {
    uint32_t a[4], b[2];
  };
  const int lane = thread_index() % 32, g = lane / 4, t = lane % 4;
  emulation::block.with_warp(
      Part{{a[0], a[1], a[2], a[3]}, {b0, b1}}, [&](const Part *of) {
        for (int i = 0; i < 4; ++i) {
          const int row = g + i / 2 * 8, column = 2 * t + i % 2;
          for (int k = 0; k < 16; ++k) {
            const int pair = k % 8 / 2, upper = k / 8;
            d[i] += element_of<E>(of[row % 8 * 4 + pair].a[row / 8 + 2 * upper],
                                  k % 2) *
                    element_of<E>(of[column * 4 + pair].b[upper], k % 2);
          }
        }
      });
}

inline float exp2_of(float x) {
  const float result = std::exp2(x);
  return result < 0x1p-126f ? 0.0f : result; // NaN goes through
}

inline void copy_chunk(void *to, const void *from, bool real) {
  if (real)
    std::memcpy(to, from, 16);
  else
    std::memset(to, 0, 16);
}
inline void end_copies() {}
template <int Groups> void wait_for_copies() {}

inline void load_transposed(const void *row, uint32_t (&turned)[4]) {
  const int lane = thread_index() % 32, g = lane / 4, t = lane % 4;
  emulation::block.with_warp(row, [&](const void *const *rows) {
    for (int i = 0; i < 4; ++i) {
      turned[i] = 0;
      for (int j = 0; j < 2; ++j)
        turned[i] |=
            uint32_t(static_cast<const uint16_t *>(rows[i * 8 + 2 * t + j])[g])
            << 16 * j;
    }
  });
}

inline uint32_t transpose(uint32_t pair) {
  uint32_t turned = 0;
  const int lane = thread_index() % 32, g = lane / 4, t = lane % 4;
  emulation::block.with_warp(pair, [&](const uint32_t *all) {
    for (int i = 0; i < 2; ++i)
      turned |= (all[(2 * t + i) * 4 + g / 2] >> 16 * (g % 2) & 0xffff)
                << 16 * i;
  });
  return turned;
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_PTX_H
