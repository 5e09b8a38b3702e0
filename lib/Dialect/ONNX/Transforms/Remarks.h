// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Remarks.h - Decisions of the onnx passes -----------------*- C++ -*-===//
#ifndef FDPP_LIB_DIALECT_ONNX_TRANSFORMS_REMARKS_H
#define FDPP_LIB_DIALECT_ONNX_TRANSFORMS_REMARKS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"

namespace mlir::fdpp::onnx {

/// A remark of a pass about what the graph means.
inline remark::RemarkOpts recognition(StringRef pass, func::FuncOp func) {
  return remark::RemarkOpts::name(pass)
      .category("recognition")
      .function(func.getName());
}

} // namespace mlir::fdpp::onnx

#endif // FDPP_LIB_DIALECT_ONNX_TRANSFORMS_REMARKS_H
