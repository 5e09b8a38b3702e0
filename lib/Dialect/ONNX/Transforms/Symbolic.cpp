// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Symbolic.cpp - Shapes as functions of input extents ----------------===//
#include "Symbolic.h"

#include "fdpp/Dialect/ONNX/IR/ONNXLiftedOps.h"
#include "fdpp/Interpreter/Tensor.h"

#include "llvm/ADT/StringSwitch.h"

namespace mlir::fdpp::onnx {

/// Integer tensors longer than this are data, not shapes.
constexpr int64_t kMaxElements = 64;

//===----------------------------------------------------------------------===//
// Arguments
//===----------------------------------------------------------------------===//

SymbolicShapes::SymbolicShapes(func::FuncOp func) : context(func.getContext()) {
  for (unsigned i = 0; i < func.getNumArguments(); ++i)
    addArgument(func, i);
  for (Operation &op : func.getBody().front())
    visit(&op);
}

void SymbolicShapes::addArgument(func::FuncOp func, unsigned index) {
  Value argument = func.getArgument(index);
  auto type = dyn_cast<RankedTensorType>(argument.getType());
  if (!type)
    return;
  auto names = func.getArgAttrOfType<ArrayAttr>(index, "onnx.dims");
  Exprs dims;
  for (int64_t d = 0; d < type.getRank(); ++d) {
    if (!type.isDynamicDim(d)) {
      dims.push_back(constant(type.getDimSize(d)));
      continue;
    }
    std::string name;
    if (names && d < int64_t(names.size()))
      name = cast<StringAttr>(names[d]).getValue();
    auto known = llvm::find_if(symbolTable, [&](const Symbol &symbol) {
      return !name.empty() && symbol.name == name;
    });
    unsigned position = known - symbolTable.begin();
    if (known == symbolTable.end())
      symbolTable.push_back({argument, d,
                             name.empty()
                                 ? ("arg" + Twine(index) + "_" + Twine(d)).str()
                                 : name});
    dims.push_back(getAffineSymbolExpr(position, context));
  }
  shapes[argument] = dims;
}

//===----------------------------------------------------------------------===//
// Queries
//===----------------------------------------------------------------------===//

const std::optional<SymbolicShapes::Exprs> &
SymbolicShapes::shapeOf(Value value) const {
  auto at = shapes.find(value);
  return at == shapes.end() ? unknown : at->second;
}

AffineExpr SymbolicShapes::extentOf(Value value, int64_t dim) const {
  const auto &shape = shapeOf(value);
  return shape && dim < int64_t(shape->size()) ? (*shape)[dim] : AffineExpr();
}

const std::optional<SymbolicShapes::Exprs> &
SymbolicShapes::elementsOf(Value value) const {
  auto at = elements.find(value);
  return at == elements.end() ? unknown : at->second;
}

std::string SymbolicShapes::print(AffineExpr expr) const {
  if (!expr)
    return "?";
  std::string text;
  llvm::raw_string_ostream(text) << expr;
  // Highest first, so that s1 does not eat the start of s12.
  for (size_t i = symbolTable.size(); i-- > 0;) {
    std::string from = "s" + std::to_string(i);
    for (size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + symbolTable[i].name.size()))
      if (at == 0 || !isalnum(text[at - 1]))
        text.replace(at, from.size(), symbolTable[i].name);
  }
  return text;
}

