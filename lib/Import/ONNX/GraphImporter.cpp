// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- GraphImporter.cpp - ModelProto to a module -------------------------===//
#include "GraphImporter.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"
#include "fdpp/Import/ONNX/ImportONNX.h"

#include <queue>

namespace mlir::fdpp {

GraphImporter::GraphImporter(const ::onnx::ModelProto &model,
                             const ModelPlace &place, ModuleOp module)
    : model(model), place(place), module(module), context(module.getContext()),
      builder(context), symbols(module) {}

LogicalResult GraphImporter::importModel() {
  if (!model.has_graph())
    return error() << "the model has no graph";
  importMetadata();
  return importMain(model.graph());
}

/// The model's metadata stays on the module, for reports.
void GraphImporter::importMetadata() {
  NamedAttrList entries;
  for (const auto &entry : model.metadata_props())
    if (!entry.key().empty())
      entries.set(entry.key(), builder.getStringAttr(entry.value()));
  if (!entries.empty())
    module->setAttr("onnx.metadata", entries.getDictionary(context));
}

//===----------------------------------------------------------------------===//
// Signature
//===----------------------------------------------------------------------===//

LogicalResult GraphImporter::collectOpsets(const OpsetList &list,
                                           Scope &scope) {
  for (const auto &entry : list) {
    StringRef domain = entry.domain();
    if (domain == "ai.onnx")
      domain = "";
    if (entry.version() < 1)
      return error() << "opset version " << entry.version() << " of domain '"
                     << domain << "' is not positive";
    scope.opsets[domain] = entry.version();
  }
  return success();
}

LogicalResult GraphImporter::collectNames(const ::onnx::GraphProto &graph,
                                          Scope &scope) {
  for (const auto &tensor : graph.initializer())
    if (!scope.initializers.try_emplace(tensor.name(), &tensor).second)
      return error() << "two initializers are called '" << tensor.name() << "'";
  if (graph.sparse_initializer_size() > 0)
    return error() << "sparse initializers are not supported";
  for (const auto &info : graph.value_info())
    scope.declared[info.name()] = &info.type();
  for (const auto &info : graph.output())
    if (info.has_type())
      scope.declared[info.name()] = &info.type();
  return success();
}

FailureOr<Type>
GraphImporter::argumentType(const ::onnx::ValueInfoProto &info) {
  if (!info.type().has_tensor_type())
    return error() << "input '" << info.name() << "' is not a tensor";
  const auto &tensor = info.type().tensor_type();
  Type element = onnx::elementTypeOf(context, tensor.elem_type());
  if (!element)
    return error() << "input '" << info.name() << "' has element type "
                   << onnx::elementTypeName(tensor.elem_type())
                   << ", which is not supported";
  if (!tensor.has_shape())
    return Type(UnrankedTensorType::get(element));
  llvm::SmallVector<int64_t> dims;
  for (const auto &dim : tensor.shape().dim()) {
    if (dim.has_dim_value() && dim.dim_value() < 0)
      return error() << "input '" << info.name() << "' has the negative extent "
                     << dim.dim_value();
    dims.push_back(dim.has_dim_value() ? dim.dim_value()
                                       : ShapedType::kDynamic);
  }
  return Type(RankedTensorType::get(dims, element));
}

/// `onnx.name`, and `onnx.dims` where an extent has a name.
DictionaryAttr
GraphImporter::portAttributes(const ::onnx::ValueInfoProto &info) {
  NamedAttrList attributes;
  attributes.set("onnx.name", builder.getStringAttr(info.name()));
  llvm::SmallVector<StringRef> dims;
  for (const auto &dim : info.type().tensor_type().shape().dim())
    dims.push_back(dim.dim_param());
  if (!llvm::all_of(dims, [](StringRef dim) { return dim.empty(); }))
    attributes.set("onnx.dims", builder.getStrArrayAttr(dims));
  return attributes.getDictionary(context);
}

LogicalResult GraphImporter::importMain(const ::onnx::GraphProto &graph) {
  Scope scope;
  scope.title = "graph";
  if (failed(collectOpsets(model.opset_import(), scope)) ||
      failed(collectNames(graph, scope)))
    return failure();
  llvm::SmallVector<const ::onnx::ValueInfoProto *> inputs;
  llvm::SmallVector<Type> types;
  // Before IR version 4 initializers were listed as inputs too.
  for (const auto &info : graph.input()) {
    if (scope.initializers.contains(info.name()))
      continue;
    FailureOr<Type> type = argumentType(info);
    if (failed(type))
      return failure();
    inputs.push_back(&info);
    types.push_back(*type);
  }
  builder.setInsertionPointToEnd(module.getBody());
  auto main = func::FuncOp::create(builder, module.getLoc(), "main",
                                   builder.getFunctionType(types, {}));
  symbols.insert(main);
  Block *body = main.addEntryBlock();
  for (auto [i, info] : llvm::enumerate(inputs)) {
    main.setArgAttrs(i, portAttributes(*info));
    BlockArgument argument = body->getArgument(i);
    argument.setLoc(NameLoc::get(builder.getStringAttr(info->name())));
    if (!scope.values.try_emplace(info->name(), argument).second)
      return error() << "two inputs are called '" << info->name() << "'";
  }
  builder.setInsertionPointToEnd(body);
  if (failed(importBody(graph.node(), scope)))
    return failure();
  llvm::SmallVector<Value> results;
  for (const auto &info : graph.output()) {
    FailureOr<Value> value = lookup(info.name(), scope);
    if (failed(value))
      return failure();
    if (!*value)
      return error() << "output '" << info.name()
                     << "' is not defined by any node";
    results.push_back(*value);
  }
  func::ReturnOp::create(builder, module.getLoc(), results);
  main.setFunctionType(
      builder.getFunctionType(types, ValueRange(results).getTypes()));
  for (auto [i, info] : llvm::enumerate(graph.output()))
    main.setResultAttrs(i, portAttributes(info));
  return readTables();
}

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

static std::string describe(const ::onnx::NodeProto &proto) {
  std::string name = !proto.name().empty()     ? proto.name()
                     : proto.output_size() > 0 ? proto.output(0)
                                               : std::string("unnamed");
  return "'" + name + "' (" + proto.op_type() + ")";
}

/// Node indices in an order in which every value is defined before its use:
/// the file's own wherever that is one.
FailureOr<llvm::SmallVector<int>>
GraphImporter::sortNodes(const NodeList &nodes, Scope &scope) {
  llvm::StringMap<int> producer;
  for (auto [n, node] : llvm::enumerate(nodes))
    for (const std::string &output : node.output()) {
      if (output.empty())
        continue;
      if (scope.values.contains(output) || scope.initializers.contains(output))
        return error() << "node " << describe(node) << " defines '" << output
                       << "', which is an input or initializer";
      auto [at, isNew] = producer.try_emplace(output, n);
      if (!isNew)
        return error() << "value '" << output << "' is defined twice, by node "
                       << describe(nodes[at->second]) << " and node "
                       << describe(node);
    }
  llvm::SmallVector<llvm::SmallVector<int, 4>> users(nodes.size());
  llvm::SmallVector<int> waits(nodes.size(), 0), order;
  for (auto [n, node] : llvm::enumerate(nodes))
    for (const std::string &input : node.input()) {
      auto at = producer.find(input);
      if (at != producer.end()) {
        users[at->second].push_back(n);
        ++waits[n];
      } else if (!input.empty() && !scope.values.contains(input) &&
                 !scope.initializers.contains(input)) {
        return error() << "node " << describe(node) << " uses '" << input
                       << "', which nothing defines";
      }
    }
  std::priority_queue<int, std::vector<int>, std::greater<int>> ready;
  for (int n = 0; n < nodes.size(); ++n)
    if (waits[n] == 0)
      ready.push(n);
  while (!ready.empty()) {
    int n = ready.top();
    ready.pop();
    order.push_back(n);
    for (int user : users[n])
      if (--waits[user] == 0)
        ready.push(user);
  }
  if (int(order.size()) == nodes.size())
    return order;
  auto *stuck = llvm::find_if(waits, [](int wait) { return wait > 0; });
  return error() << "the " << scope.title << " has a cycle through node "
                 << describe(nodes[stuck - waits.begin()]);
}

LogicalResult GraphImporter::importBody(const NodeList &nodes, Scope &scope) {
  auto order = sortNodes(nodes, scope);
  if (failed(order))
    return failure();
  for (int n : *order)
    if (failed(importNode(nodes[n], scope)))
      return failure();
  return success();
}

/// The value called `name`; initializers are created at their first use. Null
/// for the empty name (an omitted input) and names that nothing defines.
FailureOr<Value> GraphImporter::lookup(StringRef name, Scope &scope) {
  if (name.empty())
    return Value();
  if (Value value = scope.values.lookup(name))
    return value;
  const ::onnx::TensorProto *proto = scope.initializers.lookup(name);
  if (!proto)
    return Value();
  FailureOr<Value> value =
      importInitializer(*proto, NameLoc::get(builder.getStringAttr(name)));
  if (succeeded(value))
    scope.values[name] = *value;
  return value;
}

FailureOr<Value>
GraphImporter::importInitializer(const ::onnx::TensorProto &proto,
                                 Location loc) {
  auto initializer = readInitializer(proto, place, context);
  if (!initializer)
    return error() << "initializer '" << proto.name() << "' "
                   << llvm::toString(initializer.takeError());
  bool small = initializer->elements &&
               storedBytes(initializer->type) <= kMaxConstantBytes;
  return small ? createConstant(initializer->elements, loc)
               : createWeight(proto.name(), *initializer, loc);
}

Value GraphImporter::createConstant(DenseElementsAttr elements, Location loc) {
  OperationState state(loc, "onnx.Constant");
  state.addAttribute("value", elements);
  state.addTypes(elements.getType());
  return builder.create(state)->getResult(0);
}

Value GraphImporter::createWeight(StringRef name,
                                  const Initializer &initializer,
                                  Location loc) {
  Attribute source =
      initializer.source ? initializer.source : initializer.elements;
  OpBuilder top(context);
  // Weights stand in front of the functions, in the order of their first use.
  auto functions = module.getOps<func::FuncOp>();
  top.setInsertionPoint(*functions.begin());
  OperationState state(loc, WeightOp::getOperationName());
  state.addAttribute("sym_name",
                     top.getStringAttr(name.empty() ? "weight" : name));
  state.addAttribute("type", TypeAttr::get(initializer.type));
  state.addAttribute("sources", top.getArrayAttr({source}));
  state.addRegion();
  Operation *weight = top.create(state);
  StringAttr symbol = symbols.insert(weight, Block::iterator(weight));
  OperationState at(loc, WeightAtOp::getOperationName());
  at.addAttribute("weight", FlatSymbolRefAttr::get(symbol));
  at.addTypes(initializer.type);
  return builder.create(at)->getResult(0);
}

} // namespace mlir::fdpp
