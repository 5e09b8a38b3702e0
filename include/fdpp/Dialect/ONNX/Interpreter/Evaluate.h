// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Evaluate.h - What onnx ops compute -----------------------*- C++ -*-===//
#ifndef FDPP_DIALECT_ONNX_INTERPRETER_EVALUATE_H
#define FDPP_DIALECT_ONNX_INTERPRETER_EVALUATE_H

#include "fdpp/Interpreter/Tensor.h"

#include "mlir/IR/Operation.h"

namespace mlir::fdpp::onnx {

struct EvaluateOptions {
  /// Round float results to the op's element types, as a machine would and as
  /// constant folding must. Otherwise floats stay doubles: the oracle.
  /// Integers always wrap to their type.
  bool round = true;
};

/// Whether evaluate() knows the op.
bool canEvaluate(Operation *op);

/// The results of an onnx op for the given operands, one tensor per operand of
/// the operation in its order. Shapes come from the operands alone; the op's
/// result types only give element types. Fails, with a message at the op,
/// where operands contradict the operator or the op is not known.
FailureOr<SmallVector<Tensor>> evaluate(Operation *op,
                                        ArrayRef<Tensor> operands,
                                        EvaluateOptions options = {});

} // namespace mlir::fdpp::onnx

#endif // FDPP_DIALECT_ONNX_INTERPRETER_EVALUATE_H
