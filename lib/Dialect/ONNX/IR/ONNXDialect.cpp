// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ONNXDialect.cpp - The onnx dialect ---------------------------------===//
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"
#include "fdpp/Dialect/ONNX/IR/ONNXLiftedOps.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "fdpp/Dialect/ONNX/IR/ONNXDialect.cpp.inc"
#include "fdpp/Dialect/ONNX/IR/ONNXInterfaces.cpp.inc"

#define GET_OP_CLASSES
#include "fdpp/Dialect/ONNX/IR/ONNXCoreOps.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "fdpp/Dialect/ONNX/IR/ONNXTypes.cpp.inc"

namespace mlir::fdpp::onnx {

// Defined with the shards of the generated ops.
void registerONNXDialectOperations(ONNXDialect *dialect);

void ONNXDialect::initialize() {
  registerONNXDialectOperations(this);
  addOperations<
#define GET_OP_LIST
#include "fdpp/Dialect/ONNX/IR/ONNXCoreOps.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "fdpp/Dialect/ONNX/IR/ONNXLiftedOps.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "fdpp/Dialect/ONNX/IR/ONNXTypes.cpp.inc"
      >();
}

Operation *ONNXDialect::materializeConstant(OpBuilder &builder, Attribute value,
                                            Type type, Location loc) {
  auto elements = dyn_cast<ElementsAttr>(value);
  if (!elements || elements.getType() != type)
    return nullptr;
  return ConstantOp::create(builder, loc, type, elements);
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

} // namespace mlir::fdpp::onnx
