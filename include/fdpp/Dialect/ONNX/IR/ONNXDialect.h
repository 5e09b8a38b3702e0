// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ONNXDialect.h - The onnx dialect -------------------------*- C++ -*-===//
//
// Enough to work on any onnx op through the Operator interface. The classes of
// the generated ops are in ONNXOps.h, which costs 10 s to compile.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_DIALECT_ONNX_IR_ONNXDIALECT_H
#define FDPP_DIALECT_ONNX_IR_ONNXDIALECT_H

#include "fdpp/Dialect/ONNX/IR/ONNXSchema.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "fdpp/Dialect/ONNX/IR/ONNXTypes.h.inc"

#include "fdpp/Dialect/ONNX/IR/ONNXInterfaces.h.inc"

#define GET_OP_CLASSES
#include "fdpp/Dialect/ONNX/IR/ONNXCoreOps.h.inc"

namespace mlir::fdpp::onnx {

/// The IR type of an ONNX element type number (TensorProto.DataType), null for
/// strings, complex numbers and numbers no version defines.
mlir::Type elementTypeOf(mlir::MLIRContext *context, int64_t onnxType);

/// The reverse; 0 (UNDEFINED) where there is none.
int64_t onnxTypeOf(mlir::Type elementType);

/// The ONNX name of an element type number, as "float16".
llvm::StringRef elementTypeName(int64_t onnxType);

/// The element type called `name`, as in OpSchema.
mlir::Type elementTypeCalled(mlir::MLIRContext *context, llvm::StringRef name);

/// The dense elements of a constant of up to `maxBytes`, else null. Sees
/// through nothing: the value must be an onnx.Constant's.
mlir::DenseElementsAttr constantOf(mlir::Value value);

/// The integers of a constant int tensor.
std::optional<llvm::SmallVector<int64_t>> constantInts(mlir::Value value);

/// Attribute `name` of an op, or its default.
int64_t intAttr(mlir::Operation *op, llvm::StringRef name, int64_t otherwise);
double floatAttr(mlir::Operation *op, llvm::StringRef name, double otherwise);

/// Result types of an op from its operand types, attributes and constant
/// operands: element types from the schema, shapes as far as types and
/// constants tell (`?` or unranked where they do not). Returns one type per
/// result, null where even the element type is unknown; fails with a message
/// through `emitError` when operands contradict the operator.
llvm::LogicalResult
inferTypes(mlir::Operation *op, llvm::SmallVectorImpl<mlir::Type> &types,
           llvm::function_ref<mlir::InFlightDiagnostic()> emitError);

/// Adds segment sizes to an op of `schema` under construction. `inputs` and
/// `outputs` say position by position (as a NodeProto lists them) whether a
/// value stands there. Fails where the lists do not fit the schema.
llvm::LogicalResult setSegments(mlir::OperationState &state,
                                const OpSchema &schema,
                                llvm::ArrayRef<bool> inputs,
                                llvm::ArrayRef<bool> outputs);

namespace detail {
mlir::ParseResult parseOperator(mlir::OpAsmParser &parser,
                                mlir::OperationState &state,
                                const OpSchema &schema);
void printOperator(mlir::OpAsmPrinter &printer, Operator op);
llvm::LogicalResult verifyOperator(Operator op);
} // namespace detail

} // namespace mlir::fdpp::onnx

#endif // FDPP_DIALECT_ONNX_IR_ONNXDIALECT_H
