// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Passes.h - From the graph as written to fdpp -------------*- C++ -*-===//
#ifndef FDPP_DIALECT_ONNX_TRANSFORMS_PASSES_H
#define FDPP_DIALECT_ONNX_TRANSFORMS_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::fdpp::onnx {

#define GEN_PASS_DECL
#include "fdpp/Dialect/ONNX/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "fdpp/Dialect/ONNX/Transforms/Passes.h.inc"

/// Erases ops of `func` that have no effect and no users.
void eraseDeadOps(func::FuncOp func);

} // namespace mlir::fdpp::onnx

#endif // FDPP_DIALECT_ONNX_TRANSFORMS_PASSES_H
