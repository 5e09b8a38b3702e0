// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Operator.cpp - What all onnx operators share -----------------------===//
//
// Parsing, printing and verification of the generated ops, driven by their
// schemas, and small accessors.
//
//===----------------------------------------------------------------------===//
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"
#include "fdpp/Interpreter/Tensor.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace mlir::fdpp::onnx {

//===----------------------------------------------------------------------===//
// Accessors
//===----------------------------------------------------------------------===//

DenseElementsAttr constantOf(Value value) {
  DenseElementsAttr attr;
  if (value && matchPattern(value, m_Constant(&attr)))
    return attr;
  return {};
}

std::optional<llvm::SmallVector<int64_t>> constantInts(Value value) {
  DenseElementsAttr attr = constantOf(value);
  if (!attr || !isa<IntegerType>(attr.getElementType()))
    return std::nullopt;
  Tensor tensor = tensorFrom(attr);
  if (tensor.isAbsent())
    return std::nullopt;
  return llvm::SmallVector<int64_t>(tensor.i().begin(), tensor.i().end());
}

int64_t intAttr(Operation *op, llvm::StringRef name, int64_t otherwise) {
  auto attr = op->getAttrOfType<IntegerAttr>(name);
  return attr ? attr.getInt() : otherwise;
}

double floatAttr(Operation *op, llvm::StringRef name, double otherwise) {
  auto attr = op->getAttrOfType<FloatAttr>(name);
  return attr ? attr.getValueAsDouble() : otherwise;
}

//===----------------------------------------------------------------------===//
// Segments
//===----------------------------------------------------------------------===//

/// Whether ODS gave the op segment sizes for these ports.
static bool hasSegments(llvm::ArrayRef<SchemaPort> ports) {
  return llvm::count_if(ports, [](const SchemaPort &port) {
           return port.kind != PortKind::Single;
         }) > 1;
}

/// Sizes of the groups of `ports` for a list in which `present` says, position
/// by position, whether a value stands there. Fails if it does not fit.
static FailureOr<llvm::SmallVector<int32_t>>
segmentSizes(llvm::ArrayRef<SchemaPort> ports, llvm::ArrayRef<bool> present) {
  llvm::SmallVector<int32_t> sizes(ports.size(), 0);
  for (auto [i, isPresent] : llvm::enumerate(present)) {
    bool variadicTail =
        !ports.empty() && ports.back().kind == PortKind::Variadic;
    size_t port = variadicTail ? std::min(i, ports.size() - 1) : i;
    if (port >= ports.size())
      return failure();
    if (ports[port].kind != PortKind::Optional && !isPresent)
      return failure();
    sizes[port] += isPresent;
  }
  for (auto [port, size] : llvm::zip_equal(ports, sizes))
    if (port.kind == PortKind::Single && size == 0)
      return failure();
  return sizes;
}

LogicalResult setSegments(OperationState &state, const OpSchema &schema,
                          llvm::ArrayRef<bool> inputs,
                          llvm::ArrayRef<bool> outputs) {
  Builder builder(state.getContext());
  auto set = [&](llvm::ArrayRef<SchemaPort> ports, llvm::ArrayRef<bool> present,
                 llvm::StringRef name) {
    auto sizes = segmentSizes(ports, present);
    if (failed(sizes))
      return failure();
    if (hasSegments(ports))
      state.addAttribute(name, builder.getDenseI32ArrayAttr(*sizes));
    return success();
  };
  return success(succeeded(set(schema.inputs, inputs, "operandSegmentSizes")) &&
                 succeeded(set(schema.outputs, outputs, "resultSegmentSizes")));
}

//===----------------------------------------------------------------------===//
// Assembly
//===----------------------------------------------------------------------===//

