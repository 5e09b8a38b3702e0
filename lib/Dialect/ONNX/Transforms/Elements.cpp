// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Elements.cpp - One element as a function of its index --------------===//
#include "Elements.h"

#include "fdpp/Interpreter/Tensor.h"

#include "llvm/ADT/StringSwitch.h"

namespace mlir::fdpp::onnx {

//===----------------------------------------------------------------------===//
// Leaves
//===----------------------------------------------------------------------===//

Elements::Elements(const SymbolicShapes &shapes, ArrayRef<AffineExpr> extents)
    : shapes(shapes), layout(shapes, extents), extents(extents),
      context(shapes.getContext()) {}

AffineExpr Elements::number(int64_t value) const {
  return getAffineConstantExpr(value, context);
}

Element Elements::read(Value value, ArrayRef<AffineExpr> at) {
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

Element Elements::fromConstant(const Tensor &value, int64_t index) const {
  if (value.isFloat())
    return {nullptr, makeTruth(true),
            std::pair(value.asDouble(index), value.asDouble(index))};
  if (value.kind() == TensorKind::Bool)
    return {nullptr, makeTruth(value.i()[index]), std::nullopt};
  return {number(value.i()[index]), nullptr, std::nullopt};
}

Element Elements::readConstant(DenseElementsAttr elements,
                               ArrayRef<AffineExpr> at) {
  if (!elements.isSplat())
    return readTable(elements, at);
  Tensor value = tensorFrom(elements.resizeSplat(
      RankedTensorType::get({}, elements.getElementType())));
  return value.isAbsent() ? Element() : fromConstant(value, 0);
}

//===----------------------------------------------------------------------===//
// Operators
//===----------------------------------------------------------------------===//

Element Elements::readOperator(Operator op, ArrayRef<AffineExpr> at) {
  if (auto place = layout.step(op, at))
    return read(place->value, place->at);
  using Read = Element (Elements::*)(Operator, ArrayRef<AffineExpr>);
  Read read =
      llvm::StringSwitch<Read>(op.getSchema().name)
          .Cases({"Cast", "CastLike"}, &Elements::readCast)
          .Case("Range", &Elements::readRange)
          .Case("ConstantOfShape", &Elements::readFill)
          .Case("Concat", &Elements::readConcat)
          .Case("Gather", &Elements::readGather)
          .Case("GatherND", &Elements::readGatherND)
          .Case("CumSum", &Elements::readCumSum)
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
    if (in.floats && in.floats->first != 0 && in.floats->second == 0)
      truth = in.truth;
    else if (in.floats && in.floats->first == in.floats->second)
      truth = makeTruth(in.floats->first != 0);
    return truth ? Element{nullptr, truth, std::nullopt} : Element();
  }
  // An argument's own number is not its truth; only booleans are 0 and 1.
  if (in.truth && !in.floats && from.isInteger(1) && isa<FloatType>(to))
    return {nullptr, in.truth, std::pair(1.0, 0.0)};
  if (in.integer && keepsExtents(op))
    return in;
  if (in.truth && from.isInteger(1) && isa<IntegerType>(to) &&
      (in.truth->kind == Predicate::True || in.truth->kind == Predicate::False))
    return {number(in.truth->kind == Predicate::True), nullptr, std::nullopt};
  return {};
}

Element Elements::readBroadcast(Value operand, ArrayRef<AffineExpr> at) {
  auto type = dyn_cast<RankedTensorType>(operand.getType());
  if (!type || type.getRank() > int64_t(at.size()))
    return {};
  SmallVector<AffineExpr, 4> own(at.take_back(type.getRank()));
  for (int64_t d = 0; d < type.getRank(); ++d)
    if (!(own[d] = broadcastIndex(operand, d, own[d])))
      return {};
  return read(operand, own);
}

AffineExpr Elements::broadcastIndex(Value value, int64_t dim,
                                    AffineExpr at) const {
  auto type = cast<RankedTensorType>(value.getType());
  AffineExpr extent = shapes.extentOf(value, dim);
  if (type.getDimSize(dim) == 1 || extent == number(1))
    return number(0);
  auto index = dyn_cast<AffineDimExpr>(at);
  AffineExpr full = index && index.getPosition() < extents.size()
                        ? extents[index.getPosition()]
                        : AffineExpr();
  if (!full || !type.isDynamicDim(dim))
    return at;
  if (!extent)
    return {};
  AffineExpr rest =
      simplifyAffineExpr(full - extent, 0, shapes.symbols().size());
  // An input's own extent, as of an attention mask, is as long as it must be.
  auto symbol = dyn_cast<AffineSymbolExpr>(extent);
  bool isFree = symbol && !full.isFunctionOfSymbol(symbol.getPosition());
  return rest == number(0) || isFree ? at : AffineExpr();
}

Element Elements::readRange(Operator op, ArrayRef<AffineExpr> at) {
  const auto &start = shapes.elementsOf(op.inputAt(0));
  auto delta = constantInts(op.inputAt(2));
  // Of a length that nobody knows, an element may stand for all others.
  if (!start || start->size() != 1 || !delta || delta->size() != 1 ||
      at.size() != 1 || !shapes.elementsOf(op.inputAt(1)))
    return {};
  return {start->front() + at[0] * delta->front(), nullptr, std::nullopt};
}

Element Elements::readFill(Operator op, ArrayRef<AffineExpr>) {
  auto value = op->getAttrOfType<DenseElementsAttr>("value");
  Tensor fill = value ? tensorFrom(value) : Tensor();
  return value && !fill.isAbsent() && fill.size() == 1 ? fromConstant(fill, 0)
                                                       : Element();
}

/// Of two parts where the index may be in either: what holds in the second, if
/// it would hold in the first, which is short, too.
Element Elements::readConcat(Operator op, ArrayRef<AffineExpr> at) {
  int64_t axis = intAttr(op, "axis", 0);
  axis = axis < 0 ? axis + int64_t(at.size()) : axis;
  if (op->getNumOperands() != 2 || axis < 0 || axis >= int64_t(at.size()))
    return {};
  auto dim = dyn_cast<AffineDimExpr>(at[axis]);
  if (!dim)
    return {};
  auto extent = dyn_cast_or_null<AffineConstantExpr>(
      shapes.extentOf(op->getOperand(0), axis));
  if (!extent || extent.getValue() > 8)
    return {};
  SmallVector<AffineExpr, 4> inner(at);
  inner[axis] = dim - extent;
  Element second = read(op->getOperand(1), inner);
  if (!second.integer)
    return {};
  for (int64_t i = 0; i < extent.getValue(); ++i) {
    inner[axis] = number(i);
    Element first = read(op->getOperand(0), inner);
    AffineExpr here = second.integer.replace(dim, number(i));
    if (!first.integer || layout.simplify(first.integer - here) != number(0))
      return {};
  }
  return second;
}

Element Elements::readGather(Operator op, ArrayRef<AffineExpr> at) {
  auto indices = dyn_cast<RankedTensorType>(op.inputAt(1).getType());
  auto data = dyn_cast<RankedTensorType>(op.inputAt(0).getType());
  if (!indices || !data)
    return {};
  int64_t axis = intAttr(op, "axis", 0);
  axis = axis < 0 ? axis + data.getRank() : axis;
  if (axis < 0 || axis >= data.getRank() ||
      int64_t(at.size()) != data.getRank() - 1 + indices.getRank())
    return {};
  Element index = read(op.inputAt(1), at.slice(axis, indices.getRank()));
  // Negative indices count from the end.
  if (!index.integer || layout.lower(index.integer).value_or(-1) < 0)
    return {};
  SmallVector<AffineExpr, 4> inner(at.take_front(axis));
  inner.push_back(index.integer);
  llvm::append_range(inner, at.drop_front(axis + indices.getRank()));
  return read(op.inputAt(0), inner);
}

Element Elements::readGatherND(Operator op, ArrayRef<AffineExpr> at) {
  auto indices = dyn_cast<RankedTensorType>(op.inputAt(1).getType());
  auto data = dyn_cast<RankedTensorType>(op.inputAt(0).getType());
  if (!indices || !data || indices.getRank() == 0 ||
      intAttr(op, "batch_dims", 0) != 0 ||
      indices.isDynamicDim(indices.getRank() - 1))
    return {};
  size_t lead = indices.getRank() - 1;
  if (lead > at.size() || indices.getShape().back() > data.getRank())
    return {};
  SmallVector<AffineExpr, 4> inner, place(at.take_front(lead));
  place.push_back({});
  for (int64_t i = 0; i < indices.getShape().back(); ++i) {
    place.back() = number(i);
    Element index = read(op.inputAt(1), place);
    if (!index.integer || layout.lower(index.integer).value_or(-1) < 0)
      return {};
    inner.push_back(index.integer);
  }
  llvm::append_range(inner, at.drop_front(lead));
  return read(op.inputAt(0), inner);
}

/// Sums of one number.
Element Elements::readCumSum(Operator op, ArrayRef<AffineExpr> at) {
  auto axis = constantInts(op.inputAt(1));
  if (!axis || intAttr(op, "reverse", 0) || intAttr(op, "exclusive", 0))
    return {};
  if (axis->size() != 1)
    return {};
  size_t d = axis->front() < 0 ? axis->front() + at.size() : axis->front();
  // What holds for every index below this one too.
  if (d >= at.size() || !isa<AffineDimExpr>(at[d]))
    return {};
  Element summand = read(op.inputAt(0), at);
  if (!isa_and_nonnull<AffineConstantExpr>(summand.integer))
    return {};
  return {(at[d] + 1) * summand.integer, nullptr, std::nullopt};
}

Element Elements::readCompare(Operator op, ArrayRef<AffineExpr> at) {
  Element a = readBroadcast(op.inputAt(0), at);
  Element b = readBroadcast(op.inputAt(1), at);
  if (!a.integer || !b.integer)
    return {};
  AffineExpr difference = layout.simplify(b.integer - a.integer);
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
      return {layout.simplify(a.integer + b.integer), nullptr, std::nullopt};
    if (name == "Sub")
      return {layout.simplify(a.integer - b.integer), nullptr, std::nullopt};
    return {a.integer * b.integer, nullptr, std::nullopt};
  }
  // Two biases: a key is hidden by either.
  auto isBias = [](const Element &element) {
    return element.floats && element.floats->first == 0 &&
           element.floats->second < 0;
  };
  if (name == "Add" && isBias(a) && isBias(b))
    return {nullptr, makeJunction(Predicate::And, a.truth, b.truth),
            std::pair(0.0, std::max(a.floats->second, b.floats->second))};
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
  // A bias that a condition replaces by one of its two numbers.
  for (bool first : {true, false}) {
    const Element &fixed = first ? x : y, &choice = first ? y : x;
    if (!isConstant(fixed) || !choice.floats || isConstant(choice))
      continue;
    Predicate::Ref here = first ? condition : makeNot(*condition);
    if (fixed.floats->first == choice.floats->second)
      return {nullptr,
              makeJunction(Predicate::And, makeNot(*here), choice.truth),
              choice.floats};
    if (fixed.floats->first == choice.floats->first)
      return {nullptr, makeJunction(Predicate::Or, here, choice.truth),
              choice.floats};
  }
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
