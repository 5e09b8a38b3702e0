// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --onnx-widen-floats

#include "Remarks.h"
#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"
#include "fdpp/Dialect/ONNX/Transforms/Passes.h"
#include "fdpp/Interpreter/Tensor.h"

namespace mlir::fdpp::onnx {
#define GEN_PASS_DEF_ONNXWIDENFLOATS
#include "fdpp/Dialect/ONNX/Transforms/Passes.h.inc"

static bool isNarrow(Type element) {
  auto type = dyn_cast<FloatType>(element);
  return type && type.getWidth() < 32;
}

/// The type with single precision for a narrower one.
static Type widened(Type type) {
  auto tensor = dyn_cast<TensorType>(type);
  if (!tensor || !isNarrow(tensor.getElementType()))
    return type;
  return tensor.clone(Float32Type::get(type.getContext()));
}

static DenseElementsAttr widened(DenseElementsAttr values) {
  Type f32 = Float32Type::get(values.getContext());
  if (!values.isSplat())
    return attrFrom(tensorFrom(values), f32);
  auto type = RankedTensorType::get({}, values.getElementType());
  DenseElementsAttr one = attrFrom(tensorFrom(values.resizeSplat(type)), f32);
  return one.resizeSplat(cast<ShapedType>(widened(values.getType())));
}

namespace {
struct WidenFloatsPass : impl::ONNXWidenFloatsBase<WidenFloatsPass> {
  void runOnOperation() override {
    func::FuncOp func = getOperation();
    Block &body = func.getBody().front();
    unsigned count = 0;
    if (!isStoredNarrow(body))
      return;
    for (BlockArgument argument : body.getArguments())
      argument.setType(widened(argument.getType()));
    for (Operation &op : llvm::make_early_inc_range(body.without_terminator()))
      count += widen(op);
    func.setType(FunctionType::get(&getContext(), body.getArgumentTypes(),
                                   body.getTerminator()->getOperandTypes()));
    if (count > 0)
      remark::passed(func.getLoc(), recognition("widen-floats", func))
          << remark::add("the graph's narrow floats stand for numbers: the "
                         "engine's type decides how they are stored")
          << remark::metric("operations", count);
  }

  /// Whether parameters or inputs are narrow. A graph of single precision that
  /// rounds a value in between says so on purpose.
  static bool isStoredNarrow(Block &body) {
    auto narrow = [](Value value) {
      return isNarrow(getElementTypeOrSelf(value.getType()));
    };
    return llvm::any_of(body.getArguments(), narrow) ||
           llvm::any_of(body.getOps<WeightAtOp>(), [&](WeightAtOp weight) {
             return narrow(weight.getResult());
           });
  }

  bool widen(Operation &op) {
    if (isa<WeightAtOp>(op))
      return widenWeight(op);
    bool any = false;
    for (Value result : op.getResults()) {
      Type wide = widened(result.getType());
      any |= wide != result.getType();
      result.setType(wide);
    }
    for (NamedAttribute attribute : op.getAttrs())
      if (auto values = dyn_cast<DenseElementsAttr>(attribute.getValue());
          values && isNarrow(values.getElementType()))
        op.setAttr(attribute.getName(), widened(values));
    auto onnxOp = dyn_cast<Operator>(&op);
    if (any && onnxOp && op.hasAttr("to"))
      op.setAttr("to",
                 IntegerAttr::get(IntegerType::get(&getContext(), 64),
                                  onnxTypeOf(Float32Type::get(&getContext()))));
    return any;
  }

  /// A weight stays as it is stored.
  bool widenWeight(Operation &op) {
    Value weight = op.getResult(0);
    Type wide = widened(weight.getType());
    if (wide == weight.getType())
      return false;
    OpBuilder builder(&getContext());
    builder.setInsertionPointAfter(&op);
    OperationState state(op.getLoc(), "onnx.Cast");
    state.addOperands(weight);
    state.addTypes(wide);
    state.addAttribute(
        "to", builder.getI64IntegerAttr(onnxTypeOf(builder.getF32Type())));
    Operation *cast = builder.create(state);
    weight.replaceAllUsesExcept(cast->getResult(0), cast);
    return true;
  }
};
} // namespace
} // namespace mlir::fdpp::onnx
