// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ComposeNorm.cpp - x / sqrt(mean(x^2) + eps) * gamma ----------------===//
#include "Compose.h"

namespace mlir::fdpp::onnx {

/// The x of x^2.
static Value squareOf(Value value) {
  if (Operator power = definedBy(value, "Pow"))
    return scalarOf(power.inputAt(1)) == 2 ? power.inputAt(0) : Value();
  Operator product = definedBy(value, "Mul");
  return product && product.inputAt(0) == product.inputAt(1)
             ? product.inputAt(0)
             : Value();
}

namespace {
/// mean(x^2) + eps over the last dimension.
struct Deviation {
  Value x;
  double eps = 0;
};
} // namespace

static std::optional<Deviation> varianceOf(Value value) {
  Operator sum = definedBy(value, "Add");
  if (!sum)
    return std::nullopt;
  for (auto [m, e] : {std::pair(0, 1), std::pair(1, 0)}) {
    Operator mean = definedBy(sum.inputAt(m), "ReduceMean");
    std::optional<double> eps = scalarOf(sum.inputAt(e));
    auto axes = mean ? constantInts(mean.inputAt(1)) : std::nullopt;
    if (!axes || !eps || axes->size() != 1 || !intAttr(mean, "keepdims", 1))
      continue;
    Value x = squareOf(mean.inputAt(0));
    auto type =
        x ? dyn_cast<RankedTensorType>(x.getType()) : RankedTensorType();
    if (type && (axes->front() == -1 || axes->front() == type.getRank() - 1))
      return Deviation{x, *eps};
  }
  return std::nullopt;
}

static std::optional<Deviation> rootOf(Value value) {
  if (Operator root = definedBy(value, "Sqrt"))
    return varianceOf(root.inputAt(0));
  Operator power = definedBy(value, "Pow");
  return power && scalarOf(power.inputAt(1)) == 0.5
             ? varianceOf(power.inputAt(0))
             : std::nullopt;
}

/// 1 / sqrt(mean(x^2) + eps).
static std::optional<Deviation> inverseRootOf(Value value) {
  if (Operator inverse = definedBy(value, "Reciprocal"))
    return rootOf(inverse.inputAt(0));
  if (Operator quotient = definedBy(value, "Div"))
    return scalarOf(quotient.inputAt(0)) == 1 ? rootOf(quotient.inputAt(1))
                                              : std::nullopt;
  Operator power = definedBy(value, "Pow");
  return power && scalarOf(power.inputAt(1)) == -0.5
             ? varianceOf(power.inputAt(0))
             : std::nullopt;
}

/// x / sqrt(mean(x^2) + eps).
static std::optional<Deviation> normalised(Value value) {
  if (Operator quotient = definedBy(value, "Div")) {
    auto root = rootOf(quotient.inputAt(1));
    return root && root->x == quotient.inputAt(0) ? root : std::nullopt;
  }
  Operator product = definedBy(value, "Mul");
  if (!product)
    return std::nullopt;
  for (auto [x, r] : {std::pair(0, 1), std::pair(1, 0)}) {
    auto inverse = inverseRootOf(product.inputAt(r));
    if (inverse && inverse->x == product.inputAt(x))
      return inverse;
  }
  return std::nullopt;
}

bool composeNorm(Operator root, Composer &c) {
  auto type = dyn_cast<RankedTensorType>(root.outputAt(0).getType());
  for (auto [n, g] : {std::pair(0, 1), std::pair(1, 0)}) {
    auto norm = normalised(root.inputAt(n));
    Value gamma = root.inputAt(g);
    auto gammaType = dyn_cast<RankedTensorType>(gamma.getType());
    if (!norm || !type || !gammaType || gammaType.getRank() != 1 ||
        gammaType.getDimSize(0) != type.getShape().back() ||
        gammaType.isDynamicDim(0))
      continue;
    Value result = c.createOne(
        root->getLoc(), "RMSNormalization", {norm->x, gamma}, type,
        {c.attribute("axis", int64_t(-1)), c.attribute("epsilon", norm->eps)});
    root.outputAt(0).replaceAllUsesWith(result);
    return true;
  }
  return false;
}

} // namespace mlir::fdpp::onnx
