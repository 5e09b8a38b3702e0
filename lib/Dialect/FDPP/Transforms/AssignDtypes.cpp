// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-assign-dtypes

#include "Dataflow.h"
#include "Weights.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "llvm/Support/ScopedPrinter.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPASSIGNDTYPES
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

/// True where a weight is streamed as a matrix and so takes the storage type.
static bool readsAsMatrix(OpOperand &use) {
  Operation *user = use.getOwner();
  if (auto linear = dyn_cast<LinearOp>(user))
    return use.get() == linear.getWeight();
  return isa<EmbedOp>(user);
}

static RankedTensorType withElement(Type type, Type element) {
  return cast<RankedTensorType>(type).clone(element);
}

/// `value` converted to `element`, through f32 where neither type holds all of
/// the other's values.
static Value convert(OpBuilder &builder, Value value, Type element) {
  Location loc = value.getLoc();
  auto from = cast<FloatType>(getElementTypeOrSelf(value.getType()));
  auto to = cast<FloatType>(element);
  if (from == to)
    return value;
  if (from.getWidth() == to.getWidth())
    value = convert(builder, value, builder.getF32Type());
  Type type = withElement(value.getType(), element);
  if (getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth() <
      to.getWidth())
    return arith::ExtFOp::create(builder, loc, type, value);
  return arith::TruncFOp::create(builder, loc, type, value);
}

static int64_t storedBytes(WeightOp weight) {
  RankedTensorType type = weight.getTensorType();
  return type.getNumElements() * type.getElementTypeBitWidth() / 8 *
         weight.getLayers();
}

