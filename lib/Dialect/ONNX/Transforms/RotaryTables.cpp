// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- RotaryTables.cpp - What a rotary embedding turns by ----------------===//
#include "RotaryTables.h"

#include "Elements.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Interpreter/Tensor.h"

#include <cmath>

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
      table.table = place.value;
      return table;
    }
    auto op = place.value.getDefiningOp<Operator>();
    if (!op)
      return std::nullopt;
    StringRef name = op.getSchema().name;
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

bool RotaryReader::readAngle(Place place, RotaryTable &table) {
  place = layout.trace(place.value, place.at);
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
  if (!positions)
    return false;
  place = layout.trace(positions, place.at);
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
// Tables of fixed extents
//===----------------------------------------------------------------------===//

/// The number of the row [.., s, j] of a table [.., S, pairs or 2 pairs].
static std::optional<std::pair<int64_t, int64_t>> rowsOf(DenseElementsAttr all,
                                                         int64_t pairs) {
  auto type = cast<RankedTensorType>(all.getType());
  if (type.getRank() < 2)
    return std::nullopt;
  int64_t width = type.getShape().back();
  int64_t rows = type.getShape()[type.getRank() - 2];
  if ((width != pairs && width != 2 * pairs) ||
      rows * width != type.getNumElements())
    return std::nullopt;
  return std::pair(rows, width);
}

/// Frequencies such that all values of both tables are cosines and sines of
/// row * frequency, as exact as single precision lets them be.
static std::optional<std::vector<double>>
fitFrequencies(DenseElementsAttr cosines, DenseElementsAttr sines,
               int64_t pairs) {
  auto shape = rowsOf(cosines, pairs), other = rowsOf(sines, pairs);
  if (!shape || shape != other || shape->first < 2)
    return std::nullopt;
  auto [rows, width] = *shape;
  Tensor cos = tensorFrom(cosines), sin = tensorFrom(sines);
  std::vector<double> result;
  for (int64_t j = 0; j < pairs; ++j) {
    double x = std::atan2(sin.asDouble(width + j), cos.asDouble(width + j));
    result.push_back(float(x));
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t at = row * width + j; at < (row + 1) * width; at += pairs) {
        double c = std::cos(row * x), s = std::sin(row * x);
        if (std::abs(cos.asDouble(at) - c) > 1e-6 ||
            std::abs(sin.asDouble(at) - s) > 1e-6)
          return std::nullopt;
      }
  }
  return result;
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
  if (cos.positions != sin.positions || cos.slot != sin.slot ||
      cos.frequencies != sin.frequencies || cos.magnitude != sin.magnitude)
    return {};
  auto known = std::pair(cos.wave ? cos.wave->getResult(0) : cos.table,
                         sin.wave ? sin.wave->getResult(0) : sin.table);
  auto &made = c.tables[known];
  if (made.first)
    return made;
  OpBuilder::InsertionGuard guard(c.builder);
  Operation *last = known.first.getDefiningOp();
  if (last->isBeforeInBlock(known.second.getDefiningOp()))
    last = known.second.getDefiningOp();
  c.builder.setInsertionPoint(last);
  Location loc = last->getLoc();
  AffineExpr slot = cos.slot;
  DenseElementsAttr inverse;
  if (cos.frequencies) {
    inverse = constantOf(cos.frequencies);
  } else {
    auto fitted =
        fitFrequencies(constantOf(cos.table), constantOf(sin.table), pairs);
    if (!fitted)
      return {};
    inverse =
        attrFrom(Tensor::floats({pairs}, *fitted), c.builder.getF32Type());
    slot = c.index(2, c.shapes.extentOf(rows, 1));
  }
  if (inverse.getNumElements() != pairs)
    return {};
  Value positions = cos.positions ? cos.positions : slotsOf(c, loc, slot, rows);
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
    if (cos.magnitude == 1)
      return table;
    auto type = RankedTensorType::get({}, f32);
    auto factor =
        ConstantOp::create(c.builder, loc, type,
                           DenseElementsAttr::get(type, float(cos.magnitude)));
    c.shapes.note(factor);
    return c.createOne(loc, "Mul", {table, factor}, typed(pairs, f32));
  };
  Value cosines = wave("Cos");
  made = {cosines, wave("Sin")};
  return made;
}

} // namespace mlir::fdpp::onnx
