// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Evaluate.cpp - What onnx ops compute -------------------------------===//
#include "fdpp/Dialect/ONNX/Interpreter/Evaluate.h"

#include "Rules.h"

namespace mlir::fdpp::onnx {

static const detail::RuleTable &rules() {
  static const detail::RuleTable table = [] {
    detail::RuleTable table;
    detail::addElementwiseRules(table);
    detail::addMovementRules(table);
    detail::addIndexingRules(table);
    detail::addReductionRules(table);
    detail::addAttentionRules(table);
    return table;
  }();
  return table;
}

bool canEvaluate(Operation *op) {
  return isa<ConstantOp>(op) || rules().contains(op->getName().getStringRef());
}

/// Results in the order of the operation's results.
static SmallVector<Tensor> inOrder(Operator op, SmallVector<Tensor> &results) {
  SmallVector<Tensor> ordered;
  unsigned slot = 0;
  for (auto [i, port] : llvm::enumerate(op.getSchema().outputs))
    for (size_t n = 0; n < op.outputGroup(i).size(); ++n)
      ordered.push_back(results[port.kind == PortKind::Variadic ? slot++ : i]);
  return ordered;
}

FailureOr<SmallVector<Tensor>> evaluate(Operation *operation,
                                        ArrayRef<Tensor> operands,
                                        EvaluateOptions options) {
  if (auto constant = dyn_cast<ConstantOp>(operation)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!dense)
      return operation->emitOpError("has elements that are not dense");
    return SmallVector<Tensor>{tensorFrom(dense)};
  }
  auto op = dyn_cast<Operator>(operation);
  detail::Rule rule = rules().lookup(operation->getName().getStringRef());
  if (!op || !rule)
    return operation->emitOpError("cannot be evaluated");
  detail::Evaluation evaluation{op, operands, {}};
  evaluation.results.resize(std::max<size_t>(operation->getNumResults(),
                                             op.getSchema().outputs.size()));
  if (failed(rule(evaluation)))
    return failure();
  SmallVector<Tensor> results = inOrder(op, evaluation.results);
  for (auto [tensor, value] :
       llvm::zip_equal(results, operation->getResults())) {
    if (tensor.isAbsent())
      return operation->emitOpError("has a result that is not evaluated");
    Type element = cast<TensorType>(value.getType()).getElementType();
    std::optional<TensorKind> kind = kindOf(element);
    if (!kind)
      return operation->emitOpError("has a result type without a value");
    tensor = tensor.converted(*kind);
    if (options.round || !tensor.isFloat())
      tensor = roundedTo(element, std::move(tensor));
  }
  return results;
}

} // namespace mlir::fdpp::onnx
