// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Rounding.cpp - Where an interpreted step rounds --------------------===//
#include "fdpp/Interpreter/Rounding.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringSwitch.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::fdpp;

std::optional<RoundingMode> mlir::fdpp::parseRoundingMode(StringRef name) {
  return llvm::StringSwitch<std::optional<RoundingMode>>(name)
      .Case("none", RoundingMode::Exact)
      .Case("f32", RoundingMode::F32)
      .Case("bf16", RoundingMode::BF16)
      .Case("f16", RoundingMode::F16)
      .Default(std::nullopt);
}

Rounder::Rounder(RoundingMode mode) : format(mode) {}

Rounder Rounder::to(Type elementType) {
  if (elementType.isBF16())
    return Rounder(RoundingMode::BF16);
  if (elementType.isF16())
    return Rounder(RoundingMode::F16);
  if (elementType.isF32())
    return Rounder(RoundingMode::F32);
  return Rounder();
}

double Rounder::roundNarrow(double value) const {
  if (!std::isfinite(value) || value == 0)
    return value;
  bool bf16 = format == RoundingMode::BF16;
  // Significant bits, and the exponents of the smallest and largest normals.
  int bits = bf16 ? 8 : 11, lowest = bf16 ? -126 : -14,
      highest = bf16 ? 127 : 15;
  int exponent = std::max(std::ilogb(value), lowest);
  double quantum = std::ldexp(1.0, exponent - (bits - 1));
  double rounded = std::nearbyint(value / quantum) * quantum;
  if (std::fabs(rounded) >= std::ldexp(1.0, highest + 1))
    return std::copysign(std::numeric_limits<double>::infinity(), value);
  return rounded;
}
