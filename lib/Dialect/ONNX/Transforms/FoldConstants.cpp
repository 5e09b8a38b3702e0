// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --onnx-fold-constants

#include "Remarks.h"
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"
#include "fdpp/Dialect/ONNX/Interpreter/Evaluate.h"
#include "fdpp/Dialect/ONNX/Transforms/Passes.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace mlir::fdpp::onnx {
#define GEN_PASS_DEF_ONNXFOLDCONSTANTS
#include "fdpp/Dialect/ONNX/Transforms/Passes.h.inc"

void eraseDeadOps(func::FuncOp func) {
  for (Operation &op :
       llvm::make_early_inc_range(llvm::reverse(func.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
}

/// Whether every result has a static type of at most `maxBytes`.
static bool fits(Operation *op, int64_t maxBytes) {
  return llvm::all_of(op->getResultTypes(), [&](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor && tensor.hasStaticShape() &&
           tensor.getElementType().isIntOrFloat() &&
           tensor.getNumElements() * int64_t(tensor.getElementTypeBitWidth()) <=
               maxBytes * 8;
  });
}

static void replaceByConstants(Operation *op, ArrayRef<Tensor> values) {
  OpBuilder builder(op);
  for (auto [result, value] : llvm::zip_equal(op->getResults(), values)) {
    Type element = cast<TensorType>(result.getType()).getElementType();
    DenseElementsAttr attr = attrFrom(value, element);
    result.replaceAllUsesWith(
        ConstantOp::create(builder, op->getLoc(), attr.getType(), attr));
  }
}

/// The shape of a value whose type is static, or of which a static part is
/// asked for.
static std::optional<Tensor> staticShape(Operator op) {
  auto type = dyn_cast<RankedTensorType>(op.inputAt(0).getType());
  if (op.getSchema().name != "Shape" || !type)
    return std::nullopt;
  int64_t rank = type.getRank();
  auto clamp = [&](int64_t at) {
    return std::min(std::max<int64_t>(at < 0 ? at + rank : at, 0), rank);
  };
  int64_t from = clamp(intAttr(op, "start", 0));
  int64_t to = std::max(from, clamp(intAttr(op, "end", rank)));
  ArrayRef<int64_t> dims = type.getShape().slice(from, to - from);
  if (llvm::any_of(dims, ShapedType::isDynamic))
    return std::nullopt;
  return Tensor::ints({to - from}, dims.vec());
}

/// The operand that `op` hands through unchanged, null if there is none.
static Value forwarded(Operator op) {
  StringRef name = op.getSchema().name;
  Value in = op->getNumOperands() ? op.inputAt(0) : Value();
  if (!in)
    return {};
  if (name == "Identity")
    return in;
  auto type = dyn_cast<RankedTensorType>(in.getType());
  bool sameType = type && in.getType() == op->getResult(0).getType();
  if (sameType && (name == "Cast" || name == "CastLike"))
    return in;
  if (sameType && type.hasStaticShape() &&
      (name == "Reshape" || name == "Expand"))
    return in;
  return {};
}

namespace {
struct FoldConstantsPass : impl::ONNXFoldConstantsBase<FoldConstantsPass> {
  using ONNXFoldConstantsBase::ONNXFoldConstantsBase;

  void runOnOperation() override {
    forwards = evaluated = 0;
    for (Operation &op :
         llvm::make_early_inc_range(getOperation().getBody().front()))
      if (auto onnxOp = dyn_cast<Operator>(op))
        if (failed(fold(onnxOp)))
          return signalPassFailure();
    eraseDeadOps(getOperation());
    if (evaluated + forwards > 0)
      remark::passed(getOperation().getLoc(), options())
          << remark::add("constants and operations without effect folded")
          << remark::metric("evaluated", evaluated)
          << remark::metric("without effect", forwards);
  }

  remark::RemarkOpts options() {
    return recognition("fold-constants", getOperation());
  }

  LogicalResult fold(Operator op) {
    if (Value value = forwarded(op)) {
      op->getResult(0).replaceAllUsesWith(value);
      ++forwards;
      return success();
    }
    if (auto shape = staticShape(op)) {
      replaceByConstants(op, *shape);
      ++evaluated;
      return success();
    }
    SmallVector<Tensor> operands;
    for (Value operand : op->getOperands()) {
      DenseElementsAttr attr = constantOf(operand);
      if (!attr)
        return success();
      operands.push_back(tensorFrom(attr));
      if (operands.back().isAbsent())
        return success();
    }
    if (!canEvaluate(op))
      return success();
    if (!fits(op, maxBytes)) {
      remark::missed(op->getLoc(), options()) << remark::add(
          "{0} of constants stays: its value takes more than {1} bytes",
          op->getName().getStringRef(), maxBytes.getValue());
      return success();
    }
    auto values = evaluate(op, operands);
    if (failed(values))
      return failure();
    replaceByConstants(op, *values);
    ++evaluated;
    return success();
  }

  unsigned forwards = 0, evaluated = 0;
};
} // namespace
} // namespace mlir::fdpp::onnx
