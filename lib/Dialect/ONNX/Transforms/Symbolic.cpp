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

static bool hasSum(func::FuncOp func, unsigned index) {
  auto names = func.getArgAttrOfType<ArrayAttr>(index, "onnx.dims");
  return names && llvm::any_of(names, [](Attribute attribute) {
           auto name = dyn_cast<StringAttr>(attribute);
           return name && name.getValue().contains(" + ");
         });
}

SymbolicShapes::SymbolicShapes(func::FuncOp func) : context(func.getContext()) {
  // Sums of names last: their parts may be extents of later arguments.
  for (bool sums : {false, true})
    for (unsigned i = 0; i < func.getNumArguments(); ++i)
      if (hasSum(func, i) == sums)
        addArgument(func, i);
  for (Operation &op : func.getBody().front())
    visit(&op);
}

/// The symbol of this name, or of a sum of names as "past + sequence": its
/// parts are extents of other arguments.
AffineExpr SymbolicShapes::symbolCalled(StringRef name, Value source,
                                        int64_t dim) {
  auto find = [&](StringRef wanted) -> AffineExpr {
    for (auto [i, symbol] : llvm::enumerate(symbolTable))
      if (symbol.name == wanted)
        return getAffineSymbolExpr(i, context);
    return {};
  };
  if (AffineExpr known = find(name))
    return known;
  auto [a, b] = name.split(" + ");
  AffineExpr x = find(a.trim()), y = find(b.trim());
  if (x && y)
    return x + y;
  symbolTable.push_back({source, dim, name.str()});
  return getAffineSymbolExpr(symbolTable.size() - 1, context);
}

/// The first argument that is keys or values of a cache as argument `index` is,
/// null if there is none. One cache serves all layers: their batches and
/// lengths are the same, whatever an exporter calls them.
static Value cacheBefore(func::FuncOp func, unsigned index) {
  auto isCache = [](BlockArgument argument) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    return type && type.getRank() == 4 && isa<FloatType>(type.getElementType());
  };
  BlockArgument self = func.getArgument(index);
  for (BlockArgument argument : func.getArguments().take_front(index))
    if (isCache(self) && isCache(argument))
      return argument;
  return {};
}

void SymbolicShapes::addArgument(func::FuncOp func, unsigned index) {
  Value argument = func.getArgument(index);
  auto type = dyn_cast<RankedTensorType>(argument.getType());
  if (!type)
    return;
  auto names = func.getArgAttrOfType<ArrayAttr>(index, "onnx.dims");
  Exprs dims;
  Value like = cacheBefore(func, index);
  for (int64_t d = 0; d < type.getRank(); ++d) {
    if (!type.isDynamicDim(d)) {
      dims.push_back(constant(type.getDimSize(d)));
      continue;
    }
    if (like && extentOf(like, d)) {
      dims.push_back(extentOf(like, d));
      continue;
    }
    std::string name;
    if (names && d < int64_t(names.size()))
      if (auto given = dyn_cast<StringAttr>(names[d]))
        name = given.getValue();
    if (name.empty())
      name = ("arg" + Twine(index) + "_" + Twine(d)).str();
    dims.push_back(symbolCalled(name, argument, d));
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
  return shape && dim >= 0 && dim < int64_t(shape->size()) ? (*shape)[dim]
                                                           : AffineExpr();
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
      values.push_back(simplify(expr.replaceSymbols(ours)));
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
    if (!shape)
      shape = inferred;
    // Of two ranks the type's counts: what reads the shape trusts types too.
    if (shape->size() == inferred->size())
      for (auto [mine, other] : llvm::zip_equal(*shape, *inferred))
        mine = simplify(mine ? mine : other);
  }
  Type element = cast<TensorType>(op->getResult(0).getType()).getElementType();
  if (!element.isSignlessInteger())
    return;
  auto values = inferElements(onnxOp);
  if (values)
    for (AffineExpr &value : *values)
      value = simplify(value);
  elements[op->getResult(0)] = values;
}