Value SymbolicShapes::materialize(OpBuilder &builder, Location loc,
                                  RankedTensorType type,
                                  ArrayRef<AffineExpr> values) const {
  SmallVector<Value> sources;
  SmallVector<int64_t> dims;
  // Symbols that occur become the first ones of the op's map.
  SmallVector<AffineExpr> renamed(symbolTable.size(), constant(0));
  for (auto [i, symbol] : llvm::enumerate(symbolTable)) {
    bool used = llvm::any_of(values, [&, i = i](AffineExpr value) {
      return value.isFunctionOfSymbol(i);
    });
    if (!used)
      continue;
    renamed[i] = getAffineSymbolExpr(sources.size(), context);
    sources.push_back(symbol.source);
    dims.push_back(symbol.dim);
  }
  SmallVector<AffineExpr> results;
  for (AffineExpr value : values)
    results.push_back(
        simplifyAffineExpr(value.replaceSymbols(renamed), 0, sources.size()));
  if (sources.empty()) {
    Tensor tensor(TensorKind::Int, type.getShape());
    for (auto [n, result] : llvm::enumerate(results))
      tensor.i()[n] = cast<AffineConstantExpr>(result).getValue();
    DenseElementsAttr attr = attrFrom(tensor, type.getElementType());
    return ConstantOp::create(builder, loc, type, attr);
  }
  auto map = AffineMap::get(0, sources.size(), results, context);
  return ExtentsOp::create(builder, loc, type, sources, dims, map);
}

//===----------------------------------------------------------------------===//
// Walk
//===----------------------------------------------------------------------===//

std::optional<SymbolicShapes::Exprs> SymbolicShapes::typeShape(Type type) {
  auto ranked = dyn_cast<RankedTensorType>(type);
  if (!ranked)
    return std::nullopt;
  Exprs dims;
  for (int64_t extent : ranked.getShape())
    dims.push_back(ShapedType::isDynamic(extent) ? AffineExpr()
                                                 : constant(extent));
  return dims;
}

