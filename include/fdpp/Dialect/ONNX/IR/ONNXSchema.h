// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ONNXSchema.h - Operator schemas as a table ---------------*- C++ -*-===//
#ifndef FDPP_DIALECT_ONNX_IR_ONNXSCHEMA_H
#define FDPP_DIALECT_ONNX_IR_ONNXSCHEMA_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace mlir::fdpp::onnx {

/// The opset whose operator versions the dialect's ops mean.
constexpr int kMaxOpset = 24;

enum class PortKind : uint8_t { Single, Optional, Variadic };
enum class AttrKind : uint8_t { Int, Float, String, Ints, Tensor };

/// One input or output. Ports with the same `typeVariable` (-1: none) have
/// the same element type; `onlyType` is the ONNX name of the single element
/// type allowed, or empty.
struct SchemaPort {
  llvm::StringLiteral name;
  PortKind kind;
  int typeVariable;
  llvm::StringLiteral onlyType;
};

/// One attribute. With `hasDefault`, leaving it out means `number` (Int and
/// Float) or `text` (String).
struct SchemaAttr {
  llvm::StringLiteral name;
  AttrKind kind;
  bool required;
  bool hasDefault;
  double number;
  llvm::StringLiteral text;
};

/// What the dialect knows of an operator. `versions` are all versions of the
/// standard, ascending, also those newer than `version`, which is the one the
/// op means.
struct OpSchema {
  llvm::StringLiteral domain;
  llvm::StringLiteral name;
  llvm::StringLiteral mlirName;
  int version;
  llvm::ArrayRef<int> versions;
  llvm::ArrayRef<SchemaPort> inputs;
  llvm::ArrayRef<SchemaPort> outputs;
  llvm::ArrayRef<SchemaAttr> attrs;

  /// The attribute called `name`, or null.
  const SchemaAttr *findAttr(llvm::StringRef name) const;
};

/// All schemas of the dialect.
llvm::ArrayRef<const OpSchema *> allSchemas();

/// The schema whose op is called `mlirName`, which must exist.
const OpSchema &schemaCalled(llvm::StringRef mlirName);

/// The schema of an operator, or null. "ai.onnx" is the default domain.
const OpSchema *findSchema(llvm::StringRef domain, llvm::StringRef name);

} // namespace mlir::fdpp::onnx

#endif // FDPP_DIALECT_ONNX_IR_ONNXSCHEMA_H
