// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Upgrade.cpp - Older operator versions to the dialect's -------------===//
//
// Two tables. kOldest: the first version of an operator whose nodes can be
// read at all; from there on versions only widened types, except where
// kSteps has a step for nodes of versions below a bound.
//
//===----------------------------------------------------------------------===//
#include "Upgrade.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringMap.h"

namespace mlir::fdpp {
namespace {

/// A 1-D int64 or a scalar constant as a new operand.
Value constant(OpBuilder &builder, Location loc, DenseElementsAttr value) {
  OperationState state(loc, "onnx.Constant");
  state.addAttribute("value", value);
  state.addTypes(value.getType());
  return builder.create(state)->getResult(0);
}

Value constantInts(OpBuilder &builder, Location loc,
                   llvm::ArrayRef<int64_t> values) {
  auto type =
      RankedTensorType::get({int64_t(values.size())}, builder.getI64Type());
  return constant(builder, loc, DenseElementsAttr::get(type, values));
}

/// Moves integer-list attribute `name` to input `position`.
void intsToInput(Node &node, StringRef name, size_t position,
                 OpBuilder &builder) {
  auto ints = dyn_cast_or_null<DenseI64ArrayAttr>(node.take(name));
  if (!ints)
    return;
  if (node.inputs.size() <= position)
    node.inputs.resize(position + 1);
  node.inputs[position] = constantInts(builder, node.loc, ints.asArrayRef());
}

std::string axesToInput(Node &node, OpBuilder &builder) {
  intsToInput(node, "axes", 1, builder);
  return "";
}

/// Before version 13 softmax flattened at `axis` (default 1); for the last
/// axis this is today's meaning.
std::string softmaxAxis(Node &node, OpBuilder &builder) {
  auto attr = dyn_cast_or_null<IntegerAttr>(node.take("axis"));
  int64_t axis = attr ? attr.getInt() : 1;
  auto type = node.inputs.empty() || !node.inputs[0]
                  ? RankedTensorType()
                  : dyn_cast<RankedTensorType>(node.inputs[0].getType());
  bool last = axis == -1 || (type && axis == type.getRank() - 1);
  if (!last)
    return "its axis is not the last one, which before opset 13 meant a "
           "softmax over several dimensions";
  node.attributes.set("axis", builder.getI64IntegerAttr(-1));
  return "";
}

std::string splitSizes(Node &node, OpBuilder &builder) {
  intsToInput(node, "split", 1, builder);
  return "";
}

/// Version 18 wants either sizes or a number.
std::string splitCount(Node &node, OpBuilder &builder) {
  if (node.inputs.size() < 2 || !node.inputs[1])
    node.attributes.set("num_outputs",
                        builder.getI64IntegerAttr(node.numOutputs));
  return "";
}

std::string sliceBounds(Node &node, OpBuilder &builder) {
  intsToInput(node, "starts", 1, builder);
  intsToInput(node, "ends", 2, builder);
  intsToInput(node, "axes", 3, builder);
  return "";
}

std::string clipBounds(Node &node, OpBuilder &builder) {
  if (node.inputs.empty() || !node.inputs[0])
    return "it has no input";
  Type element = cast<ShapedType>(node.inputs[0].getType()).getElementType();
  auto scalar = RankedTensorType::get({}, element);
  node.inputs.resize(3);
  for (auto [position, name] : {std::pair(1, "min"), std::pair(2, "max")}) {
    auto bound = dyn_cast_or_null<FloatAttr>(node.take(name));
    if (!bound || !isa<FloatType>(element))
      continue;
    auto value = FloatAttr::get(element, bound.getValueAsDouble());
    node.inputs[position] =
        constant(builder, node.loc, DenseElementsAttr::get(scalar, value));
  }
  return "";
}

struct Step {
  StringLiteral name;
  int below; // applies to nodes of an older version
  std::string (*apply)(Node &, OpBuilder &);
};

constexpr Step kSteps[] = {
    {"Clip", 11, clipBounds},
    {"ReduceMax", 18, axesToInput},
    {"ReduceMean", 18, axesToInput},
    {"ReduceMin", 18, axesToInput},
    {"ReduceProd", 18, axesToInput},
    {"ReduceSum", 13, axesToInput},
    {"ReduceSumSquare", 18, axesToInput},
    {"Slice", 10, sliceBounds},
    {"Softmax", 13, softmaxAxis},
    {"Split", 13, splitSizes},
    {"Split", 18, splitCount},
    {"Squeeze", 13, axesToInput},
    {"Unsqueeze", 13, axesToInput},
};

struct Oldest {
  StringLiteral name;
  int version;
};

/// Operators not listed can be read from their first version on.
constexpr Oldest kOldest[] = {
    {"Abs", 6},     {"Add", 7},     {"And", 7},        {"Cast", 6},
    {"Ceil", 6},    {"Clip", 6},    {"Concat", 4},     {"Div", 7},
    {"Equal", 7},   {"Exp", 6},     {"Floor", 6},      {"Gemm", 7},
    {"Greater", 7}, {"Less", 7},    {"Log", 6},        {"Max", 6},
    {"Mean", 6},    {"Min", 6},     {"Mul", 7},        {"Neg", 6},
    {"Or", 7},      {"Pow", 7},     {"Reciprocal", 6}, {"Relu", 6},
    {"Reshape", 5}, {"Sigmoid", 6}, {"Split", 2},      {"Sqrt", 6},
    {"Sub", 7},     {"Sum", 6},     {"Tanh", 6},       {"Tile", 6},
};

} // namespace

std::string upgrade(Node &node, int version, OpBuilder &builder) {
  if (!node.domain.empty())
    return "";
  for (const Oldest &oldest : kOldest)
    if (oldest.name == node.name && version < oldest.version)
      return "version " + std::to_string(version) + " of " + node.name.str() +
             " is too old";
  for (const Step &step : kSteps)
    if (step.name == node.name && version < step.below)
      if (std::string reason = step.apply(node, builder); !reason.empty())
        return reason;
  return "";
}

} // namespace mlir::fdpp