namespace detail {

/// Parses `_` or a type into `types`, and into `present` which of the two.
static ParseResult parsePort(OpAsmParser &parser,
                             llvm::SmallVectorImpl<Type> &types,
                             llvm::SmallVectorImpl<bool> &present) {
  bool omitted = succeeded(parser.parseOptionalKeyword("_"));
  present.push_back(!omitted);
  return omitted ? success() : parser.parseType(types.emplace_back());
}

/// Parses the result types: one type, or a list in parentheses.
static ParseResult parseResults(OpAsmParser &parser,
                                llvm::SmallVectorImpl<Type> &types,
                                llvm::SmallVectorImpl<bool> &present) {
  if (failed(parser.parseOptionalLParen()))
    return parsePort(parser, types, present);
  if (succeeded(parser.parseOptionalRParen()))
    return success();
  return failure(parser.parseCommaSeparatedList([&] {
    return parsePort(parser, types, present);
  }) || parser.parseRParen());
}

ParseResult parseOperator(OpAsmParser &parser, OperationState &state,
                          const OpSchema &schema) {
  llvm::SmallVector<OpAsmParser::UnresolvedOperand> operands;
  llvm::SmallVector<Type> operandTypes;
  llvm::SmallVector<bool> inputs, outputs;
  SMLoc loc = parser.getCurrentLocation();
  auto parseInput = [&]() -> ParseResult {
    bool omitted = succeeded(parser.parseOptionalKeyword("_"));
    inputs.push_back(!omitted);
    return omitted ? success() : parser.parseOperand(operands.emplace_back());
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren,
                                     parseInput) ||
      parser.parseOptionalAttrDict(state.attributes) || parser.parseColon() ||
      parser.parseCommaSeparatedList(
          OpAsmParser::Delimiter::Paren,
          [&] { return parser.parseType(operandTypes.emplace_back()); }) ||
      parser.parseArrow() || parseResults(parser, state.types, outputs) ||
      parser.resolveOperands(operands, operandTypes, loc, state.operands))
    return failure();
  if (failed(setSegments(state, schema, inputs, outputs)))
    return parser.emitError(loc)
           << "inputs or outputs do not fit " << schema.name << "'s schema";
  return success();
}

template <typename Group>
static bool anyLeft(llvm::ArrayRef<SchemaPort> ports, size_t from,
                    Group group) {
  for (size_t i = from; i < ports.size(); ++i)
    if (!group(i).empty())
      return true;
  return false;
}

/// Whether leaving `attribute` out would mean the same.
static bool isDefault(NamedAttribute attribute, const OpSchema &schema) {
  const SchemaAttr *attr = schema.findAttr(attribute.getName());
  if (!attr || !attr->hasDefault)
    return false;
  if (auto value = dyn_cast<IntegerAttr>(attribute.getValue()))
    return value.getInt() == int64_t(attr->number);
  if (auto value = dyn_cast<FloatAttr>(attribute.getValue()))
    return value.getValue().convertToFloat() == float(attr->number);
  auto value = dyn_cast<StringAttr>(attribute.getValue());
  return value && value.getValue() == attr->text;
}

void printOperator(OpAsmPrinter &printer, Operator op) {
  const OpSchema &schema = op.getSchema();
  auto input = [&](unsigned i) { return op.inputGroup(i); };
  auto output = [&](unsigned i) { return op.outputGroup(i); };
  printer << '(';
  for (size_t i = 0; anyLeft(schema.inputs, i, input); ++i) {
    printer << (i ? ", " : "");
    if (op.inputGroup(i).empty())
      printer << '_';
    printer.printOperands(op.inputGroup(i));
  }
  printer << ')';
  llvm::SmallVector<StringRef> elided{"operandSegmentSizes",
                                      "resultSegmentSizes"};
  for (NamedAttribute attribute : op->getAttrs())
    if (isDefault(attribute, schema))
      elided.push_back(attribute.getName());
  printer.printOptionalAttrDict(op->getAttrs(), elided);
  printer << " : (";
  llvm::interleaveComma(op->getOperandTypes(), printer);
  bool plain = op->getNumResults() == 1 && op.outputGroup(0).size() == 1;
  printer << (plain ? ") -> " : ") -> (");
  for (size_t i = 0; anyLeft(schema.outputs, i, output); ++i) {
    printer << (i ? ", " : "");
    if (op.outputGroup(i).empty())
      printer << '_';
    llvm::interleaveComma(op.outputGroup(i).getTypes(), printer);
  }
  printer << (plain ? "" : ")");
}

//===----------------------------------------------------------------------===//
// Verification
//===----------------------------------------------------------------------===//

/// Checks that all values of one type variable agree in their element type.
LogicalResult verifyOperator(Operator op) {
  const OpSchema &schema = op.getSchema();
  llvm::SmallVector<std::pair<Type, llvm::StringRef>> variables;
  auto check = [&](const SchemaPort &port, auto group) -> LogicalResult {
    if (port.typeVariable < 0)
      return success();
    if (variables.size() <= size_t(port.typeVariable))
      variables.resize(port.typeVariable + 1);
    auto &[type, holder] = variables[port.typeVariable];
    for (Value value : group) {
      Type element = getElementTypeOrSelf(value.getType());
      if (!type) {
        type = element;
        holder = port.name;
      } else if (type != element) {
        return op->emitOpError() << "'" << port.name << "' has element type "
                                 << element << " but '" << holder << "' has "
                                 << type << "; they must be equal";
      }
    }
    return success();
  };
  for (auto [i, port] : llvm::enumerate(schema.inputs))
    if (failed(check(port, op.inputGroup(i))))
      return failure();
  for (auto [i, port] : llvm::enumerate(schema.outputs))
    if (failed(check(port, op.outputGroup(i))))
      return failure();
  return success();
}

} // namespace detail
} // namespace mlir::fdpp::onnx
