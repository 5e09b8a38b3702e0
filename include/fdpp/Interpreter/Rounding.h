// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Rounding.h - Where an interpreted step rounds ------------*- C++ -*-===//
//
// Exact interpretation treats every number as real: element types do not
// matter, and two phases of one model agree to about 1e-12. The other modes
// round where an engine of that dtype does:
//
//   - the weight of a linear and the embedding table, to the mode's type;
//   - the input of a linear, on entry, to the mode's type;
//   - elements of the cache, when they are stored, and queries, on entry to
//     attention, to the mode's type;
//   - every stored result, to its element type, if that is narrower.
//
// Sums stay in fp64, where an engine has f32. docs/numerics.md says what that
// leaves as a bound between interpreter and engine.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_INTERPRETER_ROUNDING_H
#define FDPP_INTERPRETER_ROUNDING_H

#include "mlir/IR/Types.h"

#include <cstdint>
#include <optional>

namespace mlir::fdpp {

enum class RoundingMode : uint8_t { Exact, F32, BF16, F16 };

/// The mode called "none", "f32", "bf16" or "f16".
std::optional<RoundingMode> parseRoundingMode(StringRef name);

/// Rounds doubles to one float format, to nearest, ties to even, with the
/// format's subnormals and infinities.
class Rounder {
public:
  /// Leaves every value as it is.
  Rounder() = default;
  /// The format of the mode; Exact leaves values as they are.
  explicit Rounder(RoundingMode mode);
  /// The format of a float element type; other types leave values as they are.
  static Rounder to(Type elementType);

  bool isIdentity() const { return format == RoundingMode::Exact; }
  double operator()(double value) const {
    if (format == RoundingMode::Exact)
      return value;
    if (format == RoundingMode::F32)
      return static_cast<float>(value);
    return roundNarrow(value);
  }
  bool operator==(const Rounder &other) const { return format == other.format; }

private:
  double roundNarrow(double value) const;

  RoundingMode format = RoundingMode::Exact;
};

} // namespace mlir::fdpp

#endif // FDPP_INTERPRETER_ROUNDING_H
