// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Elements.cpp - One element as a function of its index --------------===//
#include "Elements.h"

#include "fdpp/Interpreter/Tensor.h"

#include "llvm/ADT/StringSwitch.h"

namespace mlir::fdpp::onnx {

//===----------------------------------------------------------------------===//
// Predicates
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// Leaves
//===----------------------------------------------------------------------===//

Elements::Elements(const SymbolicShapes &shapes) : shapes(shapes) {}

AffineExpr Elements::number(int64_t value) const {
  return getAffineConstantExpr(value, context);
}

Element Elements::read(Value value, ArrayRef<AffineExpr> at) {
  context = value.getContext();
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || type.getRank() != int64_t(at.size()))
    return {};
  // Scalars and one-element tensors the shape analysis already knows.
  if (const auto &known = shapes.elementsOf(value); known && known->size() == 1)
    return {known->front(), nullptr, std::nullopt};
  if (auto constant = constantOf(value))
    return readConstant(constant, at);
  if (isa<BlockArgument>(value))
    return readArgument(value, at);
  auto op = value.getDefiningOp<Operator>();
  Element element = op ? readOperator(op, at) : Element();
  if (!element.isKnown() && !stuck)
    stuck = value.getDefiningOp();
  return element;
}

Element Elements::readArgument(Value value, ArrayRef<AffineExpr> at) {
  Predicate predicate;
  predicate.kind = Predicate::Nonzero;
  predicate.source = value;
  predicate.indices.assign(at.begin(), at.end());
  return {nullptr, std::make_shared<Predicate>(predicate), std::nullopt};
}

Element Elements::readConstant(DenseElementsAttr elements,
                               ArrayRef<AffineExpr> at) {
  if (!elements.isSplat())
    return {};
  Tensor value = tensorFrom(elements.resizeSplat(
      RankedTensorType::get({}, elements.getElementType())));
  if (value.isAbsent())
    return {};
  if (value.isFloat())
    return {nullptr, makeTruth(true),
            std::pair(value.asDouble(0), value.asDouble(0))};
  if (value.kind() == TensorKind::Bool)
    return {nullptr, makeTruth(value.i()[0]), std::nullopt};
  return {number(value.i()[0]), nullptr, std::nullopt};
}

//===----------------------------------------------------------------------===//
// Operators
//===----------------------------------------------------------------------===//

Element Elements::readOperator(Operator op, ArrayRef<AffineExpr> at) {
  using Read = Element (Elements::*)(Operator, ArrayRef<AffineExpr>);
  Read read =
      llvm::StringSwitch<Read>(op.getSchema().name)
          .Case("Cast", &Elements::readCast)
          .Cases({"Range", "Unsqueeze", "Squeeze", "Expand", "Identity"},
                 &Elements::readMoved)
          .Case("Transpose", &Elements::readMoved)
          .Cases({"Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"},
                 &Elements::readCompare)
          .Cases({"And", "Or", "Not"}, &Elements::readLogic)
          .Cases({"Add", "Sub", "Mul"}, &Elements::readArithmetic)
          .Case("Where", &Elements::readWhere)
          .Default(nullptr);
  return read ? (this->*read)(op, at) : Element();
}

/// As a condition: integers and arguments are true where they are not zero.
Predicate::Ref Elements::asTruth(const Element &element) {
  if (element.truth && !element.floats)
    return element.truth;
  if (auto constant = dyn_cast_or_null<AffineConstantExpr>(element.integer))
    return makeTruth(constant.getValue() != 0);
  return nullptr;
}

Element Elements::readCast(Operator op, ArrayRef<AffineExpr> at) {
  Element in = read(op.inputAt(0), at);
  Type from = cast<TensorType>(op.inputAt(0).getType()).getElementType();
  Type to = cast<TensorType>(op.outputAt(0).getType()).getElementType();
  if (to.isInteger(1)) {
    Predicate::Ref truth = asTruth(in);
    return truth ? Element{nullptr, truth, std::nullopt} : Element();
  }
  // An argument's own number is not its truth; only booleans are 0 and 1.
  if (in.truth && !in.floats && from.isInteger(1) && isa<FloatType>(to))
    return {nullptr, in.truth, std::pair(1.0, 0.0)};
  if (in.integer && keepsExtents(op))
    return in;
  return {};
}

Element Elements::readBroadcast(Value operand, ArrayRef<AffineExpr> at) {
  auto type = dyn_cast<RankedTensorType>(operand.getType());
  if (!type || type.getRank() > int64_t(at.size()))
    return {};
  SmallVector<AffineExpr, 4> own(at.take_back(type.getRank()));
  for (int64_t d = 0; d < type.getRank(); ++d)
    if (type.getDimSize(d) == 1)
      own[d] = number(0);
  return read(operand, own);
}

