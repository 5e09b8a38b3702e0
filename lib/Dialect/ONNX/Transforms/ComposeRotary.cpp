// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ComposeRotary.cpp - x cos + rotate(x) sin --------------------------===//
#include "RotaryTables.h"

namespace mlir::fdpp::onnx {

namespace {
/// A rotation of heads [batch, heads, sequence, dim]; half of a head is one
/// operand of every turned pair.
struct Rotation {
  Composer &c;
  Value result;
  int64_t heads = 0, dim = 0;
  std::optional<Layout> layout;
  AffineExpr batch, head, sequence, pair;

  Rotation(Composer &c, Value result) : c(c), result(result) {}

  bool init() {
    const auto &shape = c.shapes.shapeOf(result);
    if (!shape || shape->size() != 4 ||
        llvm::is_contained(*shape, AffineExpr()))
      return false;
    heads = c.extent(result, 1);
    dim = c.extent(result, 3);
    if (heads <= 0 || dim <= 0 || dim % 2 != 0)
      return false;
    SmallVector<AffineExpr, 4> extents(*shape);
    extents[3] = getAffineConstantExpr(dim / 2, c.shapes.getContext());
    layout.emplace(c.shapes, extents);
    batch = c.index(0, extents[0]);
    head = c.index(1, extents[1]);
    sequence = c.index(2, extents[2]);
    pair = c.index(3, extents[3]);
    return true;
  }

  /// Element `pair` of a head's first or second half.
  SmallVector<AffineExpr, 4> half(bool second) {
    return {batch, head, sequence, second ? pair + dim / 2 : pair};
  }
  Place trace(Value value, bool second) {
    auto place = layout->broadcast(value, half(second));
    return place ? layout->trace(place->value, place->at) : Place{value, {}};
  }
  /// The rows [batch, sequence, heads * dim] that the heads of x come from.
  Value rowsOf(Value x) {
    for (bool second : {false, true}) {
      AffineExpr column = head * dim + half(second)[3];
      Place place = trace(x, second);
      if (place.at.size() != 3 || place.at[0] != batch ||
          place.at[1] != sequence ||
          layout->simplify(place.at[2]) != layout->simplify(column) ||
          c.extent(place.value, 2) != heads * dim)
        return {};
      if (second)
        return place.value;
    }
    return {};
  }
  /// Whether `turned` is (-second half, first half) of x.
  bool turns(Value turned, Value x) {
    Place first = trace(turned, false), second = trace(turned, true);
    Operator negated = definedBy(first.value, "Neg");
    return negated && second == trace(x, false) &&
           layout->trace(negated.inputAt(0), first.at) == trace(x, true);
  }
  /// The table that is the same for both halves.
  std::optional<RotaryTable> table(Value value, StringRef function) {
    RotaryReader reader(c, *layout, batch, sequence, pair, dim / 2);
    auto a = layout->broadcast(value, half(false));
    auto b = layout->broadcast(value, half(true));
    auto first = a ? reader.read(*a, function) : std::nullopt;
    auto second = b ? reader.read(*b, function) : std::nullopt;
    if (!first || !second || first->wave != second->wave ||
        first->table != second->table ||
        first->positions != second->positions || first->slot != second->slot ||
        first->frequencies != second->frequencies ||
        first->magnitude != second->magnitude)
      return std::nullopt;
    return first;
  }

  bool replace(Operator root, Value rows, const RotaryTable &cos,
               const RotaryTable &sin, int64_t interleaved) {
    auto [cosines, sines] = buildTables(c, cos, sin, rows, dim / 2);
    if (!cosines)
      return false;
    Location loc = root->getLoc();
    Value turned = c.createOne(loc, "RotaryEmbedding", {rows, cosines, sines},
                               rows.getType(),
                               {c.attribute("interleaved", interleaved),
                                c.attribute("num_heads", heads)});
    auto type = cast<RankedTensorType>(result.getType());
    auto rowType = cast<RankedTensorType>(rows.getType());
    auto split = RankedTensorType::get(
        {rowType.getDimSize(0), heads, rowType.getDimSize(1), dim},
        type.getElementType());
    result.replaceAllUsesWith(c.splitHeads(loc, turned, split));
    return true;
  }
};
} // namespace

bool composeRotary(Operator root, Composer &c) {
  Rotation rotation(c, root.outputAt(0));
  Operator a = definedBy(root.inputAt(0), "Mul");
  Operator b = definedBy(root.inputAt(1), "Mul");
  if (!a || !b || !rotation.init())
    return false;
  for (auto [straight, crossed] : {std::pair(a, b), std::pair(b, a)})
    for (int x : {0, 1})
      for (int t : {0, 1}) {
        Value heads = straight->getOperand(x), turned = crossed->getOperand(t);
        Value rows = rotation.rowsOf(heads);
        if (!rows || !rotation.turns(turned, heads))
          continue;
        auto cos = rotation.table(straight->getOperand(1 - x), "Cos");
        auto sin = rotation.table(crossed->getOperand(1 - t), "Sin");
        if (cos && sin && rotation.replace(root, rows, *cos, *sin, 0))
          return true;
      }
  return false;
}

/// A RotaryEmbedding of [batch, heads, sequence, dim].
bool splitRotary(Operator root, Composer &c) {
  Rotation rotation(c, root.outputAt(0));
  int64_t turned = intAttr(root, "rotary_embedding_dim", 0);
  if (!rotation.init() || (turned != 0 && turned != rotation.dim))
    return false;
  Value rows = rotation.rowsOf(root.inputAt(0));
  RotaryReader reader(c, *rotation.layout, rotation.batch, rotation.sequence,
                      rotation.pair, rotation.dim / 2);
  auto read = [&](unsigned input, StringRef function) {
    Value cache = root.inputAt(input);
    if (Value positions = root.inputAt(3))
      return reader.readChosen(cache, positions);
    auto at = rotation.layout->broadcast(
        cache, {rotation.batch, rotation.sequence, rotation.pair});
    return at ? reader.read(*at, function) : std::nullopt;
  };
  if (!rows)
    return false;
  auto cos = read(1, "Cos"), sin = read(2, "Sin");
  return cos && sin &&
         rotation.replace(root, rows, *cos, *sin,
                          intAttr(root, "interleaved", 0));
}

} // namespace mlir::fdpp::onnx
