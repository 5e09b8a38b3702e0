// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ONNXSchema.cpp - Operator schemas as a table -----------------------===//
#include "fdpp/Dialect/ONNX/IR/ONNXSchema.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/ErrorHandling.h"

namespace mlir::fdpp::onnx {

#include "ONNXSchemas.inc"

const SchemaAttr *OpSchema::findAttr(llvm::StringRef name) const {
  for (const SchemaAttr &attr : attrs)
    if (attr.name == name)
      return &attr;
  return nullptr;
}

llvm::ArrayRef<const OpSchema *> allSchemas() { return kAllSchemas; }

const OpSchema &schemaCalled(llvm::StringRef mlirName) {
  for (const OpSchema *schema : kAllSchemas)
    if (schema->mlirName == mlirName)
      return *schema;
  llvm_unreachable("every generated op has a schema");
}

const OpSchema *findSchema(llvm::StringRef domain, llvm::StringRef name) {
  static const llvm::StringMap<const OpSchema *> byName = [] {
    llvm::StringMap<const OpSchema *> map;
    for (const OpSchema *schema : kAllSchemas)
      map[(schema->domain + ":" + schema->name).str()] = schema;
    return map;
  }();
  if (domain == "ai.onnx")
    domain = "";
  return byName.lookup((domain + ":" + name).str());
}

} // namespace mlir::fdpp::onnx
