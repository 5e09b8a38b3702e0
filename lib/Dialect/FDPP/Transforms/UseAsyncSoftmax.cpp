// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-use-async-softmax

#include "Dataflow.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPUSEASYNCSOFTMAX
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

/// Its rows are a property of the graph's node, and no values of it until
/// fdpp.recompute_rows has seen them: that op has the location.
static Location withoutNode(Operation *op) {
  return UnknownLoc::get(op->getContext());
}

static Value phiArgument(func::FuncOp func, RankedTensorType type) {
  if (BlockArgument phi = argumentWithRole(func, "phi"))
    return phi;
  Builder builder(func);
  DictionaryAttr attributes = builder.getDictionaryAttr(
      builder.getNamedAttr(kRoleAttr, builder.getStringAttr("phi")));
  unsigned index = func.getNumArguments();
  if (failed(func.insertArgument(index, type, attributes, func.getLoc())))
    return Value();
  return func.getArgument(index);
}

namespace {
/// What an attention is, and what it costs.
struct Shape {
  int64_t layers, queryHeads, kvHeads, headDim;
  double bytes; // of an element of the cache
  bool prefill;

  template <typename OpTy>
  explicit Shape(OpTy op) : prefill(std::is_same_v<OpTy, PrefillAttentionOp>) {
    auto cache = cast<ShapedType>(op.getCache().getType());
    layers = cache.getDimSize(0);
    kvHeads = cache.getDimSize(3);
    headDim = cache.getDimSize(5);
    queryHeads = cast<ShapedType>(op.getQ().getType()).getDimSize(1) / headDim;
    bytes = cache.getElementTypeBitWidth() / 8.0;
  }
};

struct UseAsyncSoftmaxPass
    : public mlir::fdpp::impl::FDPPUseAsyncSoftmaxBase<UseAsyncSoftmaxPass> {
  using Base::Base;

  void runOnOperation() override {
    if (!llvm::is_contained({"auto", "on", "all", "off"}, softmax)) {
      getOperation().emitError()
          << "async-softmax is auto, on, all or off, not '"
          << softmax.getValue() << "'";
      return signalPassFailure();
    }
    weights = llvm::StringSwitch<Type>(pType)
                  .Case("f32", Float32Type::get(&getContext()))
                  .Case("bf16", BFloat16Type::get(&getContext()))
                  .Case("f16", Float16Type::get(&getContext()))
                  .Default(Type());
    if (!weights) {
      getOperation().emitError()
          << "p-type is f32, bf16 or f16, not '" << pType.getValue() << "'";
      return signalPassFailure();
    }
    if (failed(useIn<DecodeAttentionOp, AsyncSoftmaxDecodeAttentionOp>()) ||
        failed(useIn<PrefillAttentionOp, AsyncSoftmaxPrefillAttentionOp>()))
      signalPassFailure();
  }

private:
  template <typename OpTy, typename AsyncOpTy> LogicalResult useIn() {
    SmallVector<OpTy> attentions;
    getOperation().walk([&](OpTy op) { attentions.push_back(op); });
    for (OpTy op : attentions)
      if (decide(op) && failed(replace<OpTy, AsyncOpTy>(op)))
        return failure();
    return success();
  }

  /// Operations on 16 lanes for 16 keys of one row: products with K are one for
  /// each dimension, those with V 16 for each 16 dimensions, the exact softmax
  /// is about 20. Without a maximum a pass over the logits falls away: a load,
  /// a store, the maximum and the rescaling.
  static constexpr double kSoftmax = 20, kSaved = 4;
  /// Seconds that a call takes however little it does, and what testing the
  /// rows adds to it: reading the flags, and one barrier of the team.
  static constexpr double kCall = 2e-6, kTest = 0.3e-6;

  /// The share of its time that the attention saves. Many tokens read K and V
  /// once for all of them, and their call takes no time that counts.
  double gain(const Shape &shape, int64_t tokens) const {
    double blocks = tokens / 16.0 * shape.queryHeads;
    double products = shape.headDim + double(llvm::alignTo(shape.headDim, 16));
    double exact = blocks * (products + kSoftmax) / (vectorGops * 1e9);
    double saved = blocks * kSaved / (vectorGops * 1e9);
    if (shape.prefill)
      return saved / exact;
    double reading = tokens * 2.0 * shape.kvHeads * shape.headDim *
                     shape.bytes / (bandwidth * 1e9);
    double before = kCall + std::max(exact, reading);
    double after = kCall + std::max(exact - saved, reading) + kTest;
    return 1 - after / before;
  }

  int64_t assumedContext() {
    auto most = getOperation()->getAttrOfType<IntegerAttr>("fdpp.max_context");
    return most ? std::min<int64_t>(context, most.getInt()) : context;
  }

  template <typename OpTy> bool decide(OpTy op) {
    Shape shape(op);
    int64_t tokens = assumedContext();
    double saving = gain(shape, tokens);
    // No prefill that was measured saves what is wanted (docs/performance.md),
    // whatever the model says of other shapes.
    bool use = softmax == "all" ||
               (!shape.prefill && (softmax == "on" ||
                                   (softmax == "auto" && saving >= leastGain)));
    std::string text;
    llvm::raw_string_ostream os(text);
    os << (shape.prefill ? "prefill" : "decode") << " attention of "
       << shape.queryHeads << " query and " << shape.kvHeads << " KV heads of "
       << shape.headDim
       << (use ? " has an asynchronous softmax, weights in " + pType.getValue()
               : std::string(" keeps its exact softmax"))
       << ": at " << tokens << " tokens the asynchronous one "
       << (saving < 0 ? "costs " : "saves ")
       << llvm::format("%.1f", 100 * std::fabs(saving)) << " % of its time by "
       << llvm::format("%g", double(vectorGops))
       << " G vector operations/s and " << llvm::format("%g", double(bandwidth))
       << " GB/s, " << llvm::format("%g", 100 * double(leastGain))
       << " % are wanted";
    if (softmax != "auto")
      os << "; chosen by the command";
    auto options =
        remark::RemarkOpts::name("use-async-softmax")
            .category("attention")
            .function(op->template getParentOfType<func::FuncOp>().getName());
    if (use)
      remark::passed(op.getLoc(), options) << text;
    else
      remark::missed(op.getLoc(), options) << text;
    return use;
  }

  template <typename OpTy, typename AsyncOpTy> LogicalResult replace(OpTy op) {
    Shape shape(op);
    OpBuilder builder(op);
    auto func = op->template getParentOfType<func::FuncOp>();
    Value phi = phiArgument(
        func, RankedTensorType::get({shape.layers, shape.queryHeads},
                                    builder.getF32Type()));
    if (!phi)
      return op.emitOpError("is in a function that takes no arguments");
    auto rows = cast<RankedTensorType>(op->getResult(0).getType());
    Type types[] = {
        rows, RankedTensorType::get({rows.getDimSize(0), shape.queryHeads},
                                    builder.getI32Type())};
    auto async = AsyncOpTy::create(
        builder, withoutNode(op), types, op.getQ(), op.getCache(),
        op.getLayer(), op.getSeqOffsets(), op.getContextLens(), op.getPages(),
        op.getFirstSeq(), op.getEndSeq(), op.getScaleOfLayer(),
        op.getWindowOfLayer(), op.getSoftcapOfLayer(), op.getScaleAttr(),
        op.getWindowAttr(), op.getSoftcapAttr(), phi, TypeAttr::get(weights),
        ValueRange());
    if (!op.getOuts().empty()) {
      Value invalid = createDestination(builder, async->getResult(1));
      async->moveAfter(invalid.getDefiningOp());
      async.getOutsMutable().append({op.getOuts()[0], invalid});
    }
    builder.setInsertionPoint(op);
    auto redone = RecomputeRowsOp::create(
        builder, op.getLoc(), rows, op.getQ(), op.getCache(), op.getLayer(),
        op.getSeqOffsets(), op.getContextLens(), op.getPages(),
        op.getFirstSeq(), op.getEndSeq(), op.getScaleOfLayer(),
        op.getWindowOfLayer(), op.getSoftcapOfLayer(), op.getScaleAttr(),
        op.getWindowAttr(), op.getSoftcapAttr(), async->getResult(1),
        shape.prefill ? builder.getUnitAttr() : UnitAttr(),
        async->getResult(0));
    op->getResult(0).replaceAllUsesWith(redone->getResult(0));
    op.erase();
    return success();
  }

  Type weights;
};
} // namespace
