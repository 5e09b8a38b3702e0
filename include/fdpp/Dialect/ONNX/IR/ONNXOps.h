// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ONNXOps.h - Op classes of the onnx dialect ---------------*- C++ -*-===//
#ifndef FDPP_DIALECT_ONNX_IR_ONNXOPS_H
#define FDPP_DIALECT_ONNX_IR_ONNXOPS_H

#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"

#define GET_OP_CLASSES
#include "fdpp/Dialect/ONNX/IR/ONNXOps.h.inc"

#endif // FDPP_DIALECT_ONNX_IR_ONNXOPS_H
