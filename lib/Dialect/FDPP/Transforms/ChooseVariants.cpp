// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-choose-variants

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"
#include "fdpp/Tuning/TuningTable.h"
#include "kernels/common/tuning.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPCHOOSEVARIANTS
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

namespace {

/// One range of M: the variant for it, null for a library's, and its upper
/// limit, 0 for none.
struct Choice {
  VariantAttr variant;
  int64_t limit;
};

/// The variants of a linear, and who chose them.
struct Choices {
  SmallVector<Choice> ranges;
  std::string source;
};

struct ChooseVariantsPass
    : public mlir::fdpp::impl::FDPPChooseVariantsBase<ChooseVariantsPass> {
  using Base::Base;

  void runOnOperation() override {
    if (!tuning.empty() && failed(readTable()))
      return signalPassFailure();
    SmallVector<FusedLinearOp> linears;
    getOperation().walk([&](FusedLinearOp op) {
      if (!op.getVariant())
        linears.push_back(op);
    });
    for (FusedLinearOp op : linears)
      dispatch(op);
  }

  /// Reads the table and finds out whether it applies.
  LogicalResult readTable() {
    llvm::Expected<TuningTable> read = TuningTable::read(tuning);
    if (!read)
      return emitError(UnknownLoc::get(&getContext()),
                       llvm::toString(read.takeError()));
    SmallVector<StringRef> words;
    StringRef(features).split(words, ',', -1, /*KeepEmpty=*/false);
    TuningTarget target{device, kernels, {words.begin(), words.end()}};
    noTable = read->whyForeign(target);
    table = std::move(*read);
    if (!noTable.empty())
      remark::missed(
          getOperation().getLoc(),
          remark::RemarkOpts::name("choose-variants").category("variants"))
          << "the tuning table is not used: " + noTable;
    return success();
  }

  /// M at which the arithmetic takes as long as reading the weights: each
  /// stored element costs 2 M operations.
  int64_t ridge(FusedLinearOp op) const {
    auto type = cast<ShapedType>(op.getWeight().getType());
    double bytes = type.getElementTypeBitWidth() / 8.0;
    return std::max<int64_t>(2, std::llround(flops * bytes / (2 * bandwidth)));
  }

  VariantAttr variant(VariantKind kind, int64_t tokens, int64_t prefetch) {
    return VariantAttr::get(&getContext(), kind, 1, tokens, prefetch);
  }

  /// What fits one register tile streams the weights whatever the roofline
  /// says; with more tiles the kernel spreads the fetching over them.
  Choices chooseByRoofline(FusedLinearOp op) {
    std::string source;
    llvm::raw_string_ostream(source)
        << "roofline, ridge at M = " << ridge(op) << " from "
        << llvm::format("%g", double(flops)) << " GFLOP/s and "
        << llvm::format("%g", double(bandwidth)) << " GB/s";
    const int tile = int(tileTokens);
    const ::fdpp::KernelLevel *known = ::fdpp::kernel_level(kernels.getValue());
    const ::fdpp::KernelLevel level =
        known ? *known : ::fdpp::KernelLevel{"", tile, tile, tile, 0};
    Choices choices{{}, source};
    for (int m = 1; m <= level.flat_tile; ++m) {
      ::fdpp::UsualTile usual = ::fdpp::usual_tile(level, m);
      VariantAttr chosen =
          variant(m == 1 ? VariantKind::Gemv : VariantKind::Flat, usual.tokens,
                  usual.prefetch);
      if (choices.ranges.empty() || choices.ranges.back().variant != chosen)
        choices.ranges.push_back({chosen, m});
      choices.ranges.back().limit = m;
    }
    choices.ranges.back().limit = std::max<int64_t>(level.flat_tile, ridge(op));
    choices.ranges.push_back(
        {variant(VariantKind::Large, level.widest_tile, 0), 0});
    return choices;
  }

  /// What the table says; no ranges where it does not know the shape.
  Choices chooseByTable(ShapedType weight) {
    Choices choices;
    std::string dtype;
    llvm::raw_string_ostream(dtype) << weight.getElementType();
    const TunedShape *shape =
        table->find(weight.getDimSize(0), weight.getDimSize(1), dtype);
    if (!shape)
      return choices;
    for (const TunedRange &range : shape->ranges) {
      std::optional<VariantKind> kind = symbolizeVariantKind(range.kind);
      choices.ranges.push_back(
          {kind ? variant(*kind, range.tokens, range.prefetch) : VariantAttr(),
           range.to});
    }
    choices.source = "measured, table " + table->getName().str();
    return choices;
  }

  /// Variants for M in [1, most], by increasing limit.
  Choices choose(FusedLinearOp op, int64_t most) {
    Choices choices;
    if (table && noTable.empty())
      choices = chooseByTable(cast<ShapedType>(op.getWeight().getType()));
    if (choices.ranges.empty()) {
      choices = chooseByRoofline(op);
      if (!noTable.empty())
        choices.source += "; " + noTable;
      else if (table)
        choices.source +=
            "; table " + table->getName().str() + " has no such shape";
    }
    SmallVector<Choice> &ranges = choices.ranges;
    ranges.erase(std::next(llvm::find_if(ranges,
                                         [&](const Choice &choice) {
                                           return choice.limit == 0 ||
                                                  choice.limit >= most;
                                         })),
                 ranges.end());
    ranges.back().limit = 0;
    return choices;
  }

  void dispatch(FusedLinearOp op) {
    int64_t most = mostRows(op);
    Choices chosen = choose(op, most);
    report(op, chosen);
    ArrayRef<Choice> choices = chosen.ranges;
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
      if (choice.variant)
        cast<FusedLinearOp>(builder.clone(*op)).setVariantAttr(choice.variant);
      else
        decompose(op, builder);
      YieldOp::create(builder, op.getLoc());
    }
    op.erase();
  }

