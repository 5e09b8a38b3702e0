// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Parameters.cpp - Constants and weights as parameters ---------------===//
#include "Matchers.h"

namespace mlir::fdpp::onnx {

Parameters::Parameters(ModuleOp module, func::FuncOp func)
    : module(module), func(func), symbols(module) {}

/// Looks through casts that lose nothing.
static Value behindCasts(Value value) {
  while (Operator cast = definedBy(value, "Cast")) {
    auto from = dyn_cast<FloatType>(
        llvm::cast<TensorType>(cast.inputAt(0).getType()).getElementType());
    auto to = dyn_cast<FloatType>(
        llvm::cast<TensorType>(value.getType()).getElementType());
    if (!from || !to || from.getWidth() > to.getWidth() ||
        (from != to && from.getWidth() == to.getWidth()))
      break;
    value = cast.inputAt(0);
  }
  return value;
}

Value Parameters::find(Value value) {
  value = behindCasts(value);
  if (value.getDefiningOp<WeightAtOp>())
    return value;
  auto constant = value.getDefiningOp<ConstantOp>();
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!constant || !type || !isa<FloatType>(type.getElementType()))
    return {};
  return fromConstant(constant, type.getShape());
}

Value Parameters::findVector(Value value) {
  auto type = dyn_cast<RankedTensorType>(behindCasts(value).getType());
  if (!type || type.getRank() == 0 || !type.hasStaticShape() ||
      type.getNumElements() != type.getShape().back())
    return {};
  if (type.getRank() == 1)
    return find(value);
  auto constant = behindCasts(value).getDefiningOp<ConstantOp>();
  return constant && isa<FloatType>(type.getElementType())
             ? fromConstant(constant, type.getShape().take_back())
             : Value();
}

Value Parameters::findTransposed(Value value) {
  value = behindCasts(value);
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || type.getRank() != 2)
    return {};
  // With rank 2 the default permutation and [1, 0] are the same.
  if (Operator transpose = definedBy(value, "Transpose")) {
    auto perm = transpose->getAttrOfType<DenseI64ArrayAttr>("perm");
    bool turns = !perm || perm.asArrayRef() == ArrayRef<int64_t>{1, 0};
    return turns ? find(transpose.inputAt(0)) : Value();
  }
  Value parameter = find(value);
  return parameter ? transposed(parameter.getDefiningOp<WeightAtOp>())
                   : Value();
}

//===----------------------------------------------------------------------===//
// New weights
//===----------------------------------------------------------------------===//

WeightOp Parameters::addWeight(StringRef name, RankedTensorType type,
                               Attribute source, Location loc) {
  OpBuilder top(func);
  auto weight = WeightOp::create(
      top, loc, name, /*sym_visibility=*/nullptr, type, /*layers=*/1,
      source ? top.getArrayAttr({source}) : ArrayAttr(), /*layout=*/nullptr);
  symbols.insert(weight);
  return weight;
}

Value Parameters::weightAt(OpBuilder builder, WeightOp weight, Location loc) {
  return WeightAtOp::create(builder, loc, weight.getTensorType(),
                            weight.getSymName(), /*layer=*/Value());
}

/// A constant as a weight of its own, with the name it was imported under.
Value Parameters::fromConstant(ConstantOp constant, ArrayRef<int64_t> shape) {
  auto elements = dyn_cast<DenseElementsAttr>(constant.getValue());
  if (!elements)
    return {};
  Value &known = constants[constant];
  if (known && cast<RankedTensorType>(known.getType()).getShape() == shape)
    return known;
  auto name = dyn_cast<NameLoc>(constant.getLoc());
  auto type = RankedTensorType::get(shape, elements.getElementType());
  known = weightAt(OpBuilder(constant),
                   addWeight(name ? name.getName().getValue() : "constant",
                             type, elements.reshape(type), constant.getLoc()),
                   constant.getLoc());
  return known;
}

/// A weight stored as [K, N], as [N, K].
Value Parameters::transposed(WeightAtOp weight) {
  Value &known = transposes[weight.getWeight()];
  if (known)
    return known;
  auto from = cast<RankedTensorType>(weight.getType());
  auto to = RankedTensorType::get({from.getDimSize(1), from.getDimSize(0)},
                                  from.getElementType());
  Location loc = weight.getLoc();
  WeightOp turned =
      addWeight((weight.getWeight() + ".transposed").str(), to, nullptr, loc);
  OpBuilder inside(func.getContext());
  Block *body = inside.createBlock(&turned.getInit());
  body->addArgument(inside.getIndexType(), loc);
  Value stored = WeightAtOp::create(inside, loc, from, weight.getWeight(),
                                    /*layer=*/Value());
  Value result = TransposeOp::create(inside, loc, to, stored);
  YieldOp::create(inside, loc, ValueRange(result));
  known = weightAt(OpBuilder(weight), turned, loc);
  return known;
}

} // namespace mlir::fdpp::onnx
