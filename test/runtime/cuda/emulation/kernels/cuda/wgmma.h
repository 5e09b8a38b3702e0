// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// runtime/kernels/cuda/wgmma.h for a processor: the same functions by the rules
// of the PTX ISA (9.7.13 on barriers, 9.7.15 on wgmma and its matrices in
// shared memory). Copies are there when they begin, and so are products.
#ifndef FDPP_KERNELS_CUDA_WGMMA_H
#define FDPP_KERNELS_CUDA_WGMMA_H

#include "kernels/cuda/ptx.h"

#define FDPP_HAS_WGMMA

namespace fdpp::cuda {

inline constexpr int wgmma_arch = 90;

/// A barrier's 8 bytes.
struct BarrierState {
  int16_t count, pending;
  int bytes : 31;
  unsigned phase : 1;

  static BarrierState &of(uint64_t *barrier) {
    static_assert(sizeof(BarrierState) == sizeof *barrier);
    return *reinterpret_cast<BarrierState *>(barrier);
  }
  void end_phase() {
    if (pending > 0 || bytes > 0)
      return;
    pending = count;
    phase ^= 1;
  }
};

inline void initialise_barrier(uint64_t *barrier, int count) {
  BarrierState::of(barrier) = {int16_t(count), int16_t(count), 0, 0};
}
inline void finish_initialising() {}
inline void arrive_and_expect(uint64_t *barrier, int bytes) {
  BarrierState &state = BarrierState::of(barrier);
  state.bytes += bytes;
  --state.pending;
  state.end_phase();
}
inline void arrive(uint64_t *barrier) { arrive_and_expect(barrier, 0); }
inline void wait_for_phase(uint64_t *barrier, uint32_t parity) {
  emulation::block.wait_until(
      [&] { return BarrierState::of(barrier).phase != parity; });
}

struct TensorMap {
  const char *base;
  uint64_t sizes[3], strides[3]; // bytes, of all dimensions
  uint32_t box[3];
  bool swizzled;
};
using EncodeTensorMap = const char *;

template <int Rank>
bool make_tensor_map(EncodeTensorMap, TensorMap &map, const void *base,
                     const uint64_t (&sizes)[Rank],
                     const uint64_t (&strides)[Rank - 1],
                     const uint32_t (&box)[Rank], bool swizzled) {
  map = {static_cast<const char *>(base), {1, 1, 1}, {2}, {1, 1, 1}, swizzled};
  for (int i = 0; i < Rank; ++i) {
    map.sizes[i] = sizes[i];
    map.box[i] = box[i];
    if (i > 0)
      map.strides[i] = strides[i - 1];
  }
  return true;
}

inline void show_to_copies() {}
enum class Keep { once, longer };
inline uint64_t copy_policy(Keep) { return 0; }

inline void copy_box(void *to, const TensorMap &map, int x, int y, int z,
                     uint64_t *barrier, uint64_t) {
  int bytes = 0;
  for (uint32_t k = 0; k < map.box[2]; ++k)
    for (uint32_t j = 0; j < map.box[1]; ++j)
      for (uint32_t i = 0; i < map.box[0]; ++i) {
        const uint64_t at[] = {x + i, y + j, z + k};
        const bool inside = at[0] < map.sizes[0] && at[1] < map.sizes[1] &&
                            at[2] < map.sizes[2];
        // Rows are of 128 bytes where they are swizzled.
        const int target = map.swizzled ? bytes ^ (bytes >> 7 & 7) << 4 : bytes;
        const uint16_t zero = 0;
        std::memcpy(static_cast<char *>(to) + target,
                    inside ? map.base + at[0] * map.strides[0] +
                                 at[1] * map.strides[1] + at[2] * map.strides[2]
                           : reinterpret_cast<const char *>(&zero),
                    2);
        bytes += 2;
      }
  BarrierState &state = BarrierState::of(barrier);
  state.bytes -= bytes;
  state.end_phase();
}
inline void copy_box(void *to, const TensorMap &map, int x, int y,
                     uint64_t *barrier, uint64_t policy) {
  copy_box(to, map, x, y, 0, barrier, policy);
}

inline uint64_t matrix_in_shared(const void *at) {
  return reinterpret_cast<uint64_t>(at) >> 4;
}

template <class E, int Tokens>
void wgmma(float (&d)[Tokens / 2], uint64_t w, uint64_t x) {
  auto element = [](uint64_t matrix, int row, int k) {
    const int chunk = int(matrix & 7) + k / 8;
    const char *first = reinterpret_cast<const char *>((matrix & ~7ull) << 4);
    uint16_t bits;
    std::memcpy(&bits, first + row * 128 + (chunk ^ (row & 7)) * 16 + k % 8 * 2,
                2);
    return element_of<E>(bits, 0);
  };
  const int lane = thread_index() % 32, g = lane / 4, t = lane % 4;
  const int rows = thread_index() % 128 / 32 * 16;
  for (int i = 0; i < Tokens / 2; ++i) {
    const int row = rows + g + i % 4 / 2 * 8, token = i / 4 * 8 + 2 * t + i % 2;
    for (int k = 0; k < 16; ++k)
      d[i] += element(w, row, k) * element(x, token, k);
  }
}
inline void begin_products() {}
inline void end_products() {}
template <int Groups> void wait_for_products() {}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_WGMMA_H
