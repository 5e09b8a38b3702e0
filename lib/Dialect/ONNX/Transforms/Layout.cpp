// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Layout.cpp - Where an element comes from ---------------------------===//
#include "Layout.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/CheckedArithmetic.h"

namespace mlir::fdpp::onnx {

Layout::Layout(const SymbolicShapes &shapes, ArrayRef<AffineExpr> extents)
    : shapes(shapes), context(shapes.getContext()),
      extents(extents.begin(), extents.end()) {}

Layout::Layout(const SymbolicShapes &shapes, Value value)
    : shapes(shapes), context(shapes.getContext()) {
  if (const auto &shape = shapes.shapeOf(value))
    extents = *shape;
}

SmallVector<AffineExpr, 4> Layout::identity() const {
  Exprs at;
  for (auto [i, extent] : llvm::enumerate(extents))
    at.push_back(extent == number(1) ? number(0)
                                     : getAffineDimExpr(i, context));
  return at;
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

SmallVector<AffineExpr, 4> summandsOf(AffineExpr expr) {
  auto sum = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!sum || sum.getKind() != AffineExprKind::Add)
    return {expr};
  SmallVector<AffineExpr, 4> all = summandsOf(sum.getLHS());
  all.append(summandsOf(sum.getRHS()));
  return all;
}

AffineExpr Layout::simplify(AffineExpr expr) const {
  return simplifyAffineExpr(expr, extents.size(), shapes.symbols().size());
}

static std::optional<int64_t> constantOf(AffineExpr expr) {
  auto constant = dyn_cast_or_null<AffineConstantExpr>(expr);
  return constant ? std::optional(constant.getValue()) : std::nullopt;
}

/// Nothing is known of what takes more than 64 bits.
static std::optional<int64_t> plus(std::optional<int64_t> a,
                                   std::optional<int64_t> b) {
  return a && b ? llvm::checkedAdd(*a, *b) : std::nullopt;
}
static std::optional<int64_t> times(std::optional<int64_t> a,
                                    std::optional<int64_t> b) {
  return a && b ? llvm::checkedMul(*a, *b) : std::nullopt;
}

std::optional<int64_t> Layout::lower(AffineExpr expr) const {
  if (auto constant = constantOf(expr))
    return constant;
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return 0; // an index or an extent
  auto a = lower(binary.getLHS()), b = lower(binary.getRHS());
  auto factor = constantOf(binary.getRHS());
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return plus(a, b);
  case AffineExprKind::Mul:
    if (factor && *factor < 0)
      return times(upper(binary.getLHS()), factor);
    return a && b && *a >= 0 && *b >= 0 ? times(a, b) : std::nullopt;
  case AffineExprKind::FloorDiv:
    return a && factor && *factor > 0 && *a >= 0 ? std::optional(*a / *factor)
                                                 : std::nullopt;
  case AffineExprKind::Mod:
    return 0;
  default:
    return std::nullopt;
  }
}

std::optional<int64_t> Layout::upper(AffineExpr expr) const {
  if (auto constant = constantOf(expr))
    return constant;
  if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
    auto extent = dim.getPosition() < extents.size()
                      ? constantOf(extents[dim.getPosition()])
                      : std::nullopt;
    return plus(extent, -1);
  }
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return std::nullopt;
  auto a = upper(binary.getLHS()), b = upper(binary.getRHS());
  auto factor = constantOf(binary.getRHS());
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return plus(a, b);
  case AffineExprKind::Mul: {
    if (!factor)
      return std::nullopt;
    auto bound = *factor < 0 ? lower(binary.getLHS()) : a;
    return times(bound, factor);
  }
  case AffineExprKind::FloorDiv:
    return a && factor && *factor > 0 && *a >= 0 ? std::optional(*a / *factor)
                                                 : std::nullopt;
  case AffineExprKind::Mod:
    return plus(factor, -1);
  default:
    return std::nullopt;
  }
}

