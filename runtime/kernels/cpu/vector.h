// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one place that knows the instruction set. Kernels compute on 16 lanes of
// f32, written with clang's vector extensions: one zmm register with AVX-512,
// two ymm with AVX2, four xmm without. Emitted code is compiled with
// -mprefer-vector-width=512, otherwise clang splits the lanes on processors
// whose tuning prefers 256 bits.
//
// Rounding to a storage type is to nearest even and keeps NaN; nothing here
// needs or allows -ffast-math.
#ifndef FDPP_KERNELS_CPU_VECTOR_H
#define FDPP_KERNELS_CPU_VECTOR_H

#include "kernels/common/types.h"

#include <cstddef>
#include <cstdint>
#include <type_traits>

// FDPP_NO_BF16_DOT: the processor has vdpbf16ps, but two FMAs are faster.
#if defined(__AVX512BF16__) && !defined(FDPP_NO_BF16_DOT)
#define FDPP_BF16_DOT
#include <immintrin.h>
#endif

// Vectors cross only functions that are inlined or compiled with the same
// flags, so how a wide argument would be passed to other code is no concern.
#pragma clang diagnostic ignored "-Wpsabi"

#define FDPP_INLINE inline __attribute__((always_inline))
#define FDPP_INLINE_LAMBDA __attribute__((always_inline))
#define FDPP_NOINLINE __attribute__((noinline))

