// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ONNXOps.td - Operations of the onnx dialect ---------*- tablegen -*-===//
#ifndef FDPP_DIALECT_ONNX_IR_ONNXOPS_TD
#define FDPP_DIALECT_ONNX_IR_ONNXOPS_TD

include "fdpp/Dialect/ONNX/IR/ONNXDialect.td"
include "fdpp/Dialect/ONNX/IR/ONNXOps.td.inc"

#endif // FDPP_DIALECT_ONNX_IR_ONNXOPS_TD