  /// The number of rows, as what a buffer of as many is allocated with.
  static Value rowsOf(FusedLinearOp op, OpBuilder &builder) {
    Value input = op.getInput();
    if (auto alloc = input.getDefiningOp<memref::AllocOp>())
      if (alloc.getType().isDynamicDim(0))
        return alloc.getDynamicSizes().front();
    return memref::DimOp::create(builder, op.getLoc(), input, 0);
  }

  static Value allocate(FusedLinearOp op, int64_t columns, StringRef name,
                        OpBuilder &builder) {
    auto type =
        MemRefType::get({ShapedType::kDynamic, columns}, builder.getF32Type());
    return memref::AllocOp::create(builder,
                                   NameLoc::get(builder.getStringAttr(name)),
                                   type, rowsOf(op, builder));
  }

  /// The linear as prologue, GEMM of a library and epilogue, with a buffer
  /// between each two.
  static void decompose(FusedLinearOp op, OpBuilder &builder) {
    auto weight = cast<ShapedType>(op.getWeight().getType());
    Value rows = allocate(op, weight.getDimSize(1), "library_rows", builder);
    PrologueOp::create(builder, op.getLoc(), TypeRange(), op.getInput(),
                       op.getGamma(), op.getBeta(), op.getEpsOfLayer(),
                       op.getEpsAttr(), op.getCentered(),
                       weight.getElementType(), ValueRange(rows));
    Value sums = allocate(op, packedRows(op), "library_sums", builder);
    LibraryGemmOp::create(builder, op.getLoc(), TypeRange(), rows,
                          op.getWeight(), ValueRange(sums));
    auto epilogue = EpilogueOp::create(builder, op.getLoc(), TypeRange(), sums,
                                       op.getSegments(), op.getOuts(),
                                       op.getEpilogues().size());
    for (auto [from, to] :
         llvm::zip(op.getEpilogues(), epilogue.getEpilogues())) {
      IRMapping none;
      from.cloneInto(&to, none);
    }
  }

  /// Rows of the packed weight, with its padding.
  static int64_t packedRows(FusedLinearOp op) {
    int64_t rows = cast<ShapedType>(op.getWeight().getType()).getDimSize(0);
    auto at = op.getWeight().getDefiningOp<WeightAtOp>();
    auto weight = at ? SymbolTable::lookupNearestSymbolFrom<WeightOp>(
                           at, at.getWeightAttr())
                     : WeightOp();
    if (!weight || !weight.getLayout())
      return rows;
    return getPanelRows(*weight.getLayout(), rows).size();
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

  static void report(FusedLinearOp op, const Choices &choices) {
    auto type = cast<ShapedType>(op.getWeight().getType());
    std::string text;
    llvm::raw_string_ostream os(text);
    os << type.getDimSize(0) << "x" << type.getDimSize(1) << " "
       << type.getElementType() << ": ";
    for (const Choice &choice : choices.ranges) {
      if (choice.variant)
        os << stringifyVariantKind(choice.variant.getKind()) << "<"
           << choice.variant.getTokens() << ", " << choice.variant.getPrefetch()
           << ">";
      else
        os << "library";
      if (choice.limit != 0)
        os << " to M = " << choice.limit << ", ";
    }
    os << "; " << choices.source;
    remark::analysis(
        op.getLoc(),
        remark::RemarkOpts::name("choose-variants").category("variants"))
        << text;
  }

  std::optional<TuningTable> table;
  /// Why the table does not apply, if it does not.
  std::string noTable;
};

} // namespace