Element Elements::readMoved(Operator op, ArrayRef<AffineExpr> at) {
  StringRef name = op.getSchema().name;
  if (name == "Range") {
    const auto &start = shapes.elementsOf(op.inputAt(0));
    auto delta = constantInts(op.inputAt(2));
    // Of a length that nobody knows, an element may stand for all others.
    if (!start || !delta || !shapes.elementsOf(op.inputAt(1)))
      return {};
    return {start->front() + at[0] * delta->front(), nullptr, std::nullopt};
  }
  if (name == "Identity")
    return read(op.inputAt(0), at);
  if (name == "Expand")
    return readBroadcast(op.inputAt(0), at);
  auto inType = dyn_cast<RankedTensorType>(op.inputAt(0).getType());
  if (!inType)
    return {};
  SmallVector<AffineExpr, 4> inner(inType.getRank());
  if (name == "Transpose") {
    auto perm = op->getAttrOfType<DenseI64ArrayAttr>("perm");
    for (size_t d = 0; d < at.size(); ++d)
      inner[perm ? perm[d] : int64_t(at.size() - 1 - d)] = at[d];
    return read(op.inputAt(0), inner);
  }
  auto axes = constantInts(op.inputAt(1));
  if (!axes)
    return {};
  bool adds = name == "Unsqueeze";
  int64_t rank = adds ? at.size() : inType.getRank();
  SmallVector<bool> unit(rank, false);
  for (int64_t axis : *axes)
    unit[axis < 0 ? axis + rank : axis] = true;
  size_t from = 0;
  inner.clear();
  for (int64_t d = 0; d < rank; ++d) {
    if (adds && !unit[d])
      inner.push_back(at[d]);
    else if (!adds)
      inner.push_back(unit[d] ? number(0) : at[from++]);
  }
  return read(op.inputAt(0), inner);
}

Element Elements::readCompare(Operator op, ArrayRef<AffineExpr> at) {
  Element a = readBroadcast(op.inputAt(0), at);
  Element b = readBroadcast(op.inputAt(1), at);
  if (!a.integer || !b.integer)
    return {};
  AffineExpr difference = b.integer - a.integer; // b - a
  StringRef name = op.getSchema().name;
  Predicate::Ref truth;
  if (name == "LessOrEqual")
    truth = makeAtLeastZero(difference);
  else if (name == "Less")
    truth = makeAtLeastZero(difference - 1);
  else if (name == "GreaterOrEqual")
    truth = makeAtLeastZero(-difference);
  else if (name == "Greater")
    truth = makeAtLeastZero(-difference - 1);
  else
    truth = makeJunction(Predicate::And, makeAtLeastZero(difference),
                         makeAtLeastZero(-difference));
  return {nullptr, truth, std::nullopt};
}

Element Elements::readLogic(Operator op, ArrayRef<AffineExpr> at) {
  Predicate::Ref a = asTruth(readBroadcast(op.inputAt(0), at));
  if (!a)
    return {};
  StringRef name = op.getSchema().name;
  if (name == "Not")
    return {nullptr, makeNot(*a), std::nullopt};
  Predicate::Ref b = asTruth(readBroadcast(op.inputAt(1), at));
  if (!b)
    return {};
  return {nullptr,
          makeJunction(name == "And" ? Predicate::And : Predicate::Or, a, b),
          std::nullopt};
}

Element Elements::readArithmetic(Operator op, ArrayRef<AffineExpr> at) {
  Element a = readBroadcast(op.inputAt(0), at);
  Element b = readBroadcast(op.inputAt(1), at);
  StringRef name = op.getSchema().name;
  if (a.integer && b.integer) {
    if (name == "Add")
      return {a.integer + b.integer, nullptr, std::nullopt};
    if (name == "Sub")
      return {a.integer - b.integer, nullptr, std::nullopt};
    return {a.integer * b.integer, nullptr, std::nullopt};
  }
  // A choice of two floats with a constant, as (1 - mask) * -3e38.
  bool constantFirst = a.floats && a.truth->kind == Predicate::True;
  bool constantSecond = b.floats && b.truth->kind == Predicate::True;
  if (!a.floats || !b.floats || (!constantFirst && !constantSecond))
    return {};
  auto apply = [&](double x, double y) {
    return name == "Add" ? x + y : name == "Sub" ? x - y : x * y;
  };
  const Element &choice = constantFirst ? b : a;
  std::pair<double, double> x = *a.floats, y = *b.floats;
  return {nullptr, choice.truth,
          std::pair(apply(x.first, y.first), apply(x.second, y.second))};
}

Element Elements::readWhere(Operator op, ArrayRef<AffineExpr> at) {
  Predicate::Ref condition = asTruth(readBroadcast(op.inputAt(0), at));
  Element x = readBroadcast(op.inputAt(1), at);
  Element y = readBroadcast(op.inputAt(2), at);
  if (!condition)
    return {};
  auto isConstant = [](const Element &element) {
    return element.floats && element.floats->first == element.floats->second;
  };
  if (isConstant(x) && isConstant(y))
    return {nullptr, condition, std::pair(x.floats->first, y.floats->first)};
  Predicate::Ref a = asTruth(x), b = asTruth(y);
  if (!a || !b)
    return {};
  return {nullptr,
          makeJunction(Predicate::Or,
                       makeJunction(Predicate::And, condition, a),
                       makeJunction(Predicate::And, makeNot(*condition), b)),
          std::nullopt};
}

} // namespace mlir::fdpp::onnx
