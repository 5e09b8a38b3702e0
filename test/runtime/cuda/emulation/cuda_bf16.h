// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TEST_CUDA_BF16_H
#define FDPP_TEST_CUDA_BF16_H

#include "cuda_runtime_api.h"

struct __nv_bfloat16 {
  unsigned short bits;
};
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  unsigned bits = std::bit_cast<unsigned>(value);
  if (value != value)
    return {0x7fff};
  return {
      static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) {
  return value.bits;
}
struct __nv_bfloat162 {
  __nv_bfloat16 x, y;
};
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
  return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}

#endif // FDPP_TEST_CUDA_BF16_H
