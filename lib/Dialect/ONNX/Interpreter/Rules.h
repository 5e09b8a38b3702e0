// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Rules.h - Evaluation rules of onnx ops -------------------*- C++ -*-===//
#ifndef FDPP_LIB_DIALECT_ONNX_INTERPRETER_RULES_H
#define FDPP_LIB_DIALECT_ONNX_INTERPRETER_RULES_H

#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"
#include "fdpp/Interpreter/Tensor.h"

#include "llvm/ADT/StringMap.h"

namespace mlir::fdpp::onnx::detail {

using Dims = SmallVector<int64_t, 6>;

/// What a rule reads and writes: operands and results by schema position.
struct Evaluation {
  Operator op;
  ArrayRef<Tensor> operands;
  SmallVector<Tensor> results;

  bool has(unsigned i) { return !op.inputGroup(i).empty(); }
  /// Input `i`; absent if omitted.
  const Tensor &in(unsigned i) {
    static const Tensor absent;
    OperandRange group = op.inputGroup(i);
    return group.empty() ? absent : operands[group.getBeginOperandIndex()];
  }
  ArrayRef<Tensor> group(unsigned i) {
    OperandRange range = op.inputGroup(i);
    return operands.slice(range.getBeginOperandIndex(), range.size());
  }
  int64_t attr(StringRef name, int64_t otherwise) {
    return intAttr(op, name, otherwise);
  }
  double attr(StringRef name, double otherwise) {
    return floatAttr(op, name, otherwise);
  }
  LogicalResult fail(const Twine &message) {
    return op->emitOpError() << message;
  }
  /// `axis` counted from the front; fails outside [-rank, rank).
  FailureOr<int64_t> axis(int64_t axis, int64_t rank) {
    if (axis < -rank || axis >= rank)
      return fail("axis " + Twine(axis) + " is out of range for rank " +
                  Twine(rank));
    return axis < 0 ? axis + rank : axis;
  }
  /// Sets the first result.
  LogicalResult give(Tensor tensor) {
    results[0] = std::move(tensor);
    return success();
  }
};

using Rule = LogicalResult (*)(Evaluation &);
using RuleTable = llvm::StringMap<Rule>;

/// Elements `indices` of `data` under `shape`.
Tensor pick(const Tensor &data, ArrayRef<int64_t> indices,
            ArrayRef<int64_t> shape);
/// `data` with permuted dimensions.
Tensor permuted(const Tensor &data, ArrayRef<int64_t> perm);
/// Tensors of equal kind one after another along `axis`.
Tensor concatenated(ArrayRef<Tensor> parts, int64_t axis);

void addElementwiseRules(RuleTable &table);
void addMovementRules(RuleTable &table);
void addIndexingRules(RuleTable &table);
void addReductionRules(RuleTable &table);
void addAttentionRules(RuleTable &table);

/// Adds one rule under several operator names (without "onnx.").
inline void add(RuleTable &table, std::initializer_list<StringLiteral> names,
                Rule rule) {
  for (StringRef name : names)
    table[("onnx." + name).str()] = rule;
}

} // namespace mlir::fdpp::onnx::detail

#endif // FDPP_LIB_DIALECT_ONNX_INTERPRETER_RULES_H
