// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- GraphImporter.h - ModelProto to a module -----------------*- C++ -*-===//
#ifndef FDPP_LIB_IMPORT_ONNX_GRAPHIMPORTER_H
#define FDPP_LIB_IMPORT_ONNX_GRAPHIMPORTER_H

#include "Initializers.h"
#include "Upgrade.h"
#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringMap.h"

namespace mlir::fdpp {

using NodeList = google::protobuf::RepeatedPtrField<::onnx::NodeProto>;
using OpsetList =
    google::protobuf::RepeatedPtrField<::onnx::OperatorSetIdProto>;

/// Builds the module of one model. Every failure has emitted one error.
class GraphImporter {
public:
  GraphImporter(const ::onnx::ModelProto &model, const ModelPlace &place,
                ModuleOp module);

  LogicalResult importModel();

private:
  /// The names visible in one graph or function body.
  struct Scope {
    llvm::StringMap<Value> values;
    llvm::StringMap<const ::onnx::TensorProto *> initializers;
    llvm::StringMap<const ::onnx::TypeProto *> declared;
    llvm::StringMap<int64_t> opsets;
    /// Attributes of the function being instantiated, by name.
    const NamedAttrList *callAttributes = nullptr;
    /// For messages: "graph" or "function 'f'".
    std::string title;
  };

  // Graph level (GraphImporter.cpp).
  LogicalResult collectNames(const ::onnx::GraphProto &graph, Scope &scope);
  LogicalResult collectOpsets(const OpsetList &list, Scope &scope);
  LogicalResult importMain(const ::onnx::GraphProto &graph);
  FailureOr<Type> argumentType(const ::onnx::ValueInfoProto &info);
  DictionaryAttr portAttributes(const ::onnx::ValueInfoProto &info);
  void importMetadata();
  FailureOr<llvm::SmallVector<int>> sortNodes(const NodeList &nodes,
                                              Scope &scope);
  LogicalResult importBody(const NodeList &nodes, Scope &scope);
  FailureOr<Value> lookup(StringRef name, Scope &scope);
  FailureOr<Value> importInitializer(const ::onnx::TensorProto &proto,
                                     Location loc);
  Value createConstant(DenseElementsAttr elements, Location loc);
  Value createWeight(StringRef name, const Initializer &initializer,
                     Location loc);

  // Large constants (Tables.cpp).
  LogicalResult readTables();
  FailureOr<DenseElementsAttr> readTable(WeightOp weight, Value value);

  // Node level (NodeImporter.cpp).
  LogicalResult importNode(const ::onnx::NodeProto &proto, Scope &scope);
  LogicalResult importConstantNode(const ::onnx::NodeProto &proto, Node &node,
                                   Scope &scope);
  LogicalResult readAttributes(const ::onnx::NodeProto &proto, Scope &scope,
                               NamedAttrList &attributes);
  FailureOr<Attribute> readAttribute(const ::onnx::AttributeProto &proto);
  std::string fitSchema(Node &node, Scope &scope);
  LogicalResult createOperator(const ::onnx::NodeProto &proto, Node &node,
                               Scope &scope);
  LogicalResult createUnsupported(const ::onnx::NodeProto &proto, Node &node,
                                  StringRef reason, Scope &scope);
  LogicalResult refineResult(Value result, Type inferred,
                             const ::onnx::NodeProto &proto, StringRef name,
                             Scope &scope);
  FailureOr<Type> declaredType(StringRef name, Scope &scope);

  // Functions (FunctionImporter.cpp).
  const ::onnx::FunctionProto *findFunction(const ::onnx::NodeProto &proto);
  LogicalResult importCall(const ::onnx::FunctionProto &function,
                           const ::onnx::NodeProto &proto, Node &node,
                           Scope &scope);
  FailureOr<func::FuncOp> instantiate(const ::onnx::FunctionProto &function,
                                      Node &node);

  InFlightDiagnostic error() { return emitError(module.getLoc()); }

  const ::onnx::ModelProto &model;
  const ModelPlace &place;
  ModuleOp module;
  MLIRContext *context;
  OpBuilder builder;
  SymbolTable symbols;
  llvm::StringMap<func::FuncOp> instances;
  llvm::SmallVector<const ::onnx::FunctionProto *> callStack;
  /// Weight symbols already created, by initializer.
  llvm::DenseMap<const ::onnx::TensorProto *, Operation *> weights;
};

/// The location of a node: its name, or its first result's where it has none.
Location nodeLocation(MLIRContext *context, const ::onnx::NodeProto &proto);

} // namespace mlir::fdpp

#endif // FDPP_LIB_IMPORT_ONNX_GRAPHIMPORTER_H