std::optional<std::pair<AffineExpr, AffineExpr>>
Layout::divide(AffineExpr expr, AffineExpr extent) const {
  auto divisor = constantOf(extent);
  AffineExpr quotient = number(0), rest = number(0);
  for (AffineExpr term : summandsOf(expr)) {
    auto product = dyn_cast<AffineBinaryOpExpr>(term);
    bool isProduct = product && product.getKind() == AffineExprKind::Mul;
    if (divisor && *divisor > 0 && term.isMultipleOf(*divisor))
      quotient = quotient + term.floorDiv(*divisor);
    else if (isProduct && product.getRHS() == extent)
      quotient = quotient + product.getLHS();
    else if (isProduct && product.getLHS() == extent)
      quotient = quotient + product.getRHS();
    else
      rest = rest + term;
  }
  auto least = lower(rest), most = upper(rest);
  auto dim = dyn_cast<AffineDimExpr>(rest);
  bool below = dim && dim.getPosition() < extents.size() &&
               extents[dim.getPosition()] == extent;
  if (rest == number(0) || below ||
      (divisor && least && most && *least >= 0 && *most < *divisor))
    return std::pair(simplify(quotient), simplify(rest));
  if (!divisor || *divisor <= 0)
    return std::nullopt;
  return std::pair(simplify(quotient + rest.floorDiv(*divisor)),
                   simplify(rest % *divisor));
}

//===----------------------------------------------------------------------===//
// Reshape
//===----------------------------------------------------------------------===//

/// Row-major number of an element. What was divided before comes together
/// again: (x floordiv 8) * 8 + x mod 8 is x.
AffineExpr Layout::linear(ArrayRef<AffineExpr> extents,
                          ArrayRef<AffineExpr> at) const {
  AffineExpr all = number(0);
  for (auto [extent, index] : llvm::zip_equal(extents, at)) {
    auto rest = dyn_cast<AffineBinaryOpExpr>(index);
    if (rest && rest.getKind() == AffineExprKind::Mod &&
        rest.getRHS() == extent &&
        simplify(rest.getLHS().floorDiv(extent)) == simplify(all)) {
      all = rest.getLHS();
      continue;
    }
    all = all * extent + index;
  }
  return simplify(all);
}

std::optional<Layout::Exprs> Layout::regroup(ArrayRef<AffineExpr> from,
                                             ArrayRef<AffineExpr> at,
                                             ArrayRef<AffineExpr> to) const {
  AffineExpr all = linear(from, at);
  Exprs result(to.size());
  for (size_t i = to.size(); i-- > 1;) {
    auto parts = divide(all, to[i]);
    if (!parts)
      return std::nullopt;
    std::tie(all, result[i]) = *parts;
  }
  if (!to.empty())
    result[0] = all;
  return result;
}

namespace {
/// Extents other than 1, and where they stood.
struct Axes {
  SmallVector<AffineExpr, 4> extents;
  SmallVector<size_t, 4> dims;

  Axes(ArrayRef<AffineExpr> shape) {
    for (auto [d, extent] : llvm::enumerate(shape)) {
      if (constantOf(extent) == 1)
        continue;
      extents.push_back(extent);
      dims.push_back(d);
    }
  }
};
} // namespace

size_t Layout::factorsOf(AffineExpr extent, ArrayRef<AffineExpr> others,
                         size_t at) const {
  AffineExpr product;
  for (size_t n = at; n < others.size(); ++n) {
    product = product ? simplify(product * others[n]) : others[n];
    if (product == extent)
      return n + 1 - at;
  }
  return 0;
}