namespace fdpp::cpu {

using fdpp::bf16;
using fdpp::f16;

inline constexpr int lanes = 16;
using f32x16 = float __attribute__((ext_vector_type(16)));
using i32x16 = int32_t __attribute__((ext_vector_type(16)));
using u32x16 = uint32_t __attribute__((ext_vector_type(16)));
using u16x16 = uint16_t __attribute__((ext_vector_type(16)));

/// Vector registers, and how many of them hold 16 lanes.
#if defined(__AVX512F__)
inline constexpr int vector_registers = 32, vector_parts = 1;
#elif defined(__AVX__)
inline constexpr int vector_registers = 16, vector_parts = 2;
#elif defined(__aarch64__)
inline constexpr int vector_registers = 32, vector_parts = 4;
#else
inline constexpr int vector_registers = 16, vector_parts = 4;
#endif

#ifdef FDPP_BF16_DOT
inline constexpr bool has_bf16_dot = true;
#else
inline constexpr bool has_bf16_dot = false;
#endif

FDPP_INLINE f32x16 splat(float value) { return f32x16(value); }

FDPP_INLINE f32x16 as_float(u32x16 bits) {
  return __builtin_bit_cast(f32x16, bits);
}
FDPP_INLINE u32x16 as_bits(f32x16 value) {
  return __builtin_bit_cast(u32x16, value);
}

/// a * b + c, in one rounding where the processor has it; without it a libm
/// call per lane would be the price.
FDPP_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
#if defined(__FMA__) || defined(__AVX512F__) || defined(__aarch64__)
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

/// Lane-wise choice; `mask` comes from a comparison.
FDPP_INLINE f32x16 select(i32x16 mask, f32x16 yes, f32x16 no) {
  return mask ? yes : no;
}

FDPP_INLINE f32x16 abs(f32x16 value) {
  return as_float(as_bits(value) & 0x7fffffffu);
}
FDPP_INLINE f32x16 sqrt(f32x16 value) {
  return __builtin_elementwise_sqrt(value);
}

/// 0, 1, ... 15.
FDPP_INLINE i32x16 lane_index() {
  return i32x16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
}

FDPP_INLINE float reduce_add(f32x16 v) {
  auto a = v.lo + v.hi;
  auto b = a.lo + a.hi;
  auto c = b.lo + b.hi;
  return c.x + c.y;
}

/// The largest lane; a NaN lane may or may not be seen.
FDPP_INLINE float reduce_max(f32x16 v) {
  auto a = v.lo > v.hi ? v.lo : v.hi;
  auto b = a.lo > a.hi ? a.lo : a.hi;
  auto c = b.lo > b.hi ? b.lo : b.hi;
  return c.x > c.y ? c.x : c.y;
}

//===----------------------------------------------------------------------===//
// Storage types
//===----------------------------------------------------------------------===//

FDPP_INLINE f32x16 widen_bf16(u16x16 bits) {
  return as_float(__builtin_convertvector(bits, u32x16) << 16u);
}

FDPP_INLINE u16x16 narrow_bf16(f32x16 value) {
  u32x16 bits = as_bits(value);
  u32x16 rounded = (bits + 0x7fffu + (bits >> 16u & 1u)) >> 16u;
  u32x16 quiet = bits >> 16u | 0x40u;
  u32x16 result = value != value ? quiet : rounded;
  return __builtin_convertvector(result, u16x16);
}

#if defined(__F16C__) || defined(__AVX512F__) || defined(__aarch64__)
using half16 = _Float16 __attribute__((ext_vector_type(16)));

FDPP_INLINE f32x16 widen_f16(u16x16 bits) {
  return __builtin_convertvector(__builtin_bit_cast(half16, bits), f32x16);
}
FDPP_INLINE u16x16 narrow_f16(f32x16 value) {
  return __builtin_bit_cast(u16x16, __builtin_convertvector(value, half16));
}
#else
// The scalar algorithms of common/types.h, lane by lane in integers.
FDPP_INLINE f32x16 widen_f16(u16x16 bits) {
  u32x16 wide = __builtin_convertvector(bits, u32x16);
  u32x16 sign = (wide & 0x8000u) << 16u, rest = (wide & 0x7fffu) << 13u;
  u32x16 normal = rest + (112u << 23), special = rest + (224u << 23);
  f32x16 subnormal =
      __builtin_convertvector(
          __builtin_convertvector(bits & uint16_t(0x3ff), i32x16), f32x16) *
      0x1p-24f;
  u32x16 exponent = rest >> 23u;
  u32x16 magnitude = exponent == 31u ? special : normal;
  magnitude = exponent == 0u ? as_bits(subnormal) : magnitude;
  return as_float(magnitude | sign);
}
FDPP_INLINE u16x16 narrow_f16(f32x16 value) {
  u32x16 bits = as_bits(value);
  u32x16 sign = bits >> 16u & 0x8000u, magnitude = bits & 0x7fffffffu;
  u32x16 normal =
      ((magnitude + 0xfffu + (magnitude >> 13u & 1u)) >> 13u) - (112u << 10);
  u32x16 tiny = as_bits(as_float(magnitude) + 0.5f) - 0x3f000000u;
  u32x16 nan = 0x7e00u | (magnitude >> 13u & 0x1ffu);
  u32x16 result = magnitude >= 0x38800000u ? normal : tiny;
  result = magnitude >= 0x477ff000u ? u32x16(0x7c00u) : result;
  result = magnitude > 0x7f800000u ? nan : result;
  return __builtin_convertvector(result | sign, u16x16);
}
#endif

FDPP_INLINE f32x16 load(const float *from) {
  f32x16 value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
FDPP_INLINE u16x16 load_bits(const void *from) {
  u16x16 bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return bits;
}
FDPP_INLINE f32x16 load(const bf16 *from) {
  return widen_bf16(load_bits(from));
}
FDPP_INLINE f32x16 load(const f16 *from) { return widen_f16(load_bits(from)); }

FDPP_INLINE void store(float *to, f32x16 value) {
  __builtin_memcpy(to, &value, sizeof value);
}
FDPP_INLINE void store(bf16 *to, f32x16 value) {
  u16x16 bits = narrow_bf16(value);
  __builtin_memcpy(to, &bits, sizeof bits);
}
FDPP_INLINE void store(f16 *to, f32x16 value) {
  u16x16 bits = narrow_f16(value);
  __builtin_memcpy(to, &bits, sizeof bits);
}

/// Rounds to E and back: what a later load of a stored value would give.
template <class E> FDPP_INLINE f32x16 round_to(f32x16 value) {
  if constexpr (std::is_same_v<E, bf16>)
    return widen_bf16(narrow_bf16(value));
  else if constexpr (std::is_same_v<E, f16>)
    return widen_f16(narrow_f16(value));
  else
    return value;
}

// Tails are rare and out of line, so that an epilogue stays short.
template <class E>
FDPP_NOINLINE void load_tail(f32x16 *value, const E *from, int count) {
  E buffer[lanes] = {};
  __builtin_memcpy(buffer, from, size_t(count) * sizeof(E));
  *value = load(buffer);
}
template <class E>
FDPP_NOINLINE void store_tail(E *to, const f32x16 *value, int count) {
  E buffer[lanes];
  store(buffer, *value);
  __builtin_memcpy(to, buffer, size_t(count) * sizeof(E));
}

/// Loads `count` <= 16 elements, zero beyond them.
template <class E> FDPP_INLINE f32x16 load(const E *from, int count) {
  if (__builtin_expect(count == lanes, 1))
    return load(from);
  f32x16 value;
  load_tail(&value, from, count);
  return value;
}

/// Stores the first `count` <= 16 lanes.
template <class E> FDPP_INLINE void store(E *to, f32x16 value, int count) {
  if (__builtin_expect(count == lanes, 1))
    return store(to, value);
  store_tail(to, &value, count);
}

//===----------------------------------------------------------------------===//
// Packed weights
//===----------------------------------------------------------------------===//

FDPP_INLINE u32x16 load_pairs(const bf16 *from) {
  u32x16 pairs;
  __builtin_memcpy(&pairs, from, sizeof pairs);
  return pairs;
}
/// The even and the odd elements of 16 bf16 pairs.
FDPP_INLINE f32x16 even(u32x16 pairs) { return as_float(pairs << 16u); }
FDPP_INLINE f32x16 odd(u32x16 pairs) { return as_float(pairs & 0xffff0000u); }

/// acc + the dot products of 16 weight pairs with one pair of the token.
#ifdef FDPP_BF16_DOT
FDPP_INLINE f32x16 dot_pairs(f32x16 acc, u32x16 weights, uint32_t token) {
  return __builtin_bit_cast(
      f32x16, _mm512_dpbf16_ps(__builtin_bit_cast(__m512, acc),
                               __builtin_bit_cast(__m512bh, weights),
                               __builtin_bit_cast(__m512bh, u32x16(token))));
}
#endif

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_VECTOR_H
