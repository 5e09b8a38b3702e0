// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- RotaryTables.cpp - What a rotary embedding turns by ----------------===//
#include "RotaryTables.h"

#include "Elements.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Interpreter/Tensor.h"

namespace mlir::fdpp::onnx {

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// An operand that only changes the type.
static Value castOf(Operator op, bool fromInteger) {
  StringRef name = op.getSchema().name;
  if (name != "Cast" && name != "CastLike")
    return {};
  Value in = op.inputAt(0);
  return isa<IntegerType>(getElementTypeOrSelf(in.getType())) == fromInteger
             ? in
             : Value();
}

std::optional<RotaryTable> RotaryReader::read(Place place, StringRef function) {
  RotaryTable table;
  while (true) {
    place = layout.trace(place.value, place.at);
    if (constantOf(place.value)) {
      if (!readRow(place, table))
        return std::nullopt;
      return table;
    }
    auto op = place.value.getDefiningOp<Operator>();
    if (!op)
      return std::nullopt;
    StringRef name = op.getSchema().name;
    if (name == "Gather") {
      if (!readGathered(op, place, table))
        return std::nullopt;
      return table;
    }
    if (name == function) {
      table.wave = op;
      if (!readAngle({op.inputAt(0), place.at}, table))
        return std::nullopt;
      return table;
    }
    if (Value inner = castOf(op, /*fromInteger=*/false)) {
      place.value = inner;
      continue;
    }
    if (name != "Mul")
      return std::nullopt;
    std::optional<double> factor = scalarOf(op.inputAt(1));
    auto inner = layout.broadcast(op.inputAt(factor ? 0 : 1), place.at);
    factor = factor ? factor : scalarOf(op.inputAt(0));
    if (!factor || !inner)
      return std::nullopt;
    table.magnitude *= *factor;
    place = *inner;
  }
}

/// Element [.., row, column] of a constant: the row is the position.
bool RotaryReader::readRow(Place place, RotaryTable &table) {
  if (place.at.size() < 2 || !isColumn(place.at.back()))
    return false;
  for (AffineExpr index : ArrayRef(place.at).drop_back(2))
    if (index != layout.number(0))
      return false;
  table.table = place.value;
  table.slot = layout.simplify(place.at[place.at.size() - 2]);
  return true;
}

/// Rows of a constant that positions choose.
bool RotaryReader::readGathered(Operator op, Place place, RotaryTable &table) {
  Value data = op.inputAt(0);
  auto type = dyn_cast<RankedTensorType>(data.getType());
  auto chosen = dyn_cast<RankedTensorType>(op.inputAt(1).getType());
  if (!constantOf(data) || !type || !chosen || type.getRank() < 2 ||
      !isColumn(place.at.back()))
    return false;
  int64_t axis = intAttr(op, "axis", 0), rows = type.getRank() - 2;
  if ((axis < 0 ? axis + type.getRank() : axis) != rows ||
      int64_t(place.at.size()) != rows + chosen.getRank() + 1)
    return false;
  ArrayRef<AffineExpr> at = place.at;
  for (AffineExpr index : at.take_front(rows))
    if (index != layout.number(0))
      return false;
  table.table = data;
  return readInteger({op.inputAt(1), SmallVector<AffineExpr, 4>(
                                         at.slice(rows, chosen.getRank()))},
                     table);
}

std::optional<RotaryTable> RotaryReader::readChosen(Value cache,
                                                    Value positions) {
  auto type = dyn_cast<RankedTensorType>(cache.getType());
  auto place = layout.broadcast(positions, {batch, sequence});
  RotaryTable table;
  table.table = cache;
  return constantOf(cache) && type && type.getRank() == 2 && place &&
                 readInteger(*place, table)
             ? std::optional(table)
             : std::nullopt;
}

/// Whether a column of a table is that of the pair, in either half.
bool RotaryReader::isColumn(AffineExpr column) const {
  return layout.simplify(column - pair) == layout.number(0) ||
         layout.simplify(column - pair - pairs) == layout.number(0);
}

bool RotaryReader::readAngle(Place place, RotaryTable &table) {
  place = layout.trace(place.value, place.at);
  if (constantOf(place.value))
    return readRow(place, table);
  auto op = place.value.getDefiningOp<Operator>();
  if (!op)
    return false;
  if (Value inner = castOf(op, /*fromInteger=*/false))
    return readAngle({inner, place.at}, table);
  StringRef name = op.getSchema().name;
  if (name == "Mul")
    return readFactors(layout.broadcast(op.inputAt(0), place.at),
                       layout.broadcast(op.inputAt(1), place.at), table);
  if (name != "MatMul" || place.at.size() < 2)
    return false;
  // A sum over one element is a product.
  size_t rank = place.at.size();
  auto type = dyn_cast<RankedTensorType>(op.inputAt(0).getType());
  if (!type || type.getRank() < 1 ||
      c.extent(op.inputAt(0), type.getRank() - 1) != 1)
    return false;
  SmallVector<AffineExpr, 4> a(place.at), b(place.at);
  a[rank - 1] = b[rank - 2] = layout.number(0);
  return readFactors(layout.broadcast(op.inputAt(0), a),
                     layout.broadcast(op.inputAt(1), b), table);
}

bool RotaryReader::readFactors(std::optional<Place> a, std::optional<Place> b,
                               RotaryTable &table) {
  if (!a || !b)
    return false;
  return (readPosition(*a, table) && readFrequency(*b, table)) ||
         (readPosition(*b, table) && readFrequency(*a, table));
}

bool RotaryReader::readFrequency(Place place, RotaryTable &table) {
  place = layout.trace(place.value, place.at);
  auto type = dyn_cast<RankedTensorType>(place.value.getType());
  if (auto op = place.value.getDefiningOp<Operator>())
    if (Value inner = castOf(op, /*fromInteger=*/false))
      return readFrequency({inner, place.at}, table);
  if (!constantOf(place.value) || !isa<FloatType>(type.getElementType()))
    return false;
  for (auto [extent, index] : llvm::zip_equal(type.getShape(), place.at))
    if (extent != 1 && index != pair)
      return false;
  table.frequencies = place.value;
  return true;
}

bool RotaryReader::readPosition(Place place, RotaryTable &table) {
  place = layout.trace(place.value, place.at);
  auto cast = place.value.getDefiningOp<Operator>();
  if (!cast)
    return false;
  if (Value inner = castOf(cast, /*fromInteger=*/false))
    return readPosition({inner, place.at}, table);
  Value positions = castOf(cast, /*fromInteger=*/true);
  return positions && readInteger({positions, place.at}, table);
}

bool RotaryReader::readInteger(Place place, RotaryTable &table) {
  place = layout.trace(place.value, place.at);
  if (isa<BlockArgument>(place.value)) {
    table.positions = place.value;
    return place.at.size() == 2 && place.at[0] == batch &&
           place.at[1] == sequence;
  }
  Elements elements(c.shapes, SmallVector<AffineExpr, 4>(4));
  table.slot = elements.read(place.value, place.at).integer;
  return bool(table.slot);
}

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

static Value vectorOf(Composer &c, Location loc, DenseElementsAttr values) {
  auto from = cast<RankedTensorType>(values.getType());
  auto type =
      RankedTensorType::get({from.getNumElements()}, from.getElementType());
  DenseElementsAttr flat =
      values.isSplat() ? values.resizeSplat(type) : values.reshape(type);
  auto constant = ConstantOp::create(c.builder, loc, type, flat);
  c.shapes.note(constant);
  return constant;
}

/// Slots past + sequence as a tensor, null if `slot` is something else.
static Value slotsOf(Composer &c, Location loc, AffineExpr slot, Value rows) {
  MLIRContext *context = slot.getContext();
  AffineExpr batch = c.shapes.extentOf(rows, 0);
  AffineExpr sequence = c.shapes.extentOf(rows, 1);
  if (!batch || !sequence)
    return {};
  AffineExpr rest = simplifyAffineExpr(slot - c.index(2, sequence), 4,
                                       c.shapes.symbols().size());
  Value tokens, past;
  auto func = cast<func::FuncOp>(c.builder.getBlock()->getParentOp());
  for (BlockArgument argument : func.getArguments()) {
    const auto &shape = c.shapes.shapeOf(argument);
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!shape || !type)
      continue;
    bool isInteger = type.getElementType().isInteger(64);
    if (!tokens && isInteger && shape->size() == 2 && (*shape)[0] == batch &&
        (*shape)[1] == sequence)
      tokens = argument;
    if (!past && !isInteger && shape->size() == 4 && (*shape)[2] == rest)
      past = argument;
  }
  bool fromZero = rest == getAffineConstantExpr(0, context);
  if (!tokens || (!past && !fromZero))
    return {};
  auto positions = SlotPositionsOp::create(
      c.builder, loc,
      RankedTensorType::get(cast<ShapedType>(tokens.getType()).getShape(),
                            c.builder.getI64Type()),
      tokens, fromZero ? Value() : past);
  c.shapes.note(positions);
  return positions;
}

