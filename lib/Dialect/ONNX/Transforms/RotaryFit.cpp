// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- RotaryFit.cpp - Frequencies of tables of cosines and sines ---------===//
//
// A graph of fixed extents has its angles, or cosines and sines, as constants.
// They are read as row * frequency, or as magnitude * cos(row * frequency) and
// the same with sin, if that is every element, within what rounding explains.
//
//===----------------------------------------------------------------------===//
#include "RotaryTables.h"

#include "fdpp/Interpreter/Tensor.h"

#include <cmath>

namespace mlir::fdpp::onnx {

/// Of an angle, how much its product in single precision, and a frequency of
/// single precision, may be off.
constexpr double kAngleError = 0x1p-22;

namespace {
class RotaryFit {
public:
  RotaryFit(Tensor cos, Tensor sin, int64_t pairs)
      : cos(std::move(cos)), sin(std::move(sin)), pairs(pairs),
        width(this->cos.shape().back()), rows(this->cos.size() / width),
        tolerance(std::max(toleranceOf(this->cos), toleranceOf(this->sin))) {}

  std::optional<RotaryWaves> fit() {
    magnitude = cos.asDouble(0);
    if (rows < 2 || !(magnitude > 0) || !std::isfinite(magnitude))
      return std::nullopt;
    std::vector<double> found;
    for (int64_t j = 0; j < pairs; ++j)
      found.push_back(frequency(j));
    // Of narrow tables the formula says more than they do, if it explains them.
    if (tolerance > kSingle)
      if (auto formula = powersLike(found))
        return RotaryWaves{*formula, magnitude};
    return explains(found) ? std::optional(RotaryWaves{found, magnitude})
                           : std::nullopt;
  }

private:
  static constexpr double kSingle = 1e-6;

  /// What rounding the elements leaves open: they may have come from f16 or
  /// bf16, which they are all numbers of then.
  static double toleranceOf(const Tensor &table) {
    auto all = [&](unsigned digits) {
      return llvm::all_of(table.f(), [&](double value) {
        int exponent;
        double scaled = std::ldexp(std::frexp(value, &exponent), digits);
        return scaled == std::nearbyint(scaled);
      });
    };
    return all(8) ? 0x1p-8 : all(11) ? 0x1p-11 : kSingle;
  }

  double angle(int64_t row, int64_t j) const {
    int64_t at = row * width + j;
    return std::atan2(sin.asDouble(at), cos.asDouble(at));
  }

  /// The angle of the second row, made more exact by later ones: each tells
  /// twice as much, and which turn it is in the rows before have told.
  double frequency(int64_t j) const {
    double x = angle(1, j);
    auto refine = [&](int64_t row) {
      x += std::remainder(angle(row, j) - row * x, 2 * M_PI) / row;
    };
    for (int64_t row = 2; row < rows; row *= 2)
      refine(row);
    refine(rows - 1);
    return tolerance > kSingle ? x : nearest(float(x), j);
  }

  /// Of the numbers around `x` the one whose products with the rows, rounded to
  /// single precision, have these cosines and sines.
  double nearest(float x, int64_t j) const {
    float begin = x, best = x;
    for (int step = 0; step < 4; ++step)
      begin = std::nextafter(begin, -HUGE_VALF);
    double least = HUGE_VAL;
    for (int step = 0; step <= 8; ++step) {
      double distance = 0;
      for (int64_t row = 0; row < rows; ++row) {
        double turned = row * begin; // in single precision
        int64_t at = row * width + j;
        distance += std::abs(cos.asDouble(at) - magnitude * std::cos(turned)) +
                    std::abs(sin.asDouble(at) - magnitude * std::sin(turned));
      }
      if (distance < least) {
        least = distance;
        best = begin;
      }
      begin = std::nextafter(begin, HUGE_VALF);
    }
    return best;
  }

  bool explains(ArrayRef<double> frequencies) const {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t j = 0; j < pairs; ++j) {
        double x = row * frequencies[j];
        double c = magnitude * std::cos(x), s = magnitude * std::sin(x);
        double open = magnitude * (tolerance + std::abs(x) * kAngleError);
        for (int64_t at = row * width + j; at < (row + 1) * width; at += pairs)
          // Not a number is not close to any.
          if (!(std::abs(cos.asDouble(at) - c) <= open) ||
              !(std::abs(sin.asDouble(at) - s) <= open))
            return false;
      }
    return true;
  }

  /// theta^(-j / pairs), with a theta of few digits that explains the tables.
  std::optional<std::vector<double>> powersLike(ArrayRef<double> found) const {
    // The pair that tells most about theta.
    double best = 0, logarithm = 0;
    for (int64_t j = 1; j < pairs; ++j) {
      double exactness = j * std::max(1.0, (rows - 1) * found[j]);
      if (found[j] > 0 && exactness > best) {
        best = exactness;
        logarithm = -std::log(found[j]) * pairs / j;
      }
    }
    if (best == 0)
      return std::nullopt;
    for (int digits = 1; digits <= 3; ++digits) {
      double theta = std::exp(logarithm);
      double unit = std::pow(10, std::floor(std::log10(theta)) + 1 - digits);
      theta = std::round(theta / unit) * unit;
      std::vector<double> formula;
      for (int64_t j = 0; j < pairs; ++j)
        formula.push_back(float(std::pow(theta, -double(j) / pairs)));
      if (explains(formula))
        return formula;
    }
    return std::nullopt;
  }

  Tensor cos, sin;
  int64_t pairs, width, rows;
  double tolerance, magnitude = 1;
};
} // namespace

/// The last two extents of a table [1, .., rows, columns].
static std::optional<std::pair<int64_t, int64_t>>
matrixOf(DenseElementsAttr all) {
  auto type = cast<RankedTensorType>(all.getType());
  if (type.getRank() < 2 || !isa<FloatType>(type.getElementType()))
    return std::nullopt;
  auto matrix = type.getShape().take_back(2);
  return matrix[0] > 0 && matrix[0] * matrix[1] == type.getNumElements()
             ? std::optional(std::pair(matrix[0], matrix[1]))
             : std::nullopt;
}

std::optional<RotaryWaves> fitAngles(DenseElementsAttr angles, int64_t pairs) {
  auto shape = matrixOf(angles);
  Tensor values = shape ? tensorFrom(angles) : Tensor();
  if (values.isAbsent() || shape->first < 2 ||
      (shape->second != pairs && shape->second != 2 * pairs))
    return std::nullopt;
  auto [rows, width] = *shape;
  std::vector<double> found;
  for (int64_t j = 0; j < pairs; ++j) {
    found.push_back(values.asDouble(width + j));
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t at = row * width + j; at < (row + 1) * width; at += pairs) {
        double x = row * found[j];
        if (!(std::abs(values.asDouble(at) - x) <= std::abs(x) * kAngleError))
          return std::nullopt;
      }
  }
  return RotaryWaves{found, 1};
}

std::optional<RotaryWaves> fitWaves(DenseElementsAttr cosines,
                                    DenseElementsAttr sines, int64_t pairs) {
  auto shape = matrixOf(cosines);
  if (!shape || shape != matrixOf(sines) ||
      (shape->second != pairs && shape->second != 2 * pairs))
    return std::nullopt;
  Tensor cos = tensorFrom(cosines), sin = tensorFrom(sines);
  if (cos.isAbsent() || sin.isAbsent())
    return std::nullopt;
  return RotaryFit(std::move(cos), std::move(sin), pairs).fit();
}

} // namespace mlir::fdpp::onnx
