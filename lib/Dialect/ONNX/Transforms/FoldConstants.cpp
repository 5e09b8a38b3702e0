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
           tensor.getNumElements() <=
               maxBytes * 8 / tensor.getElementTypeBitWidth();
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

/// `known` with what `inferred` knows besides.
static Type refined(Type known, Type inferred) {
  auto one = dyn_cast_or_null<RankedTensorType>(known);
  auto two = dyn_cast_or_null<RankedTensorType>(inferred);
  if (!two || cast<TensorType>(known).getElementType() != two.getElementType())
    return known;
  if (!one)
    return two;
  if (one.getRank() != two.getRank())
    return known;
  SmallVector<int64_t> shape(one.getShape());
  for (auto [extent, other] : llvm::zip(shape, two.getShape()))
    extent = ShapedType::isDynamic(extent) ? other : extent;
  return one.clone(shape);
}

/// The types of an op whose operands have become constants or better known.
static LogicalResult refineTypes(Operator op) {
  SmallVector<Type> types;
  if (failed(inferTypes(op, types, [&] { return op->emitOpError(); })))
    return failure();
  for (auto [result, inferred] : llvm::zip_equal(op->getResults(), types))
    result.setType(refined(result.getType(), inferred));
  return success();
}

static Operator producerCalled(Value value, StringRef name) {
  auto op = value.getDefiningOp<Operator>();
  return op && op.getSchema().name == name && op.getSchema().domain.empty()
             ? op
             : Operator();
}

static Type elementTypeOf(Value value) {
  return cast<TensorType>(value.getType()).getElementType();
}

/// Whether every number of one type is a number of another.
static bool holdsAll(Type wide, Type narrow) {
  if (narrow.isInteger(1))
    return isa<FloatType>(wide) || isa<IntegerType>(wide);
  auto from = dyn_cast<FloatType>(narrow), to = dyn_cast<FloatType>(wide);
  if (from && to)
    return from == to ||
           (from.getWidth() < to.getWidth() && from.getWidth() >= 16);
  auto less = dyn_cast<IntegerType>(narrow), more = dyn_cast<IntegerType>(wide);
  return less && more && less.getWidth() <= more.getWidth() &&
         less.getSignedness() == more.getSignedness();
}

/// What a cast of a cast begins with, if the first one loses nothing.
static Value behindWiderCast(Operator op) {
  Operator inner = producerCalled(op.inputAt(0), "Cast");
  if (!inner)
    return {};
  Value in = inner.inputAt(0);
  return holdsAll(elementTypeOf(inner.outputAt(0)), elementTypeOf(in))
             ? in
             : Value();
}

/// The permutation of a Transpose; empty where the rank is not known, or where
/// it is none (which inference says).
static SmallVector<int64_t> permutationOf(Operator op) {
  if (auto attr = op->getAttrOfType<DenseI64ArrayAttr>("perm")) {
    SmallVector<int64_t> perm(attr.asArrayRef()), sorted = perm;
    llvm::sort(sorted);
    bool valid = llvm::equal(sorted, llvm::seq<int64_t>(perm.size()));
    return valid ? perm : SmallVector<int64_t>();
  }
  auto type = dyn_cast<RankedTensorType>(op.inputAt(0).getType());
  return type ? llvm::to_vector(llvm::reverse(llvm::seq(type.getRank())))
              : SmallVector<int64_t>();
}

/// Makes one of two casts, or of two transposes, behind each other.
static void joinWithProducer(Operator op) {
  StringRef name = op.getSchema().name;
  if (name == "Cast")
    if (Value in = behindWiderCast(op))
      op->setOperand(0, in);
  Operator inner = name == "Transpose"
                       ? producerCalled(op.inputAt(0), "Transpose")
                       : Operator();
  SmallVector<int64_t> outer, first, both;
  if (inner)
    outer = permutationOf(op), first = permutationOf(inner);
  if (outer.empty() || outer.size() != first.size())
    return;
  for (int64_t d : outer)
    both.push_back(first[d]);
  op->setAttr("perm", DenseI64ArrayAttr::get(op->getContext(), both));
  op->setOperand(0, inner.inputAt(0));
}

/// A CastLike as the Cast that it is: only the second operand's type matters.
static Operator asCast(Operator op) {
  OpBuilder builder(op);
  Type result = op->getResult(0).getType();
  OperationState state(op->getLoc(), "onnx.Cast");
  state.addOperands(op.inputAt(0));
  state.addTypes(result);
  state.addAttribute("to", builder.getI64IntegerAttr(
                               onnxTypeOf(getElementTypeOrSelf(result))));
  auto cast = llvm::cast<Operator>(builder.create(state));
  op->getResult(0).replaceAllUsesWith(cast->getResult(0));
  return cast;
}

/// The operand that `op` hands through unchanged, null if there is none.
static Value forwarded(Operator op) {
  StringRef name = op.getSchema().name;
  Value in = op->getNumOperands() ? op.inputAt(0) : Value();
  if (!in)
    return {};
  if (name == "Identity")
    return in;
  if (name == "Transpose") {
    SmallVector<int64_t> perm = permutationOf(op);
    return llvm::equal(perm, llvm::seq<int64_t>(perm.size())) && !perm.empty()
               ? in
               : Value();
  }
  if ((name == "Cast" || name == "CastLike") &&
      elementTypeOf(in) == elementTypeOf(op->getResult(0)))
    return in;
  auto type = dyn_cast<RankedTensorType>(in.getType());
  bool sameType = type && in.getType() == op->getResult(0).getType();
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
    adaptSignature();
    if (evaluated + forwards > 0)
      remark::passed(getOperation().getLoc(), options())
          << remark::add("constants and operations without effect folded")
          << remark::metric("evaluated", evaluated)
          << remark::metric("without effect", forwards);
  }

  remark::RemarkOpts options() {
    return recognition("fold-constants", getOperation());
  }

  /// A result may be better known than its declaration.
  void adaptSignature() {
    func::FuncOp func = getOperation();
    auto results = func.getBody().front().getTerminator()->getOperandTypes();
    func.setFunctionType(
        FunctionType::get(&getContext(), func.getArgumentTypes(), results));
  }

  LogicalResult fold(Operator op) {
    joinWithProducer(op);
    if (failed(refineTypes(op)))
      return failure();
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
    if (op.getSchema().name == "CastLike")
      op = asCast(op);
    auto isConstant = [](Value operand) { return bool(constantOf(operand)); };
    if (!llvm::all_of(op->getOperands(), isConstant) || !canEvaluate(op))
      return success();
    if (!fits(op, maxBytes)) {
      remark::missed(op->getLoc(), options()) << remark::add(
          "{0} of constants stays: its value takes more than {1} bytes",
          op->getName().getStringRef(), maxBytes.getValue());
      return success();
    }
    SmallVector<Tensor> operands;
    for (Value operand : op->getOperands()) {
      operands.push_back(tensorFrom(constantOf(operand)));
      if (operands.back().isAbsent())
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
