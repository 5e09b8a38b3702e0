// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- FunctionImporter.cpp - Model-local functions -----------------------===//
//
// ONNX functions have no types. Each is instantiated as a private func.func
// for every combination of operand types and attributes it is called with,
// and calls are func.call; --onnx-inline-functions removes both.
//
//===----------------------------------------------------------------------===//
#include "GraphImporter.h"

namespace mlir::fdpp {

const ::onnx::FunctionProto *
GraphImporter::findFunction(const ::onnx::NodeProto &proto) {
  for (const auto &function : model.functions())
    if (function.name() == proto.op_type() &&
        function.domain() == proto.domain())
      return &function;
  return nullptr;
}

/// A key of one instance: which function, which operand types, attributes.
static std::string instanceKey(const ::onnx::FunctionProto &function,
                               const Node &node, MLIRContext *context) {
  std::string key;
  llvm::raw_string_ostream os(key);
  os << function.domain() << ':' << function.name();
  for (Value input : node.inputs)
    os << ',' << (input ? input.getType() : NoneType::get(context));
  os << node.attributes.getDictionary(context);
  return key;
}

/// Attributes with defaults (field 11), which libonnx 1.12's messages do not
/// name yet.
static llvm::SmallVector<::onnx::AttributeProto>
defaultAttributes(const ::onnx::FunctionProto &function) {
  constexpr int kAttributeProtoField = 11;
  llvm::SmallVector<::onnx::AttributeProto> defaults;
  const auto &fields = function.GetReflection()->GetUnknownFields(function);
  for (int i = 0; i < fields.field_count(); ++i) {
    const auto &field = fields.field(i);
    ::onnx::AttributeProto attribute;
    if (field.number() == kAttributeProtoField &&
        field.type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED &&
        attribute.ParseFromString(field.length_delimited()))
      defaults.push_back(attribute);
  }
  return defaults;
}

FailureOr<func::FuncOp>
GraphImporter::instantiate(const ::onnx::FunctionProto &function, Node &node) {
  if (llvm::is_contained(callStack, &function))
    return emitError(node.loc)
           << "function '" << function.name() << "' calls itself";
  if (int(node.inputs.size()) > function.input_size() ||
      int(node.numOutputs) > function.output_size())
    return emitError(node.loc) << "more inputs or outputs than function '"
                               << function.name() << "' has";
  Scope scope;
  scope.title = "function '" + function.name() + "'";
  for (const ::onnx::AttributeProto &attribute : defaultAttributes(function)) {
    FailureOr<Attribute> value = readAttribute(attribute);
    if (failed(value))
      return failure();
    if (!node.attributes.get(attribute.name()))
      node.attributes.set(attribute.name(), *value);
  }
  scope.callAttributes = &node.attributes;
  if (failed(collectOpsets(function.opset_import(), scope)))
    return failure();

  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(module.getBody());
  llvm::SmallVector<Type> types;
  for (Value input : node.inputs)
    if (input)
      types.push_back(input.getType());
  std::string name = function.domain().empty()
                         ? function.name()
                         : function.domain() + "." + function.name();
  auto func = func::FuncOp::create(builder, node.loc, name,
                                   builder.getFunctionType(types, {}));
  func.setPrivate();
  symbols.insert(func);
  Block *body = func.addEntryBlock();
  unsigned argument = 0;
  for (auto [input, name] : llvm::zip(node.inputs, function.input()))
    if (input)
      scope.values[name] = body->getArgument(argument++);
  builder.setInsertionPointToEnd(body);
  callStack.push_back(&function);
  LogicalResult imported = importBody(function.node(), scope);
  callStack.pop_back();
  if (failed(imported))
    return failure();
  llvm::SmallVector<Value> results;
  for (size_t i = 0; i < node.numOutputs; ++i) {
    Value value = scope.values.lookup(function.output(i));
    if (!value)
      return emitError(node.loc)
             << "function '" << function.name()
             << "' does not define its output '" << function.output(i) << "'";
    results.push_back(value);
  }
  func::ReturnOp::create(builder, node.loc, results);
  func.setFunctionType(
      builder.getFunctionType(types, ValueRange(results).getTypes()));
  return func;
}

LogicalResult GraphImporter::importCall(const ::onnx::FunctionProto &function,
                                        const ::onnx::NodeProto &proto,
                                        Node &node, Scope &scope) {
  std::string key = instanceKey(function, node, context);
  func::FuncOp func = instances.lookup(key);
  // An instance with fewer results than this call uses is of no help.
  if (!func || func.getNumResults() < node.numOutputs) {
    FailureOr<func::FuncOp> made = instantiate(function, node);
    if (failed(made))
      return failure();
    func = instances[key] = *made;
  }
  llvm::SmallVector<Value> operands;
  llvm::copy_if(node.inputs, std::back_inserter(operands),
                [](Value input) { return bool(input); });
  auto call = func::CallOp::create(builder, node.loc, func, operands);
  for (auto [name, result] : llvm::zip(proto.output(), call.getResults()))
    if (!name.empty())
      scope.values[name] = result;
  return success();
}

} // namespace mlir::fdpp