namespace {
struct AssignDtypesPass
    : public mlir::fdpp::impl::FDPPAssignDtypesBase<AssignDtypesPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(parseType()))
      return signalPassFailure();
    Weights weights(getOperation());
    if (failed(assignWeights(weights)))
      return signalPassFailure();
    for (func::FuncOp entry : entriesOf(getOperation())) {
      if (BlockArgument cache = argumentWithRole(entry, "cache"))
        retypeCache(cache);
      narrowActivations(entry);
      updateSignature(entry);
    }
  }

  LogicalResult parseType() {
    MLIRContext *context = &getContext();
    storage = llvm::StringSwitch<Type>(dtype)
                  .Case("bf16", BFloat16Type::get(context))
                  .Case("f16", Float16Type::get(context))
                  .Case("f32", Float32Type::get(context))
                  .Default(nullptr);
    if (storage)
      return success();
    return getOperation().emitError()
           << "unknown dtype '" << dtype << "'; use bf16, f16 or f32";
  }

  //===--------------------------------------------------------------------===//
  // Weights.
  //===--------------------------------------------------------------------===//

  LogicalResult assignWeights(Weights &weights) {
    llvm::MapVector<WeightOp, SmallVector<WeightAtOp>> reads;
    for (func::FuncOp entry : entriesOf(getOperation()))
      entry.walk(
          [&](WeightAtOp at) { reads[weights.lookup(at)].push_back(at); });
    for (auto &[weight, accesses] : reads)
      if (failed(assignWeight(weights, weight, accesses)))
        return failure();
    return success();
  }

  LogicalResult assignWeight(Weights &weights, WeightOp weight,
                             ArrayRef<WeightAtOp> accesses) {
    RankedTensorType type = weight.getTensorType();
    if (!isa<Float32Type, Float16Type, BFloat16Type>(type.getElementType()))
      return weight.emitOpError()
             << "has elements of type " << type.getElementType()
             << ", which no linear or norm reads";
    bool matrix = llvm::any_of(accesses, [](WeightAtOp at) {
      return llvm::any_of(at.getResult().getUses(), readsAsMatrix);
    });
    Type wanted = matrix ? storage : Float32Type::get(&getContext());
    if (wanted == type.getElementType())
      return success();
    WeightOp converted = convertWeight(weights, weight, wanted);
    for (WeightAtOp at : accesses) {
      at.setWeight(converted.getSymName());
      at.getResult().setType(converted.getTensorType());
    }
    remark::passed(weight.getLoc(), options())
        << remark::add("@{0} stored as {1}, given as {2}",
                       converted.getSymName().str(), llvm::to_string(wanted),
                       llvm::to_string(type.getElementType()))
        << remark::metric("bytes", storedBytes(converted));
    return success();
  }

  /// The converted weight takes the name, its source one with the type in it.
  WeightOp convertWeight(Weights &weights, WeightOp weight, Type wanted) {
    std::string name = weight.getSymName().str();
    Type given = weight.getTensorType().getElementType();
    weights.rename(weight, name + "_" + llvm::to_string(given));
    RankedTensorType type = weight.getTensorType();
    return weights.create(name, weight, withElement(type, wanted),
                          [&](OpBuilder &builder, Value layer) {
                            auto reference =
                                FlatSymbolRefAttr::get(weight.getSymNameAttr());
                            Value read =
                                WeightAtOp::create(builder, weight.getLoc(),
                                                   type, reference, layer);
                            return convert(builder, read, wanted);
                          });
  }

  //===--------------------------------------------------------------------===//
  // Values.
  //===--------------------------------------------------------------------===//

  /// Gives the cache its element type wherever it is handed on.
  void retypeCache(Value cache) {
    Type old = cache.getType(), type = withElement(old, storage);
    SmallVector<Value> pending{cache};
    while (!pending.empty()) {
      Value value = pending.pop_back_val();
      if (value.getType() == type)
        continue;
      value.setType(type);
      for (OpOperand &use : value.getUses())
        handedOn(use, old, pending);
    }
  }

  static void handedOn(OpOperand &use, Type old, SmallVectorImpl<Value> &to) {
    Operation *user = use.getOwner();
    if (auto loop = dyn_cast<scf::ForOp>(user)) {
      to.push_back(loop.getTiedLoopRegionIterArg(&use));
      to.push_back(loop.getTiedLoopResult(&use));
      return;
    }
    for (OpResult result : user->getResults())
      if (result.getType() == old)
        to.push_back(result);
  }

  /// What only linears read is rounded on entry to them: storing it in their
  /// type gives the same numbers in half the space.
  void narrowActivations(func::FuncOp entry) {
    entry.walk([&](Operation *op) {
      if (!isa<RMSNormOp, LayerNormOp, GluOp, ActivationOp, AttentionOp,
               LinearOp>(op))
        return;
      OpResult result = op->getResult(0);
      Type element = typeOfReaders(result);
      if (!element || element.isF32() ||
          !getElementTypeOrSelf(result.getType()).isF32())
        return;
      result.setType(withElement(result.getType(), element));
      remark::passed(op->getLoc(), options()) << remark::add(
          "result of {0} stored as {1}, the type the linears "
          "that read it round it to",
          op->getName().getStringRef().str(), llvm::to_string(element));
    });
  }

  /// The weights' element type if linears alone read the value, else null.
  static Type typeOfReaders(OpResult value) {
    Type element;
    for (OpOperand &use : value.getUses()) {
      auto linear = dyn_cast<LinearOp>(use.getOwner());
      if (!linear || use.getOperandNumber() != 0)
        return nullptr;
      Type type = getElementTypeOrSelf(linear.getWeight().getType());
      if (element && element != type)
        return nullptr;
      element = type;
    }
    return element;
  }

  static void updateSignature(func::FuncOp entry) {
    entry.setFunctionType(
        FunctionType::get(entry.getContext(), entry.front().getArgumentTypes(),
                          entry.front().getTerminator()->getOperandTypes()));
  }

  static remark::RemarkOpts options() {
    return remark::RemarkOpts::name("assign-dtypes").category("dtypes");
  }

  Type storage;
};
} // namespace
