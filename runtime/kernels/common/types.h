// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// 16-bit storage types. They hold bits only: arithmetic is done in f32, so a
// kernel cannot round by accident. Plain C++20, shared by the compiler's
// packer, the kernels and their tests.
#ifndef FDPP_KERNELS_COMMON_TYPES_H
#define FDPP_KERNELS_COMMON_TYPES_H

#include <bit>
#include <cstdint>

namespace fdpp {

/// bfloat16: the upper half of an IEEE binary32.
struct bf16 {
  uint16_t bits;
};

/// IEEE binary16.
struct f16 {
  uint16_t bits;
};

constexpr float to_float(float value) { return value; }

constexpr float to_float(bf16 value) {
  return std::bit_cast<float>(uint32_t(value.bits) << 16);
}

constexpr float to_float(f16 value) {
  uint32_t sign = uint32_t(value.bits & 0x8000) << 16;
  uint32_t exponent = (value.bits >> 10) & 31, mantissa = value.bits & 0x3ff;
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7f800000 | mantissa << 13);
  if (exponent != 0)
    return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  float magnitude = float(mantissa) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

/// Rounds to nearest even; a NaN stays a NaN.
constexpr bf16 to_bf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return {uint16_t(bits >> 16 | 0x40)};
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

/// Rounds to nearest even; past 65519 it becomes an infinity.
constexpr f16 to_f16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint16_t sign = uint16_t(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return {uint16_t(sign | 0x7e00 | (magnitude >> 13 & 0x1ff))};
  if (magnitude >= 0x477ff000)
    return {uint16_t(sign | 0x7c00)};
  if (magnitude >= 0x38800000) {
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return {uint16_t(sign | ((rounded >> 13) - (112 << 10)))};
  }
  // A subnormal result: adding 0.5 leaves a multiple of 2^-24 in the low bits,
  // rounded by the addition itself.
  float shifted = std::bit_cast<float>(magnitude) + 0.5f;
  return {uint16_t(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000))};
}

/// `from_float<E>(x)` rounds x to the storage type E.
template <class E> constexpr E from_float(float value);
template <> constexpr float from_float<float>(float value) { return value; }
template <> constexpr bf16 from_float<bf16>(float value) {
  return to_bf16(value);
}
template <> constexpr f16 from_float<f16>(float value) { return to_f16(value); }

} // namespace fdpp

#endif // FDPP_KERNELS_COMMON_TYPES_H
