// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ComposeAttention.cpp - softmax(q k^T scale + mask) v ---------------===//
#include "Compose.h"

#include <cmath>

namespace mlir::fdpp::onnx {

namespace {
/// Keys or values: rows [batch, sequence, heads * dim], behind a past or not.
struct Heads {
  Value rows, past, present;
  int64_t count = 0;
};

/// What one attention is made of.
struct Parts {
  Value query, mask;
  Heads keys, values;
  double scale = 1;
};

/// Reads the operands of one attention over [batch, heads, queries, dim].
/// Dimensions of indices: batch, head, query or key, element of a head.
class AttentionReader {
public:
  AttentionReader(Composer &c, Value result) : c(c), result(result) {}

  bool init() {
    const auto &shape = c.shapes.shapeOf(result);
    if (!shape || shape->size() != 4 || !(*shape)[0] || !(*shape)[2])
      return false;
    queries = (*shape)[2];
    heads = c.extent(result, 1);
    dim = c.extent(result, 3);
    extents.assign(shape->begin(), shape->end());
    return heads > 0 && dim > 0;
  }

  /// The rows that element [b, h, q, d] of `value`, up to a factor, is column
  /// h * dim + d of.
  Value readQuery(Value value, double &scale) {
    Layout layout(c.shapes, extents);
    Place place = descend(layout, value, index(false, queries), scale);
    return isRows(layout, place, heads, 1, queries) ? place.value : Value();
  }

  /// Heads that element [b, h, k, d] of `value` comes from; with `transposed`
  /// that is element [b, h, d, k].
  std::optional<Heads> readHeads(Value value, bool transposed, double &scale) {
    AffineExpr total = c.shapes.extentOf(value, transposed ? 3 : 2);
    if (!total)
      return std::nullopt;
    SmallVector<AffineExpr, 4> own(extents);
    own[2] = total;
    Layout layout(c.shapes, own);
    return readFrom(
        layout, descend(layout, value, index(transposed, total), scale), total);
  }

  /// The same for an operand [b, kvHeads, k, d] of an Attention operator.
  std::optional<Heads> readOperand(Value value) {
    AffineExpr total = c.shapes.extentOf(value, 2);
    int64_t own = c.extent(value, 1);
    if (!total || own <= 0 || heads % own != 0)
      return std::nullopt;
    SmallVector<AffineExpr, 4> bounds(extents);
    bounds[2] = total;
    Layout layout(c.shapes, bounds);
    SmallVector<AffineExpr, 4> at = index(false, total);
    at[1] = own == 1 ? layout.number(0) : at[1].floorDiv(heads / own);
    return readFrom(layout, layout.trace(value, at), total);
  }

  Composer &c;
  Value result;
  AffineExpr queries;
  int64_t heads = 0, dim = 0;

private:
  SmallVector<AffineExpr, 4> index(bool transposed, AffineExpr row) const {
    SmallVector<AffineExpr, 4> at{c.index(0, extents[0]),
                                  c.index(1, extents[1]), c.index(2, row),
                                  c.index(3, extents[3])};
    if (transposed)
      std::swap(at[2], at[3]);
    return at;
  }

  /// Through movements and products with one number.
  Place descend(const Layout &layout, Value value, ArrayRef<AffineExpr> at,
                double &scale) const {
    Place place = layout.trace(value, at);
    while (auto op = place.value.getDefiningOp<Operator>()) {
      StringRef name = op.getSchema().name;
      if (name != "Mul" && name != "Div")
        break;
      int other = scalarOf(op.inputAt(1)) ? 1 : name == "Mul" ? 0 : 1;
      std::optional<double> factor = scalarOf(op->getOperand(other));
      auto inner = layout.broadcast(op->getOperand(1 - other), place.at);
      if (!factor || *factor == 0 || !inner)
        break;
      scale *= name == "Mul" ? *factor : 1 / *factor;
      place = layout.trace(inner->value, inner->at);
    }
    return place;
  }

  /// Whether the place is column (head / group) * dim + d of rows.
  bool isRows(const Layout &layout, const Place &place, int64_t count,
              int64_t group, AffineExpr rows) const {
    SmallVector<AffineExpr, 4> at = index(false, rows);
    AffineExpr head = count == 1 ? layout.number(0) : at[1].floorDiv(group);
    return place.at.size() == 3 && place.at[0] == at[0] &&
           place.at[1] == at[2] &&
           layout.simplify(place.at[2]) ==
               layout.simplify(head * dim + at[3]) &&
           c.extent(place.value, 2) == count * dim &&
           c.shapes.extentOf(place.value, 1) == rows;
  }

