// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The token with the largest logit of each row, so that greedy decoding needs
// no logits on the host.
#ifndef FDPP_KERNELS_CUDA_PICK_H
#define FDPP_KERNELS_CUDA_PICK_H

#include "kernels/cuda/element.h"
#include "kernels/cuda/stream.h"

namespace fdpp::cuda {

/// Blocks that look at a row.
inline constexpr int pick_blocks = 64;

/// A logit and its column as a number: a larger logit is a larger one, then a
/// lower column. NaN is the largest.
__device__ inline unsigned long long pick_key(float logit, int column) {
  const uint32_t bits = __float_as_uint(logit);
  const uint32_t order = logit != logit    ? 0xffffffffu
                         : bits & 1u << 31 ? ~bits
                                           : bits | 1u << 31;
  return (unsigned long long)(order) << 32 | uint32_t(~column);
}
/// The column of a key; -1 if its logit is not finite.
__device__ inline int picked_column(unsigned long long key) {
  const uint32_t order = uint32_t(key >> 32);
  const uint32_t bits = order & 1u << 31 ? order ^ 1u << 31 : ~order;
  return order != 0xffffffffu && isfinite(__uint_as_float(bits))
             ? int(~uint32_t(key))
             : -1;
}

/// Block (row, part).
struct PickBody {
  static constexpr int shared_bytes = block_threads / warp_size * 8;
  int columns;
  const float *logits;       // [rows][columns]
  unsigned long long *parts; // [rows][pick_blocks]
  unsigned *tickets;         // [rows], zeros between kernels
  int32_t *picks;            // [rows]

  __device__ static unsigned long long warp_largest(unsigned long long key) {
    for (int step = warp_size / 2; step > 0; step /= 2)
      key = max(key, __shfl_xor_sync(0xffffffffu, key, step));
    return key;
  }

  __device__ void operator()(int block, char *memory) const {
    auto *shared = reinterpret_cast<unsigned long long *>(memory);
    const int row = block / pick_blocks, part = block % pick_blocks;
    const int each = (columns + pick_blocks - 1) / pick_blocks;
    const int end = min(columns, (part + 1) * each);
    unsigned long long key = 0;
    for (int i = part * each + thread_index(); i < end; i += block_threads)
      key = max(key, pick_key(logits[int64_t(row) * columns + i], i));
    key = warp_largest(key);
    const int thread = thread_index();
    block_barrier(); // shared may be read of the block before
    if (thread % warp_size == 0)
      shared[thread / warp_size] = key;
    block_barrier();
    if (thread >= warp_size)
      return;
    constexpr int warps = block_threads / warp_size;
    key = warp_largest(thread < warps ? shared[thread] : 0);
    int last = 0;
    if (thread == 0) {
      parts[row * pick_blocks + part] = key;
      last = is_last_ticket(tickets + row, pick_blocks);
    }
    if (!__shfl_sync(0xffffffffu, last, 0))
      return;
    for (int i = thread; i < pick_blocks; i += warp_size)
      key = max(key, parts[row * pick_blocks + i]);
    key = warp_largest(key);
    if (thread == 0)
      picks[row] = picked_column(key);
  }
};

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_PICK_H
