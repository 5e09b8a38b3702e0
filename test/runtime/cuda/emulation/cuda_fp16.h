// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TEST_CUDA_FP16_H
#define FDPP_TEST_CUDA_FP16_H

#include "cuda_runtime_api.h"

using __half = _Float16;
inline __half __float2half_rn(float value) { return __half(value); }
inline float __half2float(__half value) { return float(value); }
inline __half __ushort_as_half(unsigned short bits) {
  return std::bit_cast<__half>(bits);
}
inline unsigned short __half_as_ushort(__half value) {
  return std::bit_cast<unsigned short>(value);
}
struct __half2 {
  __half x, y;
};
inline __half2 __floats2half2_rn(float x, float y) {
  return {__half(x), __half(y)};
}

#endif // FDPP_TEST_CUDA_FP16_H