  std::optional<Heads> readFrom(const Layout &layout, const Place &place,
                                AffineExpr total) const {
    Operator joined = definedBy(place.value, "Concat");
    if (joined && place.at.size() == 4)
      return readJoined(layout, place, joined, total);
    int64_t width = place.at.size() == 3 ? c.extent(place.value, 2) : 0;
    if (width <= 0 || width % dim != 0 || heads % (width / dim) != 0)
      return std::nullopt;
    Heads found{place.value, {}, {}, width / dim};
    if (!isRows(layout, place, found.count, heads / found.count, total))
      return std::nullopt;
    return found;
  }

  /// Concat(past, new) over the sequence.
  std::optional<Heads> readJoined(const Layout &layout, const Place &place,
                                  Operator joined, AffineExpr total) const {
    Heads found{
        {}, joined->getOperand(0), place.value, c.extent(place.value, 1)};
    int64_t axis = intAttr(joined, "axis", 0);
    if (joined->getNumOperands() != 2 || (axis != 2 && axis != -2) ||
        found.count <= 0 || heads % found.count != 0 ||
        c.extent(place.value, 3) != dim ||
        c.shapes.extentOf(place.value, 2) != total)
      return std::nullopt;
    SmallVector<AffineExpr, 4> at = index(false, total);
    at[1] = found.count == 1 ? layout.number(0)
                             : at[1].floorDiv(heads / found.count);
    for (auto [mine, wanted] : llvm::zip_equal(place.at, at))
      if (layout.simplify(mine) != layout.simplify(wanted))
        return std::nullopt;
    return readFresh(found, joined->getOperand(1));
  }

  /// New keys, their heads in order.
  std::optional<Heads> readFresh(Heads found, Value fresh) const {
    Layout layout(c.shapes, fresh);
    SmallVector<AffineExpr, 4> at = layout.identity();
    if (at.size() != 4)
      return std::nullopt;
    Place place = layout.trace(fresh, at);
    if (place.at.size() != 3 || place.at[0] != at[0] || place.at[1] != at[2] ||
        layout.simplify(place.at[2]) != layout.simplify(at[1] * dim + at[3]) ||
        c.extent(place.value, 2) != found.count * dim)
      return std::nullopt;
    found.rows = place.value;
    return found;
  }