std::optional<Place> Layout::reshape(Operator op,
                                     ArrayRef<AffineExpr> at) const {
  const auto &from = shapes.shapeOf(op.outputAt(0));
  const auto &to = shapes.shapeOf(op.inputAt(0));
  if (!from || !to || from->size() != at.size() ||
      llvm::is_contained(*from, AffineExpr()) ||
      llvm::is_contained(*to, AffineExpr()))
    return std::nullopt;
  Axes result(*from), operand(*to);
  Place place{op.inputAt(0), Exprs(to->size(), number(0))};
  size_t i = 0, j = 0;
  while (i < result.extents.size() && j < operand.extents.size()) {
    size_t many = factorsOf(result.extents[i], operand.extents, j), one = 1;
    if (many == 0) {
      one = factorsOf(operand.extents[j], result.extents, i);
      many = 1;
    }
    if (one == 0) { // neither divides the other: all that is left is one group
      one = result.extents.size() - i;
      many = operand.extents.size() - j;
      AffineExpr a = number(1), b = number(1);
      for (size_t n = 0; n < one; ++n)
        a = a * result.extents[i + n];
      for (size_t n = 0; n < many; ++n)
        b = b * operand.extents[j + n];
      if (simplify(a) != simplify(b))
        return std::nullopt;
    }
    Exprs index;
    for (size_t n = 0; n < one; ++n)
      index.push_back(at[result.dims[i + n]]);
    auto group = regroup(ArrayRef(result.extents).slice(i, one), index,
                         ArrayRef(operand.extents).slice(j, many));
    if (!group)
      return std::nullopt;
    for (size_t n = 0; n < many; ++n)
      place.at[operand.dims[j + n]] = (*group)[n];
    i += one;
    j += many;
  }
  if (i != result.extents.size() || j != operand.extents.size())
    return std::nullopt;
  return place;
}

//===----------------------------------------------------------------------===//
// Other movements
//===----------------------------------------------------------------------===//

std::optional<Place> Layout::transpose(Operator op,
                                       ArrayRef<AffineExpr> at) const {
  auto perm = op->getAttrOfType<DenseI64ArrayAttr>("perm");
  Place place{op.inputAt(0), Exprs(at.size())};
  if (perm && perm.size() != int64_t(at.size()))
    return std::nullopt;
  for (size_t d = 0; d < at.size(); ++d) {
    int64_t from = perm ? perm[d] : int64_t(at.size() - 1 - d);
    if (from < 0 || from >= int64_t(at.size()) || place.at[from])
      return std::nullopt;
    place.at[from] = at[d];
  }
  return place;
}

/// Unsqueeze and Squeeze.
std::optional<Place> Layout::unit(Operator op, ArrayRef<AffineExpr> at) const {
  auto in = dyn_cast<RankedTensorType>(op.inputAt(0).getType());
  auto axes = constantInts(op.inputAt(1));
  if (!in || !axes)
    return std::nullopt;
  bool adds = op.getSchema().name == "Unsqueeze";
  int64_t rank = adds ? at.size() : in.getRank();
  SmallVector<bool> isUnit(rank, false);
  for (int64_t axis : *axes) {
    axis = axis < 0 ? axis + rank : axis;
    if (axis < 0 || axis >= rank || isUnit[axis])
      return std::nullopt;
    isUnit[axis] = true;
  }
  if (int64_t(adds ? in.getRank() : at.size()) + int64_t(axes->size()) != rank)
    return std::nullopt;
  Place place{op.inputAt(0), {}};
  size_t from = 0;
  for (int64_t d = 0; d < rank; ++d) {
    if (adds && !isUnit[d])
      place.at.push_back(at[d]);
    else if (!adds)
      place.at.push_back(isUnit[d] ? number(0) : at[from++]);
  }
  return place;
}

std::optional<Place> Layout::expand(Operator op,
                                    ArrayRef<AffineExpr> at) const {
  const auto &in = shapes.shapeOf(op.inputAt(0));
  const auto &out = shapes.shapeOf(op.outputAt(0));
  if (!in || !out || in->size() > at.size() || out->size() != at.size())
    return std::nullopt;
  size_t lead = at.size() - in->size();
  Place place{op.inputAt(0), {}};
  for (auto [d, extent] : llvm::enumerate(*in)) {
    // An extent that may be 1 or not may be stretched or not.
    bool stretched = constantOf(extent) == 1;
    if (!extent || (!stretched && extent != (*out)[lead + d]))
      return std::nullopt;
    place.at.push_back(stretched ? number(0) : at[lead + d]);
  }
  return place;
}

