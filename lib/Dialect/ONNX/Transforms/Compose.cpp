// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --onnx-compose

#include "Compose.h"
#include "Remarks.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/ONNX/Transforms/Passes.h"

#include "llvm/ADT/MapVector.h"

namespace mlir::fdpp::onnx {
#define GEN_PASS_DEF_ONNXCOMPOSE
#include "fdpp/Dialect/ONNX/Transforms/Passes.h.inc"

//===----------------------------------------------------------------------===//
// What composers share
//===----------------------------------------------------------------------===//

Operator Composer::create(Location loc, StringRef name,
                          ArrayRef<Value> operands, ArrayRef<Type> types,
                          ArrayRef<NamedAttribute> attributes) {
  const OpSchema &schema = *findSchema("", name);
  OperationState state(loc, schema.mlirName);
  SmallVector<bool> inputs, outputs;
  for (Value operand : operands) {
    inputs.push_back(bool(operand));
    if (operand)
      state.addOperands(operand);
  }
  for (Type type : types) {
    outputs.push_back(bool(type));
    if (type)
      state.addTypes(type);
  }
  state.addAttributes(attributes);
  LogicalResult fits = setSegments(state, schema, inputs, outputs);
  assert(succeeded(fits) && "operands or results do not fit the schema");
  (void)fits;
  Operation *op = builder.create(state);
  shapes.note(op);
  return cast<Operator>(op);
}

Value Composer::ints(Location loc, ArrayRef<int64_t> values) {
  auto type =
      RankedTensorType::get(int64_t(values.size()), builder.getI64Type());
  auto constant = ConstantOp::create(builder, loc, type,
                                     DenseIntElementsAttr::get(type, values));
  shapes.note(constant);
  return constant;
}

NamedAttribute Composer::attribute(StringRef name, int64_t value) {
  return builder.getNamedAttr(name, builder.getI64IntegerAttr(value));
}

NamedAttribute Composer::attribute(StringRef name, double value) {
  return builder.getNamedAttr(name, builder.getF32FloatAttr(value));
}

Value Composer::splitHeads(Location loc, Value rows, RankedTensorType type) {
  ArrayRef<int64_t> to = type.getShape();
  auto split = RankedTensorType::get({to[0], to[2], to[1], to[3]},
                                     type.getElementType());
  // In a Reshape, 0 copies an extent.
  Value heads =
      createOne(loc, "Reshape", {rows, ints(loc, {0, 0, to[1], to[3]})}, split);
  return createOne(
      loc, "Transpose", heads, type,
      builder.getNamedAttr("perm", builder.getDenseI64ArrayAttr({0, 2, 1, 3})));
}

int64_t Composer::extent(Value value, int64_t dim) const {
  auto constant =
      dyn_cast_or_null<AffineConstantExpr>(shapes.extentOf(value, dim));
  return constant ? constant.getValue() : 0;
}

AffineExpr Composer::index(unsigned dim, AffineExpr extent) const {
  auto constant = dyn_cast_or_null<AffineConstantExpr>(extent);
  return constant && constant.getValue() == 1
             ? getAffineConstantExpr(0, shapes.getContext())
             : getAffineDimExpr(dim, shapes.getContext());
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

namespace {
struct Entry {
  StringLiteral root;
  bool (*compose)(Operator root, Composer &composer);
  StringLiteral result;
};
} // namespace

static constexpr Entry kComposers[] = {
    {"onnx.Add", composeRotary, "RotaryEmbedding"},
    {"onnx.Attention", flattenAttention,
     "Attention of [batch, sequence, width]"},
    {"onnx.MatMul", composeAttention, "Attention"},
    {"onnx.Mul", composeNorm, "RMSNormalization"},
    {"onnx.RotaryEmbedding", splitRotary,
     "RotaryEmbedding of [batch, sequence, width]"},
};

namespace {
struct ComposePass : impl::ONNXComposeBase<ComposePass> {
  void runOnOperation() override {
    found.clear();
    Composer composer(getOperation());
    for (Operation &op :
         llvm::make_early_inc_range(getOperation().getBody().front()))
      if (auto onnxOp = dyn_cast<Operator>(op))
        visit(onnxOp, composer);
    eraseDeadOps(getOperation());
    for (auto &[name, count] : found)
      remark::passed(getOperation().getLoc(),
                     recognition("compose", getOperation()))
          << remark::add("{0} composed", name)
          << remark::metric("operations", count);
  }

  void visit(Operator op, Composer &composer) {
    if (op->use_empty() || cancel(op, composer))
      return;
    composer.builder.setInsertionPoint(op);
    for (const Entry &entry : kComposers)
      if (entry.root == op->getName().getStringRef() &&
          entry.compose(op, composer)) {
        ++found[entry.result];
        return;
      }
  }

  /// Movements that end where they began.
  static bool cancel(Operator op, Composer &composer) {
    Value result = op->getResult(0);
    auto type = dyn_cast<RankedTensorType>(result.getType());
    if (!type || type.getRank() == 0 || !isa<FloatType>(type.getElementType()))
      return false;
    Layout layout(composer.shapes, result);
    SmallVector<AffineExpr, 4> at = layout.identity();
    if (int64_t(at.size()) != type.getRank())
      return false;
    // The farthest value of the same type and order.
    Place place{result, at};
    Value source;
    while (auto mover = place.value.getDefiningOp<Operator>()) {
      auto next = layout.step(mover, place.at);
      if (!next)
        break;
      place = *next;
      if (sameShape(place.value, result, composer) && place.at == at)
        source = place.value;
    }
    if (!source)
      return false;
    result.replaceAllUsesWith(source);
    return true;
  }

  /// Extents that the types do not know may still be the same.
  static bool sameShape(Value a, Value b, Composer &composer) {
    const auto &x = composer.shapes.shapeOf(a), &y = composer.shapes.shapeOf(b);
    return x && y && *x == *y && !llvm::is_contained(*x, AffineExpr()) &&
           getElementTypeOrSelf(a.getType()) ==
               getElementTypeOrSelf(b.getType());
  }

  llvm::MapVector<StringRef, unsigned> found;
};
} // namespace
} // namespace mlir::fdpp::onnx