  SmallVector<AffineExpr, 4> extents;
};
} // namespace

//===----------------------------------------------------------------------===//
// Softmax
//===----------------------------------------------------------------------===//

/// Probabilities without those that are no number: where no key is seen.
static Operator softmaxOf(Value value) {
  if (Operator choice = definedBy(value, "Where")) {
    Operator test = definedBy(choice.inputAt(0), "IsNaN");
    bool zero = scalarOf(choice.inputAt(1)) == 0;
    if (!test || !zero || test.inputAt(0) != choice.inputAt(2))
      return {};
    value = choice.inputAt(2);
  }
  Operator softmax = definedBy(value, "Softmax");
  auto type = softmax ? dyn_cast<RankedTensorType>(value.getType())
                      : RankedTensorType();
  int64_t axis = softmax ? intAttr(softmax, "axis", -1) : 0;
  return type && (axis == -1 || axis == type.getRank() - 1) ? softmax
                                                            : Operator();
}

/// Whether a value is a product of matrices, up to a factor; `scale` takes the
/// factor in then, and only then.
static Operator productOf(Value value, double &scale) {
  double factors = 1;
  while (true) {
    if (Operator product = definedBy(value, "MatMul")) {
      scale *= factors;
      return product;
    }
    Operator scaled = definedBy(value, "Mul");
    bool divides = !scaled;
    if (divides)
      scaled = definedBy(value, "Div");
    if (!scaled)
      return {};
    int other = divides || scalarOf(scaled.inputAt(1)) ? 1 : 0;
    std::optional<double> factor = scalarOf(scaled->getOperand(other));
    if (!factor || *factor == 0)
      return {};
    factors *= divides ? 1 / *factor : *factor;
    value = scaled->getOperand(1 - other);
  }
}

/// q k^T from scores, and the mask that they are shifted or replaced by.
static Operator scoresOf(Value value, Parts &parts, Composer &c) {
  if (Operator sum = definedBy(value, "Add")) {
    for (int s : {0, 1})
      if (Operator product = productOf(sum->getOperand(s), parts.scale)) {
        parts.mask = sum->getOperand(1 - s);
        return product;
      }
    return {};
  }
  Operator choice = definedBy(value, "Where");
  if (!choice)
    return productOf(value, parts.scale);
  for (int s : {1, 2}) {
    auto hidden = scalarOf(choice.inputAt(3 - s));
    if (!hidden || *hidden > -1e4)
      continue;
    Operator product = productOf(choice.inputAt(s), parts.scale);
    if (!product)
      return {};
    Value seen = choice.inputAt(0);
    parts.mask =
        s == 1 ? seen
               : c.createOne(choice->getLoc(), "Not", seen, seen.getType());
    return product;
  }
  return {};
}

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

static bool build(Operator root, Composer &c, const AttentionReader &reader,
                  const Parts &parts, ArrayRef<NamedAttribute> more) {
  const Heads &keys = parts.keys, &values = parts.values;
  if (keys.count != values.count || bool(keys.past) != bool(values.past))
    return false;
  auto rowType = cast<RankedTensorType>(parts.query.getType());
  SmallVector<Type> types{rowType};
  if (keys.past)
    types.append({keys.present.getType(), values.present.getType()});
  SmallVector<NamedAttribute> attributes(more);
  attributes.push_back(c.attribute("kv_num_heads", keys.count));
  attributes.push_back(c.attribute("q_num_heads", reader.heads));
  attributes.push_back(c.attribute("scale", parts.scale));
  Operator attention = c.create(
      root->getLoc(), "Attention",
      {parts.query, keys.rows, values.rows, parts.mask, keys.past, values.past},
      types, attributes);
  auto split = RankedTensorType::get(
      {rowType.getDimSize(0), reader.heads, rowType.getDimSize(1), reader.dim},
      rowType.getElementType());
  root.outputAt(0).replaceAllUsesWith(
      c.splitHeads(root->getLoc(), attention.outputAt(0), split));
  for (auto [heads, output] : {std::pair(&keys, 1), std::pair(&values, 2)}) {
    if (!heads->past)
      continue;
    Value present = heads->present;
    Operation *joined = present.getDefiningOp();
    present.replaceUsesWithIf(attention.outputAt(output), [&](OpOperand &use) {
      return use.getOwner() == joined->getBlock()->getTerminator();
    });
  }
  return true;
}

bool composeAttention(Operator root, Composer &c) {
  Operator softmax = softmaxOf(root.inputAt(0));
  if (!softmax)
    return false;
  AttentionReader reader(c, root.outputAt(0));
  Parts parts;
  Operator product = scoresOf(softmax.inputAt(0), parts, c);
  if (!product || !reader.init())
    return false;
  parts.query = reader.readQuery(product.inputAt(0), parts.scale);
  auto keys = reader.readHeads(product.inputAt(1), true, parts.scale);
  double one = 1;
  auto values = reader.readHeads(root.inputAt(1), false, one);
  if (!parts.query || !keys || !values || one != 1)
    return false;
  parts.keys = *keys;
  parts.values = *values;
  return build(root, c, reader, parts, {});
}

/// An Attention of [batch, heads, sequence, dim].
bool flattenAttention(Operator root, Composer &c) {
  AttentionReader reader(c, root.outputAt(0));
  if (!reader.init() || root.inputAt(6) || root.outputAt(3))
    return false;
  for (unsigned output : {1, 2})
    if (Value present = root.outputAt(output);
        present && (!present.use_empty() || root.inputAt(4)))
      return false;
  if (root.inputAt(4) || root.inputAt(5))
    return false;
  double one = 1;
  Parts parts;
  parts.mask = root.inputAt(3);
  parts.scale = floatAttr(root, "scale", 1 / std::sqrt(double(reader.dim)));
  parts.query = reader.readQuery(root.inputAt(0), one);
  parts.scale *= one;
  auto keys = reader.readOperand(root.inputAt(1));
  auto values = reader.readOperand(root.inputAt(2));
  if (!parts.query || !keys || !values)
    return false;
  parts.keys = *keys;
  parts.values = *values;
  return build(root, c, reader, parts,
               {c.attribute("is_causal", intAttr(root, "is_causal", 0)),
                c.attribute("softcap", floatAttr(root, "softcap", 0))});
}

} // namespace mlir::fdpp::onnx
