// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- MatchLinear.cpp - Embedding, linears and sums ----------------------===//
#include "Matchers.h"

namespace mlir::fdpp::onnx {

/// Rows of a table by token.
bool matchEmbed(Operator op, Recogniser &r) {
  auto indices = dyn_cast<RankedTensorType>(op.inputAt(1).getType());
  if (intAttr(op, "axis", 0) != 0 || !indices)
    return false;
  Value table = r.parameters.find(op.inputAt(0));
  if (!table || cast<RankedTensorType>(table.getType()).getRank() != 2)
    return r.refuse(op, "its table is no parameter of rank 2");
  auto embed = EmbedOp::create(r.builder, op->getLoc(), op->getResultTypes(),
                               op.inputAt(1), table, ValueRange());
  op->replaceAllUsesWith(embed);
  return true;
}

/// Nothing: the engine itself selects the tokens whose logits are wanted.
bool explainSelection(Operator op, Recogniser &r) {
  Value rows = op.inputAt(0);
  auto type = rowType(rows);
  if (!type || type.getRank() != 3 || !isFromModel(rows))
    return false;
  auto axes = constantInts(op.inputAt(3));
  int64_t axis = op.getSchema().name == "Gather" ? intAttr(op, "axis", 0)
                 : axes && axes->size() == 1     ? axes->front()
                                                 : 0;
  return axis == 1 || axis == -2
             ? r.refuse(op, "it keeps the rows of some tokens alone; export "
                            "the graph with the logits of every token "
                            "(logits_to_keep=0)")
             : false;
}

/// Rows of a narrow table widened afterwards. A narrower type rounds them.
bool matchEmbedCast(Operator op, Recogniser &r) {
  auto embed = op.inputAt(0).getDefiningOp<EmbedOp>();
  auto type = dyn_cast<RankedTensorType>(op.outputAt(0).getType());
  if (!embed || !type)
    return false;
  auto from = dyn_cast<FloatType>(
      cast<TensorType>(op.inputAt(0).getType()).getElementType());
  auto to = dyn_cast<FloatType>(type.getElementType());
  if (!from || !to || from.getWidth() >= to.getWidth())
    return r.refuse(op, "it does not widen the rows of its table");
  auto wide =
      EmbedOp::create(r.builder, op->getLoc(), TypeRange(type),
                      embed.getTokens(), embed.getTable(), ValueRange());
  op->replaceAllUsesWith(wide);
  return true;
}

static bool createLinear(Operator op, Value x, Value weight, Value bias,
                         Recogniser &r) {
  RankedTensorType input = rowType(x), result = rowType(op.outputAt(0));
  auto type = cast<RankedTensorType>(weight.getType());
  if (!input || !result || type.getDimSize(1) != input.getShape().back() ||
      type.getDimSize(0) != result.getShape().back())
    return false;
  auto linear = LinearOp::create(r.builder, op->getLoc(), TypeRange(result), x,
                                 weight, bias, ValueRange());
  op->replaceAllUsesWith(linear);
  return true;
}

/// x . W with a parameter W.
bool matchMatMul(Operator op, Recogniser &r) {
  Value weight = r.parameters.findTransposed(op.inputAt(1));
  if (!weight)
    return r.refuse(op, "its right operand is no parameter of rank 2");
  return createLinear(op, op.inputAt(0), weight, Value(), r) ||
         r.refuse(op, "its operands do not share K");
}

bool matchGemm(Operator op, Recogniser &r) {
  if (floatAttr(op, "alpha", 1) != 1 || intAttr(op, "transA", 0) != 0)
    return r.refuse(op, "it has an alpha or a transposed left operand");
  Value bias;
  if (op.inputAt(2)) {
    bias = r.parameters.findVector(op.inputAt(2));
    if (!bias || floatAttr(op, "beta", 1) != 1)
      return r.refuse(op, "its bias is no parameter or has a beta");
  }
  Value weight = intAttr(op, "transB", 0)
                     ? r.parameters.find(op.inputAt(1))
                     : r.parameters.findTransposed(op.inputAt(1));
  return weight && createLinear(op, op.inputAt(0), weight, bias, r);
}

/// A vector added to a linear that has no other use.
bool matchBias(Operator op, Recogniser &r) {
  for (auto [x, other] : {std::pair(0, 1), std::pair(1, 0)}) {
    auto linear = op.inputAt(x).getDefiningOp<LinearOp>();
    if (!linear || linear.getBias() || !linear->hasOneUse())
      continue;
    Value bias = r.parameters.findVector(op.inputAt(other));
    if (bias &&
        createLinear(op, linear.getInput(), linear.getWeight(), bias, r))
      return true;
  }
  return false;
}

/// A sum of two values of one shape that the model computes.
bool matchResidual(Operator op, Recogniser &r) {
  RankedTensorType type = rowType(op.outputAt(0));
  if (!type || op.inputAt(0).getType() != type ||
      op.inputAt(1).getType() != type || !isa<FloatType>(type.getElementType()))
    return false;
  for (Value input : {op.inputAt(0), op.inputAt(1)})
    if (!isFromModel(input))
      return r.refuse(op, "a summand is not recognised as the model's");
  auto sum = AddOp::create(r.builder, op->getLoc(), TypeRange(type),
                           op.inputAt(0), op.inputAt(1), ValueRange());
  op->replaceAllUsesWith(sum);
  return true;
}

} // namespace mlir::fdpp::onnx
