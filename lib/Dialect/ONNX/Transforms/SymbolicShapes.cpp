// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- SymbolicShapes.cpp - Extents of results as expressions -------------===//
#include "Symbolic.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::fdpp::onnx {

/// Slice bounds beyond this mean the end (or the start) of a dimension.
constexpr int64_t kFar = int64_t(1) << 30;

/// `axis` counted from the front; nullopt if there is no such one.
static std::optional<size_t> normalise(int64_t axis, size_t rank) {
  axis = axis < 0 ? axis + int64_t(rank) : axis;
  return axis >= 0 && axis < int64_t(rank) ? std::optional<size_t>(axis)
                                           : std::nullopt;
}

/// Which of `rank` dimensions `axes` name; nullopt if one is named twice or
/// does not exist.
static std::optional<SmallVector<bool>> marked(ArrayRef<int64_t> axes,
                                               size_t rank) {
  SmallVector<bool> result(rank, false);
  for (int64_t axis : axes) {
    auto at = normalise(axis, rank);
    if (!at || result[*at])
      return std::nullopt;
    result[*at] = true;
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

/// Of two expressions for one extent, in any order the same: a number, then a
/// sum of other extents, then the extent of the first argument.
static AffineExpr clearer(AffineExpr a, AffineExpr b) {
  if (!a || !b)
    return a ? a : b;
  auto rank = [](AffineExpr extent) -> unsigned {
    auto symbol = dyn_cast<AffineSymbolExpr>(extent);
    return isa<AffineConstantExpr>(extent) ? 0
           : symbol                        ? 2 + symbol.getPosition()
                                           : 1;
  };
  return rank(b) < rank(a) ? b : a;
}

/// The shape that two shapes are broadcast to.
static SymbolicShapes::Exprs broadcast(const SymbolicShapes::Exprs &a,
                                       const SymbolicShapes::Exprs &b) {
  SymbolicShapes::Exprs all(a);
  auto isOne = [](AffineExpr extent) {
    auto constant = dyn_cast_or_null<AffineConstantExpr>(extent);
    return constant && constant.getValue() == 1;
  };
  if (b.size() > all.size()) {
    MLIRContext *context = nullptr;
    for (AffineExpr extent : b)
      context = extent ? extent.getContext() : context;
    if (!context)
      return SymbolicShapes::Exprs(b.size());
    all.insert(all.begin(), b.size() - all.size(),
               getAffineConstantExpr(1, context));
  }
  size_t lead = all.size() - b.size();
  for (auto [d, extent] : llvm::enumerate(b)) {
    AffineExpr &mine = all[lead + d];
    if (isOne(mine))
      mine = extent;
    else if (!isOne(extent))
      mine = clearer(mine, extent); // both stand for it
  }
  return all;
}

std::optional<SymbolicShapes::Exprs>
SymbolicShapes::broadcastShape(Operator op) {
  Exprs all;
  for (Value operand : op->getOperands()) {
    const auto &shape = shapeOf(operand);
    if (!shape)
      return std::nullopt;
    all = broadcast(all, *shape);
  }
  return all;
}

/// The extent that is left of `total` when the others divide it.
static AffineExpr remaining(ArrayRef<AffineExpr> total,
                            ArrayRef<AffineExpr> others, AffineExpr one) {
  SmallVector<AffineExpr> left(total.begin(), total.end());
  int64_t divisor = 1;
  for (AffineExpr other : others) {
    if (!other)
      return {};
    auto at = llvm::find(left, other);
    auto number = dyn_cast<AffineConstantExpr>(other);
    if (at != left.end())
      left.erase(at);
    else if (number) {
      if (llvm::MulOverflow(divisor, number.getValue(), divisor))
        return {};
    } else
      return {};
  }
  AffineExpr symbols = one;
  int64_t factor = 1;
  for (AffineExpr extent : left) {
    if (auto number = dyn_cast_or_null<AffineConstantExpr>(extent)) {
      if (llvm::MulOverflow(factor, number.getValue(), factor))
        return {};
    } else if (extent)
      symbols = symbols * extent;
    else
      return {};
  }
  if (divisor <= 0)
    return {};
  if (factor % divisor == 0)
    return symbols * (factor / divisor);
  return symbols.isMultipleOf(divisor) ? (symbols * factor).floorDiv(divisor)
                                       : AffineExpr();
}

std::optional<SymbolicShapes::Exprs> SymbolicShapes::reshaped(Operator op) {
  const auto &in = shapeOf(op.inputAt(0));
  auto wanted = elementsOf(op.inputAt(1));
  if (!in || !wanted)
    return std::nullopt;
  Exprs others;
  AffineExpr *open = nullptr;
  for (auto [d, extent] : llvm::enumerate(*wanted)) {
    auto number = dyn_cast<AffineConstantExpr>(extent);
    if (number && number.getValue() == -1) {
      open = &extent;
      continue;
    }
    if (number && number.getValue() == 0 && !intAttr(op, "allowzero", 0) &&
        d < in->size())
      extent = (*in)[d];
    others.push_back(extent);
  }
  if (open)
    *open = remaining(*in, others, constant(1));
  return wanted;
}

std::optional<SymbolicShapes::Exprs> SymbolicShapes::slicedShape(Operator op) {
  auto result = shapeOf(op.inputAt(0));
  const auto &from = elementsOf(op.inputAt(1)), &to = elementsOf(op.inputAt(2));
  auto axes = constantInts(op.inputAt(3)), steps = constantInts(op.inputAt(4));
  if (!result || !from || !to || (op.inputAt(3) && !axes))
    return std::nullopt;
  if (to->size() != from->size() || (axes && axes->size() != from->size()) ||
      (steps && steps->size() != from->size()))
    return std::nullopt;
  for (size_t n = 0; n < from->size(); ++n) {
    auto axis = normalise(axes ? (*axes)[n] : int64_t(n), result->size());
    if (!axis)
      return std::nullopt;
    AffineExpr &extent = (*result)[*axis];
    // Ends behind the extent and negative ones count from its end.
    auto place = [&](AffineExpr at) -> AffineExpr {
      auto number = dyn_cast<AffineConstantExpr>(at);
      if (!extent)
        return {};
      if (number && number.getValue() < -kFar)
        return constant(0);
      if (number && number.getValue() < 0)
        return isAtLeastZero(extent + at) ? extent + at : AffineExpr();
      if (number && number.getValue() > kFar)
        return extent;
      if (isAtLeastZero(extent - at))
        return at;
      return isAtLeastZero(at - extent) ? extent : AffineExpr();
    };
    AffineExpr start = place((*from)[n]), end = place((*to)[n]);
    bool plain = !op.inputAt(4) || (steps && (*steps)[n] == 1);
    extent = start && end && plain ? end - start : AffineExpr();
  }
  return result;
}

std::optional<SymbolicShapes::Exprs> SymbolicShapes::productShape(Operator op) {
  const auto &a = shapeOf(op.inputAt(0)), &b = shapeOf(op.inputAt(1));
  if (!a || !b || a->empty() || b->size() < 2 ||
      (a->size() < 2 && b->size() > 2))
    return std::nullopt;
  if (b->size() == 2) {
    Exprs result(*a);
    result.back() = b->back();
    return result;
  }
  Exprs result = broadcast(Exprs(a->begin(), a->end() - 2),
                           Exprs(b->begin(), b->end() - 2));
  result.push_back((*a)[a->size() - 2]);
  result.push_back(b->back());
  return result;
}

std::optional<SymbolicShapes::Exprs>
SymbolicShapes::attentionShape(Operator op) {
  auto q = shapeOf(op.inputAt(0));
  const auto &v = shapeOf(op.inputAt(2));
  if (!q || !v || v->empty() || (q->size() != 3 && q->size() != 4))
    return std::nullopt;
  q->back() = q->size() == 4 ? v->back() : AffineExpr();
  return q;
}

std::optional<SymbolicShapes::Exprs>
SymbolicShapes::movedShape(Operator op, StringRef name) {
  const auto &in = shapeOf(op.inputAt(0));
  if (name == "ConstantOfShape")
    return elementsOf(op.inputAt(0));
  if (!in)
    return std::nullopt;
  auto axes = constantInts(op.inputAt(1));
  if (name == "Transpose") {
    Exprs result(in->rbegin(), in->rend());
    auto perm = op->getAttrOfType<DenseI64ArrayAttr>("perm");
    if (!perm)
      return result;
    if (perm.size() != int64_t(in->size()) || !marked(perm, in->size()))
      return std::nullopt;
    for (auto [d, from] : llvm::enumerate(perm.asArrayRef()))
      result[d] = (*in)[*normalise(from, in->size())];
    return result;
  }
  if (name == "Unsqueeze" && axes) {
    auto isNew = marked(*axes, in->size() + axes->size());
    if (!isNew)
      return std::nullopt;
    Exprs result;
    size_t from = 0;
    for (bool fresh : *isNew)
      result.push_back(fresh ? constant(1) : (*in)[from++]);
    return result;
  }
  if (name == "Squeeze" && axes) {
    auto gone = marked(*axes, in->size());
    if (!gone)
      return std::nullopt;
    Exprs result;
    for (auto [d, extent] : llvm::enumerate(*in))
      if (!(*gone)[d])
        result.push_back(extent);
    return result;
  }
  if (name == "Gather") {
    const auto &at = shapeOf(op.inputAt(1));
    auto axis = normalise(intAttr(op, "axis", 0), in->size());
    if (!at || !axis)
      return std::nullopt;
    Exprs result(in->begin(), in->begin() + *axis);
    result.append(*at);
    result.append(in->begin() + *axis + 1, in->end());
    return result;
  }
  if (name == "Reshape")
    return reshaped(op);
  if (name == "Slice")
    return slicedShape(op);
  if (name == "Expand") {
    const auto &wanted = elementsOf(op.inputAt(1));
    return wanted ? std::optional(broadcast(*in, *wanted)) : std::nullopt;
  }
  if (name == "Flatten") {
    int64_t axis = intAttr(op, "axis", 1);
    Exprs result(2, constant(1));
    for (auto [d, extent] : llvm::enumerate(*in)) {
      if (!extent)
        return std::nullopt;
      AffineExpr &side = result[int64_t(d) < axis ? 0 : 1];
      side = side * extent;
    }
    return result;
  }
  if (name == "GatherND") {
    auto result = shapeOf(op.inputAt(1));
    auto depth = result && !result->empty()
                     ? dyn_cast_or_null<AffineConstantExpr>(result->back())
                     : AffineConstantExpr();
    if (!depth || intAttr(op, "batch_dims", 0) != 0 || depth.getValue() < 0 ||
        depth.getValue() > int64_t(in->size()))
      return std::nullopt;
    result->pop_back();
    result->append(in->begin() + depth.getValue(), in->end());
    return result;
  }
  if (name == "ReduceMean" && axes && intAttr(op, "keepdims", 1)) {
    auto reduced = marked(*axes, in->size());
    if (!reduced)
      return std::nullopt;
    Exprs result(*in);
    for (auto [extent, one] : llvm::zip_equal(result, *reduced))
      extent = one ? constant(1) : extent;
    return result;
  }
  return std::nullopt;
}

std::optional<SymbolicShapes::Exprs> SymbolicShapes::inferShape(Operator op) {
  StringRef name = op.getSchema().name;
  enum Kind { Like, Broadcast, MatMul, Concat, Range, Attention, Moved };
  Kind kind = llvm::StringSwitch<Kind>(name)
                  .Cases({"Cast", "CastLike", "Cos", "Sin", "Neg", "Sqrt",
                          "Exp", "Erf", "Tanh"},
                         Like)
                  .Cases({"Sigmoid", "Swish", "Gelu", "Relu", "Softmax",
                          "Identity", "Not", "Reciprocal"},
                         Like)
                  .Cases({"RMSNormalization", "LayerNormalization",
                          "SimplifiedLayerNormalization", "RotaryEmbedding",
                          "Trilu", "CumSum", "IsNaN"},
                         Like)
                  .Cases({"Add", "Sub", "Mul", "Div", "Pow", "Where", "And",
                          "Or", "Equal"},
                         Broadcast)
                  .Cases({"Less", "LessOrEqual", "Greater", "GreaterOrEqual",
                          "Max", "Min", "Mod"},
                         Broadcast)
                  .Case("MatMul", MatMul)
                  .Case("Concat", Concat)
                  .Case("Range", Range)
                  .Case("Attention", Attention)
                  .Default(Moved);
  switch (kind) {
  case Like:
    return shapeOf(op.inputAt(0));
  case Broadcast:
    return broadcastShape(op);
  case Moved:
    return movedShape(op, name);
  case MatMul:
    return productShape(op);
  case Concat: {
    if (op->getNumOperands() == 0)
      return std::nullopt;
    auto result = shapeOf(op->getOperand(0));
    auto axis = result ? normalise(intAttr(op, "axis", 0), result->size())
                       : std::nullopt;
    if (!axis)
      return std::nullopt;
    for (Value part : op->getOperands().drop_front()) {
      const auto &shape = shapeOf(part);
      if (!shape || shape->size() != result->size())
        return std::nullopt;
      AffineExpr &sum = (*result)[*axis], other = (*shape)[*axis];
      sum = sum && other ? sum + other : AffineExpr();
    }
    return result;
  }
  case Range: {
    const auto &start = elementsOf(op.inputAt(0));
    const auto &limit = elementsOf(op.inputAt(1));
    auto delta = constantInts(op.inputAt(2));
    if (!start || !limit || !delta || start->size() != 1 ||
        limit->size() != 1 || delta->size() != 1 || delta->front() != 1)
      return std::nullopt;
    return Exprs{limit->front() - start->front()};
  }
  case Attention:
    return attentionShape(op);
  }
  llvm_unreachable("unknown kind");
}

} // namespace mlir::fdpp::onnx