std::optional<Place> Layout::slice(Operator op, ArrayRef<AffineExpr> at) const {
  const auto &starts = shapes.elementsOf(op.inputAt(1));
  const auto &in = shapes.shapeOf(op.inputAt(0));
  auto axes = constantInts(op.inputAt(3)), steps = constantInts(op.inputAt(4));
  if (!starts || !in || in->size() != at.size() || (op.inputAt(3) && !axes) ||
      (op.inputAt(4) && !steps))
    return std::nullopt;
  Place place{op.inputAt(0), Exprs(at.begin(), at.end())};
  for (auto [n, start] : llvm::enumerate(*starts)) {
    if ((axes && n >= axes->size()) || (steps && n >= steps->size()))
      return std::nullopt;
    int64_t axis = axes ? (*axes)[n] : int64_t(n);
    axis = axis < 0 ? axis + int64_t(in->size()) : axis;
    if (axis < 0 || axis >= int64_t(in->size()) || (steps && (*steps)[n] != 1))
      return std::nullopt;
    AffineExpr first = start;
    if (auto known = constantOf(start); known && *known < 0) {
      auto extent = constantOf((*in)[axis]);
      if (!extent)
        return std::nullopt;
      first = number(std::max<int64_t>(*known + *extent, 0));
    } else if (!known && lower(start).value_or(-1) < 0) {
      return std::nullopt;
    }
    place.at[axis] = simplify(at[axis] + first);
  }
  return place;
}

std::optional<Place> Layout::concat(Operator op,
                                    ArrayRef<AffineExpr> at) const {
  int64_t axis = intAttr(op, "axis", 0);
  axis = axis < 0 ? axis + int64_t(at.size()) : axis;
  if (axis < 0 || axis >= int64_t(at.size()))
    return std::nullopt;
  AffineExpr index = at[axis];
  for (auto [n, part] : llvm::enumerate(op->getOperands())) {
    auto extent = constantOf(shapes.extentOf(part, axis));
    bool last = n + 1 == op->getNumOperands();
    auto least = lower(index), most = upper(index);
    bool inside = last || (extent && most && *most < *extent);
    if (inside && least && *least >= 0) {
      Place place{part, Exprs(at.begin(), at.end())};
      place.at[axis] = index;
      return place;
    }
    if (!extent || !least || *least < *extent)
      return std::nullopt;
    index = simplify(index - *extent);
  }
  return std::nullopt;
}

std::optional<Place> Layout::step(Operator op, ArrayRef<AffineExpr> at) const {
  using Move =
      std::optional<Place> (Layout::*)(Operator, ArrayRef<AffineExpr>) const;
  Move move = llvm::StringSwitch<Move>(op.getSchema().name)
                  .Case("Transpose", &Layout::transpose)
                  .Cases({"Unsqueeze", "Squeeze"}, &Layout::unit)
                  .Case("Expand", &Layout::expand)
                  .Case("Slice", &Layout::slice)
                  .Case("Concat", &Layout::concat)
                  .Cases({"Reshape", "Flatten"}, &Layout::reshape)
                  .Default(nullptr);
  if (op.getSchema().name == "Identity")
    return Place{op.inputAt(0), Exprs(at.begin(), at.end())};
  return move ? (this->*move)(op, at) : std::nullopt;
}

std::optional<Place> Layout::broadcast(Value operand,
                                       ArrayRef<AffineExpr> at) const {
  const auto &shape = shapes.shapeOf(operand);
  if (!shape || shape->size() > at.size())
    return std::nullopt;
  Place place{operand, Exprs(at.take_back(shape->size()))};
  for (auto [index, extent] : llvm::zip_equal(place.at, *shape)) {
    if (!extent) // may be 1
      return std::nullopt;
    if (constantOf(extent) == 1)
      index = number(0);
  }
  return place;
}

Place Layout::trace(Value value, ArrayRef<AffineExpr> at) const {
  Place place{value, Exprs(at.begin(), at.end())};
  while (auto op = place.value.getDefiningOp<Operator>()) {
    auto next = step(op, place.at);
    if (!next)
      break;
    place = *next;
  }
  return place;
}

} // namespace mlir::fdpp::onnx
