// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- InferTypes.cpp - Result types of onnx ops --------------------------===//
#include "InferShapes.h"

#include "mlir/IR/BuiltinAttributeInterfaces.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace mlir::fdpp::onnx {

/// The element type that an input with the same type variable has.
static Type fromVariable(Operator op, int variable) {
  if (variable < 0)
    return {};
  for (auto [i, port] : llvm::enumerate(op.getSchema().inputs))
    if (port.typeVariable == variable && !op.inputGroup(i).empty())
      return getElementTypeOrSelf(op.inputGroup(i).front().getType());
  return {};
}

/// The element type of output `i`, null if nothing tells it.
static Type elementTypeOfOutput(Operator op, unsigned i) {
  const OpSchema &schema = op.getSchema();
  const SchemaPort &port = schema.outputs[i];
  MLIRContext *context = op->getContext();
  if (!port.onlyType.empty())
    return elementTypeCalled(context, port.onlyType);
  if (Type type = fromVariable(op, port.typeVariable))
    return type;
  if (auto to = op->getAttrOfType<IntegerAttr>("to"))
    return elementTypeOf(context, to.getInt());
  if (schema.name == "ConstantOfShape") {
    auto value = op->getAttrOfType<ElementsAttr>("value");
    return value ? value.getElementType() : Float32Type::get(context);
  }
  if (i > 0 && schema.name.ends_with("Normalization"))
    return Float32Type::get(context); // saved statistics, stash_type 1
  return {};
}

/// Rules add and multiply extents. Within these limits that takes no more than
/// 64 bits; beyond them there is no machine for the tensor.
static bool isSized(llvm::ArrayRef<int64_t> shape) {
  constexpr int64_t kMost = int64_t(1) << 48;
  int64_t all = 1;
  for (int64_t extent : shape) {
    if (ShapedType::isDynamic(extent))
      continue;
    extent = extent == 0 ? 1 : extent;
    if (extent < 0 || extent > kMost / all)
      return false;
    all *= extent;
  }
  return true;
}

static LogicalResult
checkOperandSizes(Operation *op,
                  llvm::function_ref<InFlightDiagnostic()> emitError) {
  for (Type type : op->getOperandTypes())
    if (auto ranked = dyn_cast<RankedTensorType>(type);
        ranked && !isSized(ranked.getShape())) {
      emitError() << "has an operand of more than 2^48 elements";
      return failure();
    }
  return success();
}

LogicalResult inferTypes(Operation *operation,
                         llvm::SmallVectorImpl<Type> &types,
                         llvm::function_ref<InFlightDiagnostic()> emitError) {
  auto op = cast<Operator>(operation);
  const OpSchema &schema = op.getSchema();
  detail::ShapeRule rule{op, {}, emitError};
  rule.results.resize(
      std::max<size_t>(operation->getNumResults(), schema.outputs.size()));
  if (failed(checkOperandSizes(operation, emitError)))
    return failure();
  detail::ShapeFunction function = detail::findShapeFunction(schema.mlirName);
  if (function && failed(function(rule)))
    return failure();
  unsigned slot = 0;
  for (unsigned i = 0; i < schema.outputs.size(); ++i) {
    Type element = elementTypeOfOutput(op, i);
    bool variadic = schema.outputs[i].kind == PortKind::Variadic;
    for (Value result : op.outputGroup(i)) {
      (void)result;
      const detail::Shape &shape = rule.results[variadic ? slot++ : i];
      if (shape && !isSized(*shape)) {
        emitError() << "has a result with a negative extent or of more than "
                       "2^48 elements";
        return failure();
      }
      if (!element)
        types.push_back({});
      else if (shape)
        types.push_back(RankedTensorType::get(*shape, element));
      else
        types.push_back(UnrankedTensorType::get(element));
    }
  }
  return success();
}

} // namespace mlir::fdpp::onnx