void SymbolicShapes::visit(Operation *op) {
  for (Value result : op->getResults())
    shapes[result] = typeShape(result.getType());
  if (auto extents = dyn_cast<ExtentsOp>(op)) {
    // Symbols of the op's map, as ours.
    SmallVector<AffineExpr> ours;
    for (auto [source, dim] :
         llvm::zip_equal(extents.getSources(), extents.getDims()))
      ours.push_back(extentOf(source, dim));
    if (llvm::is_contained(ours, AffineExpr()))
      return;
    Exprs values;
    for (AffineExpr expr : extents.getMap().getResults())
      values.push_back(expr.replaceSymbols(ours));
    elements[extents.getResult()] = values;
    return;
  }
  if (op->getNumResults() > 0)
    if (auto ints = constantInts(op->getResult(0)))
      if (int64_t(ints->size()) <= kMaxElements) {
        Exprs values;
        for (int64_t value : *ints)
          values.push_back(constant(value));
        elements[op->getResult(0)] = values;
      }
  auto onnxOp = dyn_cast<Operator>(op);
  if (!onnxOp)
    return;
  // What the rule tells, where the type does not.
  if (auto inferred = inferShape(onnxOp)) {
    auto &shape = shapes[op->getResult(0)];
    if (!shape || shape->size() != inferred->size())
      shape = inferred;
    for (auto [mine, other] : llvm::zip_equal(*shape, *inferred))
      if (!mine)
        mine = other;
  }
  Type element = cast<TensorType>(op->getResult(0).getType()).getElementType();
  if (element.isSignlessInteger(64) || element.isSignlessInteger(32))
    elements[op->getResult(0)] = inferElements(onnxOp);
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

std::optional<SymbolicShapes::Exprs>
SymbolicShapes::broadcastShape(Operator op) {
  Exprs all;
  for (Value operand : op->getOperands()) {
    const auto &shape = shapeOf(operand);
    if (!shape)
      return std::nullopt;
    if (shape->size() > all.size())
      all.insert(all.begin(), shape->size() - all.size(), constant(1));
    size_t lead = all.size() - shape->size();
    for (auto [d, extent] : llvm::enumerate(*shape)) {
      AffineExpr &mine = all[lead + d];
      bool mineIsOne = mine == constant(1), otherIsOne = extent == constant(1);
      if (mineIsOne)
        mine = extent;
      else if (!otherIsOne && mine && extent && isa<AffineConstantExpr>(extent))
        mine = extent; // both stand for it, the constant says more
      else if (!mine && !otherIsOne)
        mine = extent;
    }
  }
  return all;
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
    if (auto perm = op->getAttrOfType<DenseI64ArrayAttr>("perm"))
      for (auto [d, from] : llvm::enumerate(perm.asArrayRef()))
        result[d] = (*in)[from];
    return result;
  }
  if (name == "Unsqueeze" && axes) {
    Exprs result(in->size() + axes->size());
    for (int64_t axis : *axes)
      result[axis < 0 ? axis + result.size() : axis] = constant(1);
    size_t from = 0;
    for (AffineExpr &extent : result)
      if (!extent)
        extent = (*in)[from++];
    return result;
  }
  if (name == "Squeeze" && axes) {
    SmallVector<bool> gone(in->size(), false);
    for (int64_t axis : *axes)
      gone[axis < 0 ? axis + in->size() : axis] = true;
    Exprs result;
    for (auto [d, extent] : llvm::enumerate(*in))
      if (!gone[d])
        result.push_back(extent);
    return result;
  }
  if (name == "Gather") {
    const auto &at = shapeOf(op.inputAt(1));
    if (!at)
      return std::nullopt;
    int64_t axis = intAttr(op, "axis", 0);
    axis = axis < 0 ? axis + in->size() : axis;
    Exprs result(in->begin(), in->begin() + axis);
    result.append(*at);
    result.append(in->begin() + axis + 1, in->end());
    return result;
  }
  if (name == "Reshape" || name == "Expand") {
    auto wanted = elementsOf(op.inputAt(1));
    if (!wanted)
      return std::nullopt;
    for (auto [d, extent] : llvm::enumerate(*wanted)) {
      auto number = dyn_cast<AffineConstantExpr>(extent);
      if (name == "Reshape" && number && number.getValue() == 0 &&
          d < in->size())
        extent = (*in)[d];
      else if (number && (number.getValue() == -1 ||
                          (name == "Expand" && number.getValue() == 1)))
        extent = {};
    }
    return wanted;
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
  case MatMul: {
    auto a = shapeOf(op.inputAt(0));
    const auto &b = shapeOf(op.inputAt(1));
    if (!a || !b || b->size() != 2 || a->empty())
      return std::nullopt;
    a->back() = b->back();
    return a;
  }
  case Concat: {
    auto result = shapeOf(op->getOperand(0));
    int64_t axis = intAttr(op, "axis", 0);
    for (Value part : op->getOperands().drop_front()) {
      const auto &shape = shapeOf(part);
      if (!result || !shape || shape->size() != result->size())
        return std::nullopt;
      int64_t at = axis < 0 ? axis + result->size() : axis;
      AffineExpr &sum = (*result)[at];
      sum = sum && (*shape)[at] ? sum + (*shape)[at] : AffineExpr();
    }
    return result;
  }
  case Range: {
    const auto &start = elementsOf(op.inputAt(0));
    const auto &limit = elementsOf(op.inputAt(1));
    auto delta = constantInts(op.inputAt(2));
    if (!start || !limit || !delta || delta->front() != 1)
      return std::nullopt;
    return Exprs{limit->front() - start->front()};
  }
  case Attention: {
    auto q = shapeOf(op.inputAt(0));
    if (!q || q->size() != 3)
      return std::nullopt;
    q->back() = {};
    return q;
  }
  }
  llvm_unreachable("unknown kind");
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

std::optional<SymbolicShapes::Exprs>
SymbolicShapes::shapeElements(Operator op) {
  const auto &shape = shapeOf(op.inputAt(0));
  if (!shape)
    return std::nullopt;
  int64_t rank = shape->size();
  auto clamp = [&](int64_t at) {
    return std::min(std::max<int64_t>(at < 0 ? at + rank : at, 0), rank);
  };
  int64_t from = clamp(intAttr(op, "start", 0));
  int64_t to = std::max(from, clamp(intAttr(op, "end", rank)));
  return Exprs(shape->begin() + from, shape->begin() + to);
}

/// Elementwise +, -, *, / of integers, one of the two possibly a scalar.
std::optional<SymbolicShapes::Exprs> SymbolicShapes::arithmetic(Operator op) {
  const auto &a = elementsOf(op.inputAt(0)), &b = elementsOf(op.inputAt(1));
  if (!a || !b || (a->size() != b->size() && a->size() != 1 && b->size() != 1))
    return std::nullopt;
  StringRef name = op.getSchema().name;
  Exprs result;
  for (size_t n = 0; n < std::max(a->size(), b->size()); ++n) {
    AffineExpr x = (*a)[a->size() == 1 ? 0 : n];
    AffineExpr y = (*b)[b->size() == 1 ? 0 : n];
    auto divisor = dyn_cast<AffineConstantExpr>(y);
    if (name == "Add")
      result.push_back(x + y);
    else if (name == "Sub")
      result.push_back(x - y);
    else if (name == "Mul")
      result.push_back(x * y);
    else if (divisor && divisor.getValue() > 0)
      result.push_back(x.floorDiv(divisor.getValue()));
    else
      return std::nullopt;
  }
  return result;
}

std::optional<SymbolicShapes::Exprs>
SymbolicShapes::sliceElements(Operator op) {
  const auto &data = elementsOf(op.inputAt(0));
  auto from = constantInts(op.inputAt(1)), to = constantInts(op.inputAt(2));
  auto steps = constantInts(op.inputAt(4));
  if (!data || !from || !to || from->size() != 1 || to->size() != 1 ||
      (op.inputAt(4) && (!steps || steps->front() != 1)))
    return std::nullopt;
  int64_t extent = data->size();
  auto clamp = [&](int64_t at) {
    return std::min(std::max<int64_t>(at < 0 ? at + extent : at, 0), extent);
  };
  int64_t start = clamp(from->front()), end = clamp(to->front());
  return Exprs(data->begin() + start, data->begin() + std::max(start, end));
}

bool keepsExtents(Operator cast) {
  auto type = llvm::cast<TensorType>(cast.outputAt(0).getType());
  auto element = dyn_cast<IntegerType>(type.getElementType());
  return element && element.getWidth() >= 32 && !element.isUnsigned();
}

std::optional<SymbolicShapes::Exprs>
SymbolicShapes::inferElements(Operator op) {
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (type && type.getRank() > 1)
    return std::nullopt;
  StringRef name = op.getSchema().name;
  std::optional<Exprs> result;
  if (name == "Shape") {
    result = shapeElements(op);
  } else if (name == "Concat") {
    result = Exprs();
    for (Value part : op->getOperands()) {
      const auto &values = elementsOf(part);
      if (!values)
        return std::nullopt;
      result->append(*values);
    }
  } else if (name == "Gather") {
    const auto &data = elementsOf(op.inputAt(0));
    auto at = constantInts(op.inputAt(1));
    if (!data || !at)
      return std::nullopt;
    result = Exprs();
    int64_t extent = data->size();
    for (int64_t index : *at) {
      if (index < -extent || index >= extent)
        return std::nullopt;
      result->push_back((*data)[index < 0 ? index + extent : index]);
    }
  } else if (name == "Slice") {
    result = sliceElements(op);
  } else if (name == "Squeeze" || name == "Unsqueeze" || name == "Reshape" ||
             name == "Identity" || (name == "Cast" && keepsExtents(op))) {
    result = elementsOf(op.inputAt(0));
  } else if (name == "Add" || name == "Sub" || name == "Mul" || name == "Div") {
    result = arithmetic(op);
  }
  if (result && (int64_t(result->size()) > kMaxElements ||
                 llvm::is_contained(*result, AffineExpr())))
    return std::nullopt;
  return result;
}

} // namespace mlir::fdpp::onnx
