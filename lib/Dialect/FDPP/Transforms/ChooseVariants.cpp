// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-choose-variants

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Remarks.h"
#include "llvm/Support/Format.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPCHOOSEVARIANTS
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

namespace {

/// One range of M: the variant for it and its upper limit, 0 for none.
struct Choice {
  VariantAttr variant;
  int64_t limit;
};

struct ChooseVariantsPass
    : public mlir::fdpp::impl::FDPPChooseVariantsBase<ChooseVariantsPass> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<FusedLinearOp> linears;
    getOperation().walk([&](FusedLinearOp op) {
      if (!op.getVariant())
        linears.push_back(op);
    });
    for (FusedLinearOp op : linears)
      dispatch(op);
  }

  /// M at which the arithmetic takes as long as reading the weights: each
  /// stored element costs 2 M operations.
  int64_t ridge(FusedLinearOp op) const {
    auto type = cast<ShapedType>(op.getWeight().getType());
    double bytes = type.getElementTypeBitWidth() / 8.0;
    return std::max<int64_t>(2, std::llround(flops * bytes / (2 * bandwidth)));
  }

  /// Bytes of weights that a lone register tile keeps on their way.
  static constexpr int64_t kInFlight = 4096;

  /// Variants for M in [1, most], by increasing limit. What fits one register
  /// tile streams the weights whatever the roofline says; with more tiles the
  /// kernel spreads the fetching over them.
  SmallVector<Choice> choose(FusedLinearOp op, int64_t most) const {
    auto make = [&](VariantKind kind, int64_t tokens, int64_t prefetch) {
      return VariantAttr::get(op.getContext(), kind, 1, tokens, prefetch);
    };
    int64_t flat = std::max<int64_t>(tileTokens, ridge(op));
    SmallVector<Choice> choices{{make(VariantKind::Gemv, 1, kInFlight), 1}};
    if (most > 1)
      choices.push_back({make(VariantKind::Flat, tileTokens, kInFlight), flat});
    if (most > flat)
      choices.push_back({make(VariantKind::Large, tileTokens, 0), 0});
    choices.back().limit = 0;
    return choices;
  }

  void dispatch(FusedLinearOp op) {
    int64_t most = mostRows(op);
    SmallVector<Choice> choices = choose(op, most);
    report(op, choices);
    SmallVector<int64_t> limits;
    for (const Choice &choice : choices)
      if (choice.limit != 0)
        limits.push_back(choice.limit);
    OpBuilder builder(op);
    Value rows = memref::DimOp::create(builder, op.getLoc(), op.getInput(), 0);
    auto dispatch = DispatchOp::create(builder, op.getLoc(), rows,
                                       builder.getDenseI64ArrayAttr(limits),
                                       choices.size());
    for (auto [region, choice] : llvm::zip(dispatch.getVariants(), choices)) {
      builder.createBlock(&region);
      auto copy = cast<FusedLinearOp>(builder.clone(*op));
      copy.setVariantAttr(choice.variant);
      YieldOp::create(builder, op.getLoc());
    }
    op.erase();
  }

  /// The largest M the linear can see: the bound of the argument its rows come
  /// from, any number when there is none.
  static int64_t mostRows(FusedLinearOp op) {
    auto func = op->getParentOfType<func::FuncOp>();
    auto entry = func->getAttrOfType<StringAttr>(kEntryAttr);
    StringRef role = "tokens";
    if (auto logits = dyn_cast<BlockArgument>(op.getOuts().front()))
      if (auto name = func.getArgAttrOfType<StringAttr>(logits.getArgNumber(),
                                                        kRoleAttr);
          name && name.getValue() == "logits")
        role = "rows";
    for (unsigned i = 0; entry && i < func.getNumArguments(); ++i) {
      auto name = func.getArgAttrOfType<StringAttr>(i, kRoleAttr);
      auto max = func.getArgAttrOfType<IntegerAttr>(i, kMaxAttr);
      if (name && max && name.getValue() == role)
        return max.getInt();
    }
    return INT64_MAX;
  }

  void report(FusedLinearOp op, ArrayRef<Choice> choices) const {
    auto type = cast<ShapedType>(op.getWeight().getType());
    std::string text;
    llvm::raw_string_ostream os(text);
    os << type.getDimSize(0) << "x" << type.getDimSize(1) << " "
       << type.getElementType() << ": ";
    for (const Choice &choice : choices) {
      os << stringifyVariantKind(choice.variant.getKind());
      if (choice.limit != 0)
        os << " to M = " << choice.limit << ", ";
    }
    os << "; roofline, ridge at M = " << ridge(op) << " from "
       << llvm::format("%g", double(flops)) << " GFLOP/s and "
       << llvm::format("%g", double(bandwidth)) << " GB/s";
    remark::analysis(
        op.getLoc(),
        remark::RemarkOpts::name("choose-variants").category("variants"))
        << text;
  }
};

} // namespace
