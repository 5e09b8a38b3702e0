// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Predicates.cpp - Conditions on an element --------------------------===//
#include "Elements.h"

namespace mlir::fdpp::onnx {

Predicate::Ref makeTruth(bool value) {
  Predicate predicate;
  predicate.kind = value ? Predicate::True : Predicate::False;
  return std::make_shared<Predicate>(predicate);
}

Predicate::Ref makeAtLeastZero(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return makeTruth(constant.getValue() >= 0);
  Predicate predicate;
  predicate.kind = Predicate::AtLeastZero;
  predicate.expr = expr;
  return std::make_shared<Predicate>(predicate);
}

Predicate::Ref makeJunction(Predicate::Kind kind, Predicate::Ref a,
                            Predicate::Ref b) {
  Predicate::Kind neutral =
      kind == Predicate::And ? Predicate::True : Predicate::False;
  if (a->kind == neutral)
    return b;
  if (b->kind == neutral)
    return a;
  if (a->kind == Predicate::True || a->kind == Predicate::False)
    return a; // decides alone
  if (b->kind == Predicate::True || b->kind == Predicate::False)
    return b;
  Predicate predicate;
  predicate.kind = kind;
  for (const Predicate::Ref &side : {a, b}) {
    if (side->kind == kind)
      predicate.parts.append(side->parts);
    else
      predicate.parts.push_back(side);
  }
  return std::make_shared<Predicate>(predicate);
}

Predicate::Ref makeNot(const Predicate &predicate) {
  switch (predicate.kind) {
  case Predicate::True:
  case Predicate::False:
    return makeTruth(predicate.kind == Predicate::False);
  case Predicate::AtLeastZero:
    return makeAtLeastZero(-predicate.expr - 1);
  case Predicate::Nonzero: {
    Predicate opposite = predicate;
    opposite.negated = !predicate.negated;
    return std::make_shared<Predicate>(opposite);
  }
  case Predicate::And:
  case Predicate::Or: {
    auto kind =
        predicate.kind == Predicate::And ? Predicate::Or : Predicate::And;
    Predicate::Ref all = makeTruth(kind == Predicate::And);
    for (const Predicate::Ref &part : predicate.parts)
      all = makeJunction(kind, all, makeNot(*part));
    return all;
  }
  }
  llvm_unreachable("unknown predicate");
}

std::string Elements::print(const Predicate &predicate) const {
  switch (predicate.kind) {
  case Predicate::True:
    return "true";
  case Predicate::False:
    return "false";
  case Predicate::AtLeastZero:
    return shapes.print(predicate.expr) + " >= 0";
  case Predicate::Nonzero: {
    std::string text = "argument";
    if (auto argument = dyn_cast<BlockArgument>(predicate.source))
      text += " " + std::to_string(argument.getArgNumber());
    text += "[";
    for (auto [i, index] : llvm::enumerate(predicate.indices))
      text += (i ? ", " : "") + shapes.print(index);
    return text + (predicate.negated ? "] == 0" : "] != 0");
  }
  case Predicate::And:
  case Predicate::Or: {
    std::string text;
    for (const Predicate::Ref &part : predicate.parts) {
      if (!text.empty())
        text += predicate.kind == Predicate::And ? " and " : " or ";
      bool nested = !part->parts.empty();
      text += nested ? "(" + print(*part) + ")" : print(*part);
    }
    return text;
  }
  }
  llvm_unreachable("unknown predicate");
}

} // namespace mlir::fdpp::onnx