/// Equal sums are equal expressions, in whatever order they were added.
AffineExpr SymbolicShapes::simplify(AffineExpr expr) const {
  return expr ? simplifyAffineExpr(expr, 0, symbolTable.size()) : expr;
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

bool SymbolicShapes::isAtLeastZero(AffineExpr expr) const {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue() >= 0;
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  return !binary ||
         (expr.getKind() != AffineExprKind::Mod &&
          isAtLeastZero(binary.getLHS()) && isAtLeastZero(binary.getRHS()));
}

/// Whether sums, differences and products of such expressions stay within 64
/// bits: no number in them is large.
static bool isSmall(AffineExpr expr) {
  constexpr int64_t kLimit = int64_t(1) << 31;
  bool small = true;
  expr.walk([&](AffineExpr part) {
    if (auto number = dyn_cast<AffineConstantExpr>(part))
      small &= number.getValue() >= -kLimit && number.getValue() <= kLimit;
  });
  return small;
}

/// One of two integers, if it is known which is meant.
static AffineExpr combine(StringRef name, AffineExpr x, AffineExpr y,
                          function_ref<bool(AffineExpr)> isAtLeastZero) {
  if (!isSmall(x) || !isSmall(y))
    return {};
  auto divisor = dyn_cast<AffineConstantExpr>(y);
  AffineExpr difference = x - y;
  auto known = dyn_cast<AffineConstantExpr>(difference);
  if (name == "Add")
    return x + y;
  if (name == "Sub")
    return difference;
  if (name == "Mul")
    return x * y;
  if (name == "Div")
    return divisor && divisor.getValue() > 0 ? x.floorDiv(divisor.getValue())
                                             : AffineExpr();
  if (name == "Equal") {
    bool apart = isAtLeastZero(difference - 1) || isAtLeastZero(y - x - 1);
    if (!known && !apart)
      return {};
    return getAffineConstantExpr(known && known.getValue() == 0,
                                 x.getContext());
  }
  if (isAtLeastZero(difference))
    return name == "Max" ? x : y;
  return isAtLeastZero(y - x) ? (name == "Max" ? y : x) : AffineExpr();
}

/// Elementwise +, -, *, /, =, max and min of integers, one of the two possibly
/// a scalar.
std::optional<SymbolicShapes::Exprs> SymbolicShapes::arithmetic(Operator op) {
  if (op->getNumOperands() != 2)
    return std::nullopt;
  const auto &a = elementsOf(op.inputAt(0)), &b = elementsOf(op->getOperand(1));
  if (!a || !b || (a->size() != b->size() && a->size() != 1 && b->size() != 1))
    return std::nullopt;
  Exprs result;
  // One element goes with none, too: the result has none.
  size_t size = a->size() == 1 ? b->size() : a->size();
  for (size_t n = 0; n < size; ++n)
    result.push_back(combine(op.getSchema().name, (*a)[a->size() == 1 ? 0 : n],
                             (*b)[b->size() == 1 ? 0 : n],
                             [&](AffineExpr e) { return isAtLeastZero(e); }));
  return result;
}

/// Where, with a condition known for every element.
std::optional<SymbolicShapes::Exprs>
SymbolicShapes::chosenElements(Operator op) {
  const auto &condition = elementsOf(op.inputAt(0));
  const auto &x = elementsOf(op.inputAt(1)), &y = elementsOf(op.inputAt(2));
  if (!condition || !x || !y)
    return std::nullopt;
  Exprs result;
  size_t size = std::max({condition->size(), x->size(), y->size()});
  for (size_t n = 0; n < size; ++n) {
    auto pick = [&](const Exprs &all) {
      return n < all.size() ? all[n] : all.size() == 1 ? all[0] : AffineExpr();
    };
    auto known = dyn_cast_or_null<AffineConstantExpr>(pick(*condition));
    if (!known)
      return std::nullopt;
    result.push_back(pick(known.getValue() ? *x : *y));
  }
  return result;
}

std::optional<SymbolicShapes::Exprs>
SymbolicShapes::sliceElements(Operator op) {
  const auto &data = elementsOf(op.inputAt(0));
  auto from = constantInts(op.inputAt(1)), to = constantInts(op.inputAt(2));
  auto steps = constantInts(op.inputAt(4));
  if (!data || !from || !to || from->size() != 1 || to->size() != 1 ||
      (op.inputAt(4) && (!steps || steps->size() != 1 || (*steps)[0] != 1)))
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
  } else if (name == "ConstantOfShape") {
    auto value = op->getAttrOfType<DenseElementsAttr>("value");
    if (!type || !type.hasStaticShape() || type.getNumElements() > kMaxElements)
      return std::nullopt;
    Tensor fill = value ? tensorFrom(value) : Tensor::ints({1}, {0});
    if (fill.isAbsent() || fill.isFloat() || fill.size() != 1)
      return std::nullopt;
    result = Exprs(type.getNumElements(), constant(fill.i()[0]));
  } else if (name == "Where") {
    result = chosenElements(op);
  } else if (name == "Abs") {
    result = elementsOf(op.inputAt(0));
    if (result &&
        !llvm::all_of(*result, [&](AffineExpr e) { return isAtLeastZero(e); }))
      return std::nullopt;
  } else if (name == "Add" || name == "Sub" || name == "Mul" || name == "Div" ||
             name == "Equal" || name == "Max" || name == "Min") {
    result = arithmetic(op);
  }
  if (result && (int64_t(result->size()) > kMaxElements ||
                 llvm::is_contained(*result, AffineExpr())))
    return std::nullopt;
  // A type of another number of elements contradicts the operands.
  if (result && type && type.hasStaticShape() &&
      type.getNumElements() != int64_t(result->size()))
    return std::nullopt;
  return result;
}

} // namespace mlir::fdpp::onnx
