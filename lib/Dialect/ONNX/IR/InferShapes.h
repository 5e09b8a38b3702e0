// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- InferShapes.h - Result shapes of onnx ops ----------------*- C++ -*-===//
#ifndef FDPP_LIB_DIALECT_ONNX_IR_INFERSHAPES_H
#define FDPP_LIB_DIALECT_ONNX_IR_INFERSHAPES_H

#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"

namespace mlir::fdpp::onnx::detail {

constexpr int64_t kDynamic = mlir::ShapedType::kDynamic;

using Dims = llvm::SmallVector<int64_t, 6>;
/// Extents with kDynamic for unknown ones; nullopt if the rank is unknown.
using Shape = std::optional<Dims>;

/// What a shape rule reads and writes.
struct ShapeRule {
  Operator op;
  /// One shape per output of the schema, in its order (variadic outputs: one
  /// per result).
  llvm::SmallVector<Shape> results;
  llvm::function_ref<mlir::InFlightDiagnostic()> emitError;

  Shape input(unsigned i) {
    mlir::Value value = op.inputAt(i);
    auto type = value ? llvm::dyn_cast<mlir::RankedTensorType>(value.getType())
                      : mlir::RankedTensorType();
    if (!type)
      return std::nullopt;
    return Dims(type.getShape());
  }
  int64_t attr(llvm::StringRef name, int64_t otherwise) {
    return intAttr(op, name, otherwise);
  }
  llvm::LogicalResult fail(const llvm::Twine &message) {
    emitError() << message;
    return llvm::failure();
  }
};

using ShapeFunction = llvm::LogicalResult (*)(ShapeRule &);

/// The rule for operator `mlirName`, or null.
ShapeFunction findShapeFunction(llvm::StringRef mlirName);

/// Broadcasts `into` with `other`; false where they do not agree.
bool mergeBroadcast(Dims &into, llvm::ArrayRef<int64_t> other);

// Rules of the ops that move elements (InferMovement.cpp).
llvm::LogicalResult concatShape(ShapeRule &rule);
llvm::LogicalResult splitShape(ShapeRule &rule);
llvm::LogicalResult sliceShape(ShapeRule &rule);
llvm::LogicalResult gatherShape(ShapeRule &rule);
llvm::LogicalResult gatherElementsShape(ShapeRule &rule);
llvm::LogicalResult gatherNDShape(ShapeRule &rule);
llvm::LogicalResult reshapeShape(ShapeRule &rule);
llvm::LogicalResult transposeShape(ShapeRule &rule);
llvm::LogicalResult unsqueezeShape(ShapeRule &rule);
llvm::LogicalResult squeezeShape(ShapeRule &rule);
llvm::LogicalResult flattenShape(ShapeRule &rule);
llvm::LogicalResult shapeOf(ShapeRule &rule);
llvm::LogicalResult rangeShape(ShapeRule &rule);
llvm::LogicalResult expandShape(ShapeRule &rule);
llvm::LogicalResult tileShape(ShapeRule &rule);
llvm::LogicalResult constantOfShapeShape(ShapeRule &rule);
llvm::LogicalResult reduceShape(ShapeRule &rule);

} // namespace mlir::fdpp::onnx::detail

#endif // FDPP_LIB_DIALECT_ONNX_IR_INFERSHAPES_H
