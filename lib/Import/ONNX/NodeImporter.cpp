// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- NodeImporter.cpp - NodeProto to one op -----------------------------===//
#include "GraphImporter.h"

#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"

namespace mlir::fdpp {

Location nodeLocation(MLIRContext *context, const ::onnx::NodeProto &proto) {
  StringRef name = proto.name();
  for (const std::string &output : proto.output())
    if (name.empty())
      name = output;
  if (name.empty())
    name = proto.op_type();
  return NameLoc::get(StringAttr::get(context, name));
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

FailureOr<Attribute>
GraphImporter::readAttribute(const ::onnx::AttributeProto &proto) {
  using Proto = ::onnx::AttributeProto;
  switch (proto.type()) {
  case Proto::INT:
    return Attribute(builder.getI64IntegerAttr(proto.i()));
  case Proto::FLOAT:
    return Attribute(builder.getF32FloatAttr(proto.f()));
  case Proto::STRING:
    return Attribute(builder.getStringAttr(proto.s()));
  case Proto::INTS:
    return Attribute(builder.getDenseI64ArrayAttr(
        llvm::SmallVector<int64_t>(proto.ints().begin(), proto.ints().end())));
  case Proto::FLOATS:
    return Attribute(builder.getDenseF32ArrayAttr(llvm::SmallVector<float>(
        proto.floats().begin(), proto.floats().end())));
  case Proto::STRINGS: {
    llvm::SmallVector<StringRef> strings(proto.strings().begin(),
                                         proto.strings().end());
    return Attribute(builder.getStrArrayAttr(strings));
  }
  case Proto::TENSOR: {
    auto tensor = readInitializer(proto.t(), place, context);
    if (!tensor)
      return error() << "attribute '" << proto.name() << "' "
                     << llvm::toString(tensor.takeError());
    if (!tensor->elements)
      return error() << "attribute '" << proto.name()
                     << "' is a tensor too large for an attribute";
    return Attribute(tensor->elements);
  }
  case Proto::GRAPH:
  case Proto::GRAPHS:
    return Attribute(builder.getStringAttr("subgraph"));
  default:
    return error() << "attribute '" << proto.name() << "' has type number "
                   << int(proto.type()) << ", which is not supported";
  }
}

LogicalResult GraphImporter::readAttributes(const ::onnx::NodeProto &proto,
                                            Scope &scope,
                                            NamedAttrList &attributes) {
  for (const auto &attribute : proto.attribute()) {
    if (attribute.name().empty())
      return error() << "node '" << proto.name()
                     << "' has an attribute without a name";
    // Inside a function an attribute may refer to one of the call; left out
    // there, it is left out here.
    if (!attribute.ref_attr_name().empty()) {
      Attribute value =
          scope.callAttributes
              ? scope.callAttributes->get(attribute.ref_attr_name())
              : Attribute();
      if (value)
        attributes.set(attribute.name(), value);
      continue;
    }
    // A constant's tensor is read on its own: it may become a weight.
    if (proto.op_type() == "Constant" && attribute.name() == "value")
      continue;
    FailureOr<Attribute> value = readAttribute(attribute);
    if (failed(value))
      return failure();
    attributes.set(attribute.name(), *value);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

LogicalResult GraphImporter::importNode(const ::onnx::NodeProto &proto,
                                        Scope &scope) {
  Node node{proto.domain() == "ai.onnx" ? StringRef() : proto.domain(),
            proto.op_type(), nodeLocation(context, proto)};
  node.numOutputs = proto.output_size();
  if (failed(readAttributes(proto, scope, node.attributes)))
    return failure();
  if (node.domain.empty() && node.name == "Constant")
    return importConstantNode(proto, node, scope);
  for (const std::string &input : proto.input()) {
    FailureOr<Value> value = lookup(input, scope);
    if (failed(value))
      return failure();
    if (!*value && !input.empty())
      return emitError(node.loc)
             << "uses '" << input << "' before anything defines it";
    node.inputs.push_back(*value);
  }
  if (const auto *function = findFunction(proto))
    return importCall(*function, proto, node, scope);
  if (std::string reason = fitSchema(node, scope); !reason.empty())
    return createUnsupported(proto, node, reason, scope);
  return createOperator(proto, node, scope);
}

/// Finds the node's schema and upgrades the node to it. Returns an empty
/// string, or why the node has no op in the dialect.
std::string GraphImporter::fitSchema(Node &node, Scope &scope) {
  node.schema = onnx::findSchema(node.domain, node.name);
  if (!node.schema)
    return "no such operator in the onnx dialect";
  bool versioned = node.domain.empty() && node.schema->versions.size() > 1;
  int64_t opset = scope.opsets.lookup(node.domain);
  if (opset == 0)
    return "the model imports no opset of domain '" + node.domain.str() + "'";
  int version = 0;
  for (int candidate : node.schema->versions)
    if (candidate <= opset)
      version = candidate;
  if (versioned && version == 0)
    return "opset " + std::to_string(opset) + " has no such operator";
  if (versioned && version > node.schema->version)
    return "version " + std::to_string(version) +
           " of the operator is newer than " +
           std::to_string(node.schema->version) +
           ", the newest this compiler knows; export with opset " +
           std::to_string(onnx::kMaxOpset) + " or older";
  if (versioned && version < node.schema->version)
    if (std::string reason = upgrade(node, version, builder); !reason.empty())
      return reason;
  for (NamedAttribute attribute : node.attributes)
    if (!node.schema->findAttr(attribute.getName()))
      return "unknown attribute '" + attribute.getName().str() + "'";
  for (Value input : node.inputs)
    if (input && isa<onnx::UnknownType>(
                     cast<TensorType>(input.getType()).getElementType()))
      return "the type of an input is not known";
  return "";
}

/// The values that a Constant node may hold besides a tensor.
static DenseElementsAttr constantOf(const NamedAttrList &attributes,
                                    Builder &builder) {
  auto vector = [](int64_t size, Type element) {
    return RankedTensorType::get({size}, element);
  };
  Type i64 = builder.getI64Type(), f32 = builder.getF32Type();
  if (auto value = dyn_cast_or_null<IntegerAttr>(attributes.get("value_int")))
    return DenseElementsAttr::get(RankedTensorType::get({}, i64),
                                  value.getInt());
  if (auto value = dyn_cast_or_null<FloatAttr>(attributes.get("value_float")))
    return DenseElementsAttr::get(RankedTensorType::get({}, f32),
                                  float(value.getValueAsDouble()));
  if (auto value =
          dyn_cast_or_null<DenseI64ArrayAttr>(attributes.get("value_ints")))
    return DenseElementsAttr::get(vector(value.size(), i64),
                                  value.asArrayRef());
  if (auto value =
          dyn_cast_or_null<DenseF32ArrayAttr>(attributes.get("value_floats")))
    return DenseElementsAttr::get(vector(value.size(), f32),
                                  value.asArrayRef());
  return dyn_cast_or_null<DenseElementsAttr>(attributes.get("value"));
}

LogicalResult GraphImporter::importConstantNode(const ::onnx::NodeProto &proto,
                                                Node &node, Scope &scope) {
  if (proto.output_size() != 1)
    return emitError(node.loc) << "a Constant has one output";
  for (const auto &attribute : proto.attribute()) {
    if (attribute.name() != "value" || !attribute.has_t())
      continue;
    ::onnx::TensorProto tensor = attribute.t();
    tensor.set_name(proto.output(0));
    FailureOr<Value> value = importInitializer(tensor, node.loc);
    if (failed(value))
      return failure();
    scope.values[proto.output(0)] = *value;
    return success();
  }
  DenseElementsAttr elements = constantOf(node.attributes, builder);
  if (!elements)
    return createUnsupported(proto, node, "a constant that is no dense tensor",
                             scope);
  scope.values[proto.output(0)] = createConstant(elements, node.loc);
  return success();
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

/// Whether `attribute` is what the schema wants.
static bool hasKind(Attribute attribute, onnx::AttrKind kind) {
  switch (kind) {
  case onnx::AttrKind::Int:
    return isa<IntegerAttr>(attribute);
  case onnx::AttrKind::Float:
    return isa<FloatAttr>(attribute);
  case onnx::AttrKind::String:
    return isa<StringAttr>(attribute);
  case onnx::AttrKind::Ints:
    return isa<DenseI64ArrayAttr>(attribute);
  case onnx::AttrKind::Tensor:
    return isa<ElementsAttr>(attribute);
  }
  llvm_unreachable("unknown attribute kind");
}

static LogicalResult checkAttributes(const Node &node) {
  for (const onnx::SchemaAttr &attr : node.schema->attrs) {
    Attribute value = node.attributes.get(attr.name);
    if (!value && attr.required)
      return emitError(node.loc) << "attribute '" << attr.name << "' of "
                                 << node.name << " is missing";
    if (value && !hasKind(value, attr.kind))
      return emitError(node.loc) << "attribute '" << attr.name << "' of "
                                 << node.name << " has the wrong type";
  }
  return success();
}

/// Which outputs exist: an output without a name exists, unused, unless the
/// operator may leave it out.
static llvm::SmallVector<bool> presentOutputs(const Node &node,
                                              const ::onnx::NodeProto &proto) {
  llvm::SmallVector<bool> present;
  for (auto [i, name] : llvm::enumerate(proto.output())) {
    bool optional = i < node.schema->outputs.size() &&
                    node.schema->outputs[i].kind == onnx::PortKind::Optional;
    present.push_back(!name.empty() || !optional);
  }
  return present;
}

LogicalResult GraphImporter::createOperator(const ::onnx::NodeProto &proto,
                                            Node &node, Scope &scope) {
  if (failed(checkAttributes(node)))
    return failure();
  OperationState state(node.loc, node.schema->mlirName);
  llvm::SmallVector<bool> inputs, outputs = presentOutputs(node, proto);
  for (Value input : node.inputs) {
    inputs.push_back(bool(input));
    if (input)
      state.addOperands(input);
  }
  Type unknown = UnrankedTensorType::get(onnx::UnknownType::get(context));
  state.types.assign(llvm::count(outputs, true), unknown);
  state.attributes = node.attributes;
  if (failed(onnx::setSegments(state, *node.schema, inputs, outputs)))
    return emitError(node.loc)
           << node.name << " has the wrong number of inputs or outputs";
  Operation *op = builder.create(state);
  llvm::SmallVector<Type> types;
  if (failed(onnx::inferTypes(
          op, types, [&] { return emitError(node.loc) << node.name << ": "; })))
    return failure();
  unsigned result = 0;
  for (auto [i, name] : llvm::enumerate(proto.output())) {
    if (!outputs[i])
      continue;
    if (failed(refineResult(op->getResult(result), types[result], proto, name,
                            scope)))
      return failure();
    if (!name.empty())
      scope.values[name] = op->getResult(result);
    ++result;
  }
  return success();
}

/// The type that value_info or an output declares, null if none.
FailureOr<Type> GraphImporter::declaredType(StringRef name, Scope &scope) {
  const ::onnx::TypeProto *proto = scope.declared.lookup(name);
  if (!proto || !proto->has_tensor_type())
    return Type();
  ::onnx::ValueInfoProto info;
  info.set_name(name.str());
  *info.mutable_type() = *proto;
  if (!onnx::elementTypeOf(context, proto->tensor_type().elem_type()))
    return Type();
  return argumentType(info);
}

/// `declared` and `inferred` extents where both are known must be equal.
static FailureOr<Type> merge(Type inferred, Type declared) {
  auto a = dyn_cast<RankedTensorType>(inferred);
  auto b = dyn_cast<RankedTensorType>(declared);
  if (cast<TensorType>(inferred).getElementType() !=
      cast<TensorType>(declared).getElementType())
    return failure();
  if (!a || !b)
    return a ? Type(a) : declared;
  if (a.getRank() != b.getRank())
    return failure();
  llvm::SmallVector<int64_t> dims(a.getShape());
  for (auto [mine, other] : llvm::zip_equal(dims, b.getShape())) {
    if (ShapedType::isStatic(mine) && ShapedType::isStatic(other) &&
        mine != other)
      return failure();
    if (ShapedType::isDynamic(mine))
      mine = other;
  }
  return Type(RankedTensorType::get(dims, a.getElementType()));
}

LogicalResult GraphImporter::refineResult(Value result, Type inferred,
                                          const ::onnx::NodeProto &proto,
                                          StringRef name, Scope &scope) {
  FailureOr<Type> declared = declaredType(name, scope);
  if (failed(declared))
    return failure();
  if (!inferred && !*declared)
    return emitError(result.getLoc())
           << proto.op_type() << ": the type of its result '" << name
           << "' is neither declared nor known";
  if (!inferred || !*declared) {
    result.setType(inferred ? inferred : *declared);
    return success();
  }
  FailureOr<Type> type = merge(inferred, *declared);
  if (failed(type))
    return emitError(result.getLoc())
           << proto.op_type() << ": the model declares '" << name << "' as "
           << *declared << ", but it is " << inferred;
  result.setType(*type);
  return success();
}

LogicalResult GraphImporter::createUnsupported(const ::onnx::NodeProto &proto,
                                               Node &node, StringRef reason,
                                               Scope &scope) {
  OperationState state(node.loc, "onnx.unsupported");
  state.addAttribute("domain", builder.getStringAttr(node.domain));
  state.addAttribute("op_name", builder.getStringAttr(node.name));
  state.addAttribute("node_attributes", node.attributes.getDictionary(context));
  state.addAttribute("reason", builder.getStringAttr(reason));
  llvm::SmallVector<int64_t> omitted;
  for (auto [i, input] : llvm::enumerate(node.inputs)) {
    if (input)
      state.addOperands(input);
    else
      omitted.push_back(i);
  }
  if (!omitted.empty())
    state.addAttribute("omitted", builder.getDenseI64ArrayAttr(omitted));
  Type unknown = UnrankedTensorType::get(onnx::UnknownType::get(context));
  for (const std::string &output : proto.output()) {
    FailureOr<Type> declared = declaredType(output, scope);
    if (failed(declared))
      return failure();
    state.addTypes(*declared ? *declared : unknown);
  }
  Operation *op = builder.create(state);
  for (auto [name, result] : llvm::zip_equal(proto.output(), op->getResults()))
    if (!name.empty())
      scope.values[name] = result;
  return success();
}

} // namespace mlir::fdpp