std::pair<Value, Value> buildTables(Composer &c, const RotaryTable &cos,
                                    const RotaryTable &sin, Value rows,
                                    int64_t pairs) {
  // Tables of angles are one table.
  bool areAngles = cos.table && cos.wave;
  if (bool(cos.table) != bool(sin.table) || bool(cos.wave) != bool(sin.wave) ||
      (areAngles && cos.table != sin.table) || cos.positions != sin.positions ||
      cos.slot != sin.slot || cos.frequencies != sin.frequencies ||
      cos.magnitude != sin.magnitude)
    return {};
  auto known = std::pair(cos.wave ? cos.wave->getResult(0) : cos.table,
                         sin.wave ? sin.wave->getResult(0) : sin.table);
  auto [entry, isNew] = c.tables.try_emplace(
      {known.first, known.second, cos.positions, cos.slot});
  auto &made = entry->second;
  if (!isNew)
    return made;
  OpBuilder::InsertionGuard guard(c.builder);
  Operation *last = known.first.getDefiningOp();
  if (last->isBeforeInBlock(known.second.getDefiningOp()))
    last = known.second.getDefiningOp();
  c.builder.setInsertionPoint(last);
  Location loc = last->getLoc();
  double magnitude = cos.magnitude;
  DenseElementsAttr inverse;
  if (cos.frequencies) {
    inverse = constantOf(cos.frequencies);
  } else {
    auto fitted = areAngles ? fitAngles(constantOf(cos.table), pairs)
                            : fitWaves(constantOf(cos.table),
                                       constantOf(sin.table), pairs);
    if (!fitted)
      return {};
    inverse = attrFrom(Tensor::floats({pairs}, fitted->frequencies),
                       c.builder.getF32Type());
    magnitude *= fitted->magnitude;
  }
  if (inverse.getNumElements() != pairs)
    return {};
  Value positions =
      cos.positions ? cos.positions : slotsOf(c, loc, cos.slot, rows);
  if (!positions)
    return {};
  SmallVector<int64_t, 3> shape(
      cast<RankedTensorType>(positions.getType()).getShape());
  auto typed = [&](int64_t width, Type element) {
    SmallVector<int64_t, 3> dims(shape);
    dims.push_back(width);
    return RankedTensorType::get(dims, element);
  };
  Type f32 = c.builder.getF32Type();
  Value column =
      c.createOne(loc, "Unsqueeze", {positions, c.ints(loc, {-1})},
                  typed(1, getElementTypeOrSelf(positions.getType())));
  Value wide = c.createOne(loc, "Cast", column, typed(1, f32),
                           c.attribute("to", onnxTypeOf(f32)));
  Value angles = c.createOne(loc, "Mul", {wide, vectorOf(c, loc, inverse)},
                             typed(pairs, f32));
  auto wave = [&](StringRef name) {
    Value table = c.createOne(loc, name, angles, typed(pairs, f32));
    if (magnitude == 1)
      return table;
    auto type = RankedTensorType::get({}, f32);
    auto factor = ConstantOp::create(
        c.builder, loc, type, DenseElementsAttr::get(type, float(magnitude)));
    c.shapes.note(factor);
    return c.createOne(loc, "Mul", {table, factor}, typed(pairs, f32));
  };
  Value cosines = wave("Cos");
  made = {cosines, wave("Sin")};
  return made;
}

} // namespace mlir::fdpp::onnx
