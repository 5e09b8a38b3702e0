// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One element, or some neighbours: what the CPU's vectors of 16 are here.
// Loads widen to f32, stores round to nearest even. `lanes` says which of both:
// emitted epilogues name it.
#ifndef FDPP_KERNELS_CUDA_ELEMENT_H
#define FDPP_KERNELS_CUDA_ELEMENT_H

#include "kernels/common/types.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace fdpp::cuda {

inline constexpr int warp_size = 32;

__device__ inline float widen(float value) { return value; }
__device__ inline float widen(bf16 value) {
  return __uint_as_float(uint32_t(value.bits) << 16);
}
__device__ inline float widen(f16 value) {
  return __half2float(__ushort_as_half(value.bits));
}

template <class E> __device__ E narrow(float value);
template <> __device__ inline float narrow<float>(float value) { return value; }
template <> __device__ inline bf16 narrow<bf16>(float value) {
  return {__bfloat16_as_ushort(__float2bfloat16_rn(value))};
}
template <> __device__ inline f16 narrow<f16>(float value) {
  return {__half_as_ushort(__float2half_rn(value))};
}

template <class E> __device__ float load(const E *from, int = 1) {
  return widen(*from);
}
template <class E> __device__ void store(E *to, float value, int = 1) {
  *to = narrow<E>(value);
}

/// Reads and writes `N` neighbours, aligned to their size.
template <int N, class X>
__device__ void load_vector(const X *from, float (&values)[N]) {
  struct alignas(sizeof(X) * N) Vector {
    X of[N];
  };
  const Vector vector = *reinterpret_cast<const Vector *>(from);
#pragma unroll
  for (int i = 0; i < N; ++i)
    values[i] = widen(vector.of[i]);
}
template <class E, int N>
__device__ void store_vector(E *to, const float (&values)[N]) {
  struct alignas(sizeof(E) * N) Vector {
    E of[N];
  } vector;
#pragma unroll
  for (int i = 0; i < N; ++i)
    vector.of[i] = narrow<E>(values[i]);
  *reinterpret_cast<Vector *>(to) = vector;
}

/// N neighbours, 16-aligned in memory, and how `lanes` asks for them.
template <int N> struct Columns {
  float of[N];
};
template <int N> struct Lanes {};

template <class E, int N> __device__ Columns<N> load(const E *from, Lanes<N>) {
  constexpr int each = 16 / sizeof(E);
  Columns<N> values;
#pragma unroll
  for (int i = 0; i < N; i += each) {
    float part[each];
    load_vector(from + i, part);
#pragma unroll
    for (int j = 0; j < each; ++j)
      values.of[i + j] = part[j];
  }
  return values;
}
template <class E, int N>
__device__ void store(E *to, const Columns<N> &values, Lanes<N>) {
  constexpr int each = 16 / sizeof(E);
#pragma unroll
  for (int i = 0; i < N; i += each) {
    float part[each];
#pragma unroll
    for (int j = 0; j < each; ++j)
      part[j] = values.of[i + j];
    store_vector(to + i, part);
  }
}

/// Two elements, rounded; the first in the lower half.
template <class E> __device__ uint32_t pack(float first, float second);
template <> __device__ inline uint32_t pack<bf16>(float first, float second) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  return reinterpret_cast<const uint32_t &>(pair);
}
template <> __device__ inline uint32_t pack<f16>(float first, float second) {
  const __half2 pair = __floats2half2_rn(first, second);
  return reinterpret_cast<const uint32_t &>(pair);
}

//===----------------------------------------------------------------------===//
// Functions that epilogues call beside CUDA's own tanh; as near as f32 gives.
//===----------------------------------------------------------------------===//

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + ::expf(-x)); }
__device__ inline float silu(float x) { return x / (1.0f + ::expf(-x)); }
__device__ inline float relu(float x) { return x < 0.0f ? 0.0f : x; }
/// x * Phi(x), Phi of the normal distribution.
__device__ inline float gelu(float x) {
  return 0.5f * x * (1.0f + ::erff(x * 0.70710678f));
}
/// Its approximation by tanh (Hendrycks and Gimpel, 2016).
__device__ inline float gelu_tanh(float x) {
  float inner = 0.79788456f * (x + 0.044715f * x * x * x);
  return 0.5f * x * (1.0f + ::tanhf(inner));
}

//===----------------------------------------------------------------------===//
// The same of neighbours.
//===----------------------------------------------------------------------===//

template <int N, class F> __device__ Columns<N> each_column(F f) {
  Columns<N> result;
#pragma unroll
  for (int i = 0; i < N; ++i)
    result.of[i] = f(i);
  return result;
}

/// M of them, from number `first` on.
template <int M, int N>
__device__ Columns<M> part_of(const Columns<N> &x, int first) {
  return each_column<M>([&](int i) { return x.of[first + i]; });
}

#define FDPP_COLUMNS_OPERATOR(op)                                              \
  template <int N>                                                             \
  __device__ Columns<N> operator op(const Columns<N> &a,                       \
                                    const Columns<N> &b) {                     \
    return each_column<N>([&](int i) { return a.of[i] op b.of[i]; });          \
  }                                                                            \
  template <int N>                                                             \
  __device__ Columns<N> operator op(const Columns<N> &a, float b) {            \
    return each_column<N>([&](int i) { return a.of[i] op b; });                \
  }                                                                            \
  template <int N>                                                             \
  __device__ Columns<N> operator op(float a, const Columns<N> &b) {            \
    return each_column<N>([&](int i) { return a op b.of[i]; });                \
  }
FDPP_COLUMNS_OPERATOR(+)
FDPP_COLUMNS_OPERATOR(-)
FDPP_COLUMNS_OPERATOR(*)
FDPP_COLUMNS_OPERATOR(/)
#undef FDPP_COLUMNS_OPERATOR

template <int N> __device__ Columns<N> operator-(const Columns<N> &a) {
  return each_column<N>([&](int i) { return -a.of[i]; });
}

#define FDPP_COLUMNS_FUNCTION(f)                                               \
  template <int N> __device__ Columns<N> f(const Columns<N> &x) {              \
    return each_column<N>([&](int i) { return f(x.of[i]); });                  \
  }
FDPP_COLUMNS_FUNCTION(sigmoid)
FDPP_COLUMNS_FUNCTION(silu)
FDPP_COLUMNS_FUNCTION(relu)
FDPP_COLUMNS_FUNCTION(gelu)
FDPP_COLUMNS_FUNCTION(gelu_tanh)
#undef FDPP_COLUMNS_FUNCTION
template <int N> __device__ Columns<N> tanh(const Columns<N> &x) {
  return each_column<N>([&](int i) { return ::tanhf(x.of[i]); });
}

//===----------------------------------------------------------------------===//
// Sums over threads, in an order that depends on nothing but their number.
//===----------------------------------------------------------------------===//

__device__ inline float warp_sum(float value) {
  for (int step = warp_size / 2; step > 0; step /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}
__device__ inline float warp_max(float value) {
  for (int step = warp_size / 2; step > 0; step /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, step));
  return value;
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_ELEMENT_H
