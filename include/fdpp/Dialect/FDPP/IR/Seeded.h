// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The elements of `#fdpp.seeded` weights. Plain C++, so that the compiler, the
// interpreter and tests share one definition; docs/engine-format.md gives it
// for other languages.

#ifndef FDPP_DIALECT_FDPP_IR_SEEDED_H
#define FDPP_DIALECT_FDPP_IR_SEEDED_H

#include "llvm/ADT/ArrayRef.h"

#include <cmath>
#include <cstdint>

namespace mlir::fdpp {

/// A function of seed and index alone, uniform over [-1, 1) in steps of 2^-23:
/// the finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable
/// Pseudorandom Number Generators, 2014) over a counter.
inline float seededUnit(uint64_t seed, uint64_t index) {
  uint64_t z =
      (seed + 1) * 0xd1342543de82ef95ull + (index + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  return static_cast<float>(static_cast<int32_t>(z >> 40) - (1 << 23)) *
         0x1p-23f;
}

/// What a seeded tensor of one shape holds: element `i`, counted row-major, is
/// `bias + scale * seededUnit(seed, i)` in f32 arithmetic, then rounded to the
/// element type. Matrices have mean 0 and variance 1 / K, K being the last
/// extent, so that a linear keeps the size of its input; vectors (norm weights,
/// biases) lie within 1/16 of 1.
struct SeededScale {
  float bias, scale;

  static SeededScale of(llvm::ArrayRef<int64_t> shape) {
    if (shape.size() < 2)
      return {1.0f, 0x1p-4f};
    float columns = static_cast<float>(shape.back());
    return {0.0f, std::sqrt(3.0f / columns)};
  }

  /// A fused multiply-add gives the same bits: either the bias is 0 or the
  /// scale a power of two.
  float element(uint64_t seed, uint64_t index) const {
    return bias + scale * seededUnit(seed, index);
  }
};

} // namespace mlir::fdpp

#endif // FDPP_DIALECT_FDPP_IR_SEEDED_H
