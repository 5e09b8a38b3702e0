// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Vector functions for epilogues and softmax, accurate to about 2 ulp of f32.
// Polynomials are minimax fits (Lawson's weighted least squares) made for this
// file; infinities and NaN come out as the scalar functions give them.
#ifndef FDPP_KERNELS_CPU_MATH_H
#define FDPP_KERNELS_CPU_MATH_H

#include "kernels/cpu/vector.h"

namespace fdpp::cpu {

/// 2^n for -126 <= n <= 127.
FDPP_INLINE f32x16 power_of_two(i32x16 n) {
  return __builtin_bit_cast(f32x16, (n + 127) << 23);
}

/// e^r for |r| <= ln(2) / 2.
FDPP_INLINE f32x16 exp_reduced(f32x16 r) {
  f32x16 q = splat(0x1.6db42ap-10f);
  q = fma(q, r, splat(0x1.123b56p-7f));
  q = fma(q, r, splat(0x1.55545ep-5f));
  q = fma(q, r, splat(0x1.55548ep-3f));
  q = fma(q, r, splat(0.5f));
  return fma(q * r, r, r) + 1.0f;
}

/// e^x, with subnormal results and overflow to infinity.
FDPP_INLINE f32x16 exp(f32x16 x) {
  // Both bounds give the same result as everything beyond; NaN compares false
  // and goes through.
  x = select(x > 89.0f, splat(89.0f), x);
  x = select(x < -104.0f, splat(-104.0f), x);
  // Adding 1.5 * 2^23 rounds to an integer that stands in the low bits; a
  // conversion would be undefined for NaN.
  constexpr float magic = 0x1.8p23f;
  f32x16 shifted = fma(x, splat(0x1.715476p+0f), splat(magic));
  f32x16 n = shifted - magic;
  f32x16 r = fma(n, splat(-0x1.62e400p-1f), x);
  r = fma(n, splat(-0x1.7f7d1cp-20f), r);
  f32x16 p = exp_reduced(r);
  // In two steps, since 2^n itself may not be a normal number.
  i32x16 e = __builtin_bit_cast(i32x16, shifted) - 0x4b400000;
  i32x16 half = e >> 1;
  return p * power_of_two(half) * power_of_two(e - half);
}

/// e^x for x <= 88.7, as weights of a softmax need it: zero where the result
/// would be subnormal, infinity from 2^127.5 on.
FDPP_INLINE f32x16 exp_weight(f32x16 x) {
  constexpr float magic = 0x1.8p23f;
  f32x16 shifted = fma(x, splat(0x1.715476p+0f), splat(magic));
  f32x16 n = shifted - magic;
  f32x16 r = fma(n, splat(-0x1.62e400p-1f), x);
  r = fma(n, splat(-0x1.7f7d1cp-20f), r);
  i32x16 scale = (__builtin_bit_cast(i32x16, shifted) << 23) + 0x3f800000;
  f32x16 result = exp_reduced(r) * __builtin_bit_cast(f32x16, scale);
  return select(x < -87.0f, splat(0.0f), result);
}

/// e^x for weights that are taken relative to a number fixed ahead: zero below
/// -87, infinity above 88.38.
FDPP_INLINE f32x16 exp_shifted(f32x16 x) {
  // What is larger gives the exponent of infinity; NaN compares false.
  return exp_weight(select(x > 88.5f, splat(88.5f), x));
}

/// 1 / (1 + e^-x).
FDPP_INLINE f32x16 sigmoid(f32x16 x) { return 1.0f / (1.0f + exp(-x)); }

/// x * sigmoid(x).
FDPP_INLINE f32x16 silu(f32x16 x) { return x / (1.0f + exp(-x)); }

FDPP_INLINE f32x16 tanh(f32x16 x) {
  f32x16 a = abs(x), z = x * x;
  f32x16 q = splat(0x1.197b7cp-9f);
  q = fma(q, z, splat(-0x1.0c2146p-7f));
  q = fma(q, z, splat(0x1.6394dap-6f));
  q = fma(q, z, splat(-0x1.b9ef7cp-5f));
  q = fma(q, z, splat(0x1.11106cp-3f));
  q = fma(q, z, splat(-0x1.555554p-2f));
  f32x16 small = fma(q * z, x, x);
  f32x16 large = 1.0f - 2.0f / (exp(a + a) + 1.0f);
  large = as_float(as_bits(large) | (as_bits(x) & 0x80000000u));
  return select(a < 0.625f, small, large);
}

/// The error function.
FDPP_INLINE f32x16 erf(f32x16 x) {
  f32x16 a = abs(x), z = x * x;
  f32x16 p = splat(-0x1.44cfc6p-17f);
  p = fma(p, z, splat(0x1.d8b890p-14f));
  p = fma(p, z, splat(-0x1.bcd7e0p-11f));
  p = fma(p, z, splat(0x1.562b1ap-8f));
  p = fma(p, z, splat(-0x1.b829d8p-6f));
  p = fma(p, z, splat(0x1.ce2f0ap-4f));
  p = fma(p, z, splat(-0x1.812746p-2f));
  p = fma(p, z, splat(0x1.20dd76p+0f));
  f32x16 small = p * x;
  // erfc(a) e^(a^2) on [1, 4]; beyond 4, erf is 1 in f32.
  f32x16 b = select(a > 4.0f, splat(4.0f), a);
  f32x16 q = splat(-0x1.d5ab6ep-16f);
  q = fma(q, b, splat(0x1.2bf16ep-11f));
  q = fma(q, b, splat(-0x1.59fd18p-8f));
  q = fma(q, b, splat(0x1.df0b7cp-6f));
  q = fma(q, b, splat(-0x1.bee98ap-4f));
  q = fma(q, b, splat(0x1.2b9612p-2f));
  q = fma(q, b, splat(-0x1.2d1120p-1f));
  q = fma(q, b, splat(0x1.d2a4d8p-1f));
  q = fma(q, b, splat(-0x1.19780ap+0f));
  q = fma(q, b, splat(0x1.fdcf0ep-1f));
  f32x16 large = 1.0f - q * exp(-(b * b));
  large = as_float(as_bits(large) | (as_bits(x) & 0x80000000u));
  return select(a < 1.0f, small, select(a == a, large, x));
}

/// x * Phi(x), by the error function.
FDPP_INLINE f32x16 gelu(f32x16 x) {
  return 0.5f * x * (1.0f + erf(x * 0x1.6a09e6p-1f));
}

/// The approximation by tanh that Gemma and GPT-2 use.
FDPP_INLINE f32x16 gelu_tanh(f32x16 x) {
  f32x16 cubic = fma(x * x * x, splat(0.044715f), x);
  return 0.5f * x * (1.0f + tanh(cubic * 0x1.988454p-1f));
}

FDPP_INLINE f32x16 relu(f32x16 x) { return select(x < 0.0f, splat(0.0f), x); }

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_MATH_H
