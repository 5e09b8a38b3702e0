// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ONNXLiftedOps.h - What shape and mask arithmetic means ---*- C++ -*-===//
#ifndef FDPP_DIALECT_ONNX_IR_ONNXLIFTEDOPS_H
#define FDPP_DIALECT_ONNX_IR_ONNXLIFTEDOPS_H

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"

#define GET_OP_CLASSES
#include "fdpp/Dialect/ONNX/IR/ONNXLiftedOps.h.inc"

#endif // FDPP_DIALECT_ONNX_IR_ONNXLIFTEDOPS_H
