// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Upgrade.h - Older operator versions to the dialect's -----*- C++ -*-===//
#ifndef FDPP_LIB_IMPORT_ONNX_UPGRADE_H
#define FDPP_LIB_IMPORT_ONNX_UPGRADE_H

#include "fdpp/Dialect/ONNX/IR/ONNXSchema.h"

#include "mlir/IR/Builders.h"

namespace mlir::fdpp {

/// A node on its way from NodeProto to an op.
struct Node {
  StringRef domain, name;
  Location loc;
  const onnx::OpSchema *schema = nullptr;
  llvm::SmallVector<Value> inputs; // null: omitted
  NamedAttrList attributes;
  size_t numOutputs = 0;

  /// Removes and returns attribute `name`, null if absent.
  Attribute take(StringRef name) { return attributes.erase(name); }
};

/// Turns `node`, written for version `version` of its operator, into the
/// version the dialect means. Returns an empty string, or why it cannot.
std::string upgrade(Node &node, int version, OpBuilder &builder);

} // namespace mlir::fdpp

#endif // FDPP_LIB_IMPORT_ONNX_UPGRADE_H
