// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- MatchActivations.cpp - Norms and gated units -----------------------===//
#include "Matchers.h"

#include <cmath>

namespace mlir::fdpp::onnx {

/// A single-precision attribute as the decimal number it was written from:
/// 1e-5 is stored as 9.99999974e-06.
static double shortest(double value) {
  for (int digits = 1; digits < 9; ++digits) {
    char text[32];
    snprintf(text, sizeof text, "%.*e", digits - 1, value);
    double candidate = strtod(text, nullptr);
    if (float(candidate) == float(value))
      return candidate;
  }
  return value;
}

/// Whether the op normalises the last dimension, and only that.
static bool overLast(Operator op) {
  auto type = dyn_cast<RankedTensorType>(op.inputAt(0).getType());
  int64_t axis = intAttr(op, "axis", -1);
  return type && (axis == -1 || axis == type.getRank() - 1) &&
         rowType(op.inputAt(0));
}

/// What both norms must be; notes why if one is not.
static bool isPlainNorm(Operator op, bool parameters, Recogniser &r) {
  if (!parameters)
    return r.refuse(op, "its gamma or beta is no parameter");
  if (!overLast(op))
    return r.refuse(op, "it does not normalise the last dimension alone");
  for (Value statistics : op->getResults().drop_front())
    if (!statistics.use_empty())
      return r.refuse(op, "something reads its mean or deviation");
  return true;
}

static llvm::APFloat epsOf(Operator op) {
  return llvm::APFloat(shortest(floatAttr(op, "epsilon", 1e-5)));
}

bool matchRMSNorm(Operator op, Recogniser &r) {
  Value gamma = r.parameters.findVector(op.inputAt(1));
  if (!isPlainNorm(op, static_cast<bool>(gamma), r))
    return false;
  auto norm = RMSNormOp::create(r.builder, op->getLoc(),
                                TypeRange(op.outputAt(0).getType()),
                                op.inputAt(0), gamma, epsOf(op), ValueRange());
  op.outputAt(0).replaceAllUsesWith(norm.getResult(0));
  return true;
}

bool matchLayerNorm(Operator op, Recogniser &r) {
  Value gamma = r.parameters.findVector(op.inputAt(1)), beta;
  if (op.inputAt(2))
    beta = r.parameters.findVector(op.inputAt(2));
  if (!isPlainNorm(op, gamma && (beta || !op.inputAt(2)), r))
    return false;
  auto norm = LayerNormOp::create(
      r.builder, op->getLoc(), TypeRange(op.outputAt(0).getType()),
      op.inputAt(0), gamma, beta, epsOf(op), ValueRange());
  op.outputAt(0).replaceAllUsesWith(norm.getResult(0));
  return true;
}

/// The x of x sigmoid(x), null if `value` is none.
static Value siluOf(Value value) {
  if (Operator swish = definedBy(value, "Swish"))
    return floatAttr(swish, "alpha", 1) == 1 ? swish.inputAt(0) : Value();
  Operator product = definedBy(value, "Mul");
  if (!product)
    return {};
  for (auto [x, s] : {std::pair(0, 1), std::pair(1, 0)}) {
    Operator sigmoid = definedBy(product.inputAt(s), "Sigmoid");
    if (sigmoid && sigmoid.inputAt(0) == product.inputAt(x))
      return product.inputAt(x);
  }
  return {};
}

/// What a gate's activation is applied to, and which it is.
static std::pair<Value, ActivationKind> activationOf(Value value) {
  if (Value x = siluOf(value))
    return {x, ActivationKind::SiLU};
  if (Operator gelu = definedBy(value, "Gelu")) {
    auto form = gelu->getAttrOfType<StringAttr>("approximate");
    bool tanh = form && form.getValue() == "tanh";
    return {gelu.inputAt(0),
            tanh ? ActivationKind::GELUTanh : ActivationKind::GELU};
  }
  if (Operator relu = definedBy(value, "Relu"))
    return {relu.inputAt(0), ActivationKind::ReLU};
  return {Value(), ActivationKind::SiLU};
}

/// activation(gate) * up.
bool matchGlu(Operator op, Recogniser &r) {
  RankedTensorType type = rowType(op.outputAt(0));
  if (!type)
    return false;
  for (auto [g, u] : {std::pair(0, 1), std::pair(1, 0)}) {
    auto [gate, kind] = activationOf(op.inputAt(g));
    Value up = op.inputAt(u);
    if (!gate || gate.getType() != type || up.getType() != type)
      continue;
    if (!gate.getDefiningOp<LinearOp>() || !up.getDefiningOp<LinearOp>()) {
      r.refuse(op, "gate or up is not the result of a linear");
      continue;
    }
    auto glu = GluOp::create(r.builder, op->getLoc(), TypeRange(type), gate, up,
                             kind, ValueRange());
    op->replaceAllUsesWith(glu);
    return true;
  }
  return false;
}

/// An activation on its own; the one of a gate belongs to the gated unit.
bool matchActivation(Operator op, Recogniser &r) {
  RankedTensorType type = rowType(op.outputAt(0));
  auto [x, kind] = activationOf(op.outputAt(0));
  bool gates = llvm::any_of(op->getUsers(), [](Operation *user) {
    return user->getNumResults() > 0 && definedBy(user->getResult(0), "Mul");
  });
  if (!type || !x || gates || x.getType() != type || !isFromModel(x))
    return false;
  auto activation = ActivationOp::create(
      r.builder, op->getLoc(), TypeRange(type), x, kind, ValueRange());
  op->replaceAllUsesWith(activation);
  return true;
}

/// A product of a value that the model computes with one number.
bool matchScale(Operator op, Recogniser &r) {
  RankedTensorType type = rowType(op.outputAt(0));
  for (auto [x, other] : {std::pair(0, 1), std::pair(1, 0)}) {
    Value input = op.inputAt(x);
    std::optional<double> factor = scalarOf(op.inputAt(other));
    if (!type || !factor || input.getType() != type || !isFromModel(input))
      continue;
    auto scale = ScaleOp::create(r.builder, op->getLoc(), TypeRange(type),
                                 input, llvm::APFloat(*factor), ValueRange());
    op->replaceAllUsesWith(scale);
    return true;
  }
  return false;
}

/// The x of x / cap, null if `value` is none: a quotient, or a product that was
/// recognised as a scale before.
static Value quotientOf(Value value, double cap) {
  if (Operator quotient = definedBy(value, "Div"))
    return scalarOf(quotient.inputAt(1)) == cap ? quotient.inputAt(0) : Value();
  auto scale = value.getDefiningOp<ScaleOp>();
  if (!scale || !scale.getFactor())
    return {};
  double product = scale.getFactor()->convertToDouble() * cap;
  return std::abs(product - 1) < 1e-6 ? scale.getInput() : Value();
}

/// cap * tanh(x / cap).
bool matchSoftcap(Operator op, Recogniser &r) {
  RankedTensorType type = rowType(op.outputAt(0));
  for (auto [t, c] : {std::pair(0, 1), std::pair(1, 0)}) {
    Operator tanh = definedBy(op.inputAt(t), "Tanh");
    std::optional<double> cap = scalarOf(op.inputAt(c));
    if (!type || !tanh || !cap || *cap <= 0)
      continue;
    Value x = quotientOf(tanh.inputAt(0), *cap);
    if (!x || x.getType() != type || !isFromModel(x))
      continue;
    auto softcap = SoftcapOp::create(r.builder, op->getLoc(), TypeRange(type),
                                     x, llvm::APFloat(*cap), ValueRange());
    op->replaceAllUsesWith(softcap);
    return true;
  }
  return false;
}

} // namespace mlir::fdpp::onnx
