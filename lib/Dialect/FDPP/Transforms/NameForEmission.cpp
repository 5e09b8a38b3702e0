// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-name-for-emission

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPNAMEFOREMISSION
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

namespace {

/// Unique identifiers of one scope.
class Scope {
public:
  std::string take(StringRef wanted) {
    std::string base = identifier(wanted), name = base;
    for (unsigned i = 2; !taken.insert(name).second; ++i)
      name = base + std::to_string(i);
    return name;
  }

private:
  static std::string identifier(StringRef text) {
    std::string name;
    for (char c : text)
      name += llvm::isAlnum(c) ? c : '_';
    if (name.empty() || llvm::isDigit(name.front()))
      name.insert(name.begin(), '_');
    return name;
  }
  llvm::StringSet<> taken;
};

StringRef locationName(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (StringRef name = locationName(part); !name.empty())
        return name;
  return "";
}

/// A text that is the same for two epilogues exactly when one struct can serve
/// both: operations, attributes, and what they capture: constants by their
/// value, which is printed inside, anything else by its type.
class EpilogueSignature {
public:
  EpilogueSignature(EpilogueInterface op, unsigned i) : os(text) {
    Region &region = op.getEpilogues()[i];
    SegmentAttr segment = op.getSegment(i);
    os << segment.getColumns() << stringifyPartnerKind(segment.getPartner())
       << segment.getGroup() << op.getOuts()[segment.getDest()].getType();
    for (BlockArgument argument : region.getArguments())
      number(argument);
    for (Operation &inner : region.front())
      visit(inner);
  }
  std::string text;

private:
  unsigned number(Value value) {
    return numbers.try_emplace(value, numbers.size()).first->second;
  }
  void visit(Operation &op) {
    os << '|' << op.getName() << op.getDiscardableAttrDictionary()
       << op.getPropertiesAsAttribute();
    for (Value operand : op.getOperands()) {
      os << ' ' << number(operand) << ':' << operand.getType();
      if (auto constant = operand.getDefiningOp<arith::ConstantOp>())
        os << constant.getValue();
    }
    for (Value result : op.getResults())
      number(result);
  }
  llvm::raw_string_ostream os;
  DenseMap<Value, unsigned> numbers;
};

bool writesRole(EpilogueInterface op, unsigned i, StringRef role) {
  auto argument =
      dyn_cast<BlockArgument>(op.getOuts()[op.getSegment(i).getDest()]);
  auto func = op->getParentOfType<func::FuncOp>();
  if (!argument || argument.getOwner() != &func.front())
    return false;
  auto name =
      func.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kRoleAttr);
  return name && name.getValue() == role;
}

/// What a reader would call the epilogue.
std::string epilogueName(EpilogueInterface op, unsigned i) {
  Block &body = op.getEpilogues()[i].front();
  if (auto store = dyn_cast<KVStoreOp>(body.getTerminator()))
    return store.getPlane() == CachePlane::Key ? "StoreKey" : "StoreValue";
  if (!body.getArguments().back().use_empty())
    return "AddResidual";
  switch (op.getSegment(i).getPartner()) {
  case PartnerKind::GateUp:
    return "StoreGated";
  case PartnerKind::Half:
    return "StoreRotated";
  case PartnerKind::None:
    return writesRole(op, i, "logits") ? "StoreLogits" : "Store";
  }
  llvm_unreachable("unknown partner");
}

/// What a reader would call a scalar that differs between layers.
StringRef constantName(LayerConstantOp op) {
  OpOperand &use = *op->use_begin();
  Value value = use.get();
  return TypeSwitch<Operation *, StringRef>(use.getOwner())
      .Case<RMSNormOp, LayerNormOp, FusedLinearOp, PrologueOp>(
          [](auto) { return "norm_eps"; })
      .Case<PrefillAttentionOp, DecodeAttentionOp,
            AsyncSoftmaxDecodeAttentionOp, AsyncSoftmaxPrefillAttentionOp,
            RecomputeRowsOp>([&](auto attention) {
        if (value == attention.getWindowOfLayer())
          return "attention_window";
        return value == attention.getScaleOfLayer() ? "attention_scale"
                                                    : "attention_softcap";
      })
      .Case<SoftcapOp>([](auto) { return "softcap"; })
      .Default([&](Operation *) {
        return value.getType().isIndex() ? "rotary_column" : "factor";
      });
}

/// Operations that the printer has text for.
bool isPrintable(Operation *op) {
  if (isa<FusedLinearOp, PrologueOp, LibraryGemmOp, EpilogueOp, DispatchOp,
          YieldOp, StoreOp, KVStoreOp, WeightAtOp, WeightOp, ScalarActivationOp,
          LayerConstantOp>(op))
    return true;
  if (isa<TokenSlotsOp, RopeTableOp, EmbedOp, SelectRowsOp, RMSNormOp,
          LayerNormOp, RopeOp, GluOp, AddOp, ActivationOp, ScaleOp, SoftcapOp,
          KVAppendOp, PrefillAttentionOp, DecodeAttentionOp,
          AsyncSoftmaxDecodeAttentionOp, AsyncSoftmaxPrefillAttentionOp,
          RecomputeRowsOp>(op))
    return true;
  // A range of a table's columns, which only rotary kernels read.
  if (isa<memref::SubViewOp>(op))
    return llvm::all_of(op->getUsers(), llvm::IsaPred<RopeOp>);
  if (isa<ModuleOp, func::FuncOp, func::ReturnOp, scf::ForOp, scf::YieldOp,
          memref::ViewOp, memref::DimOp, memref::LoadOp>(op))
    return true;
  return isa<arith::ConstantOp, arith::AddIOp, arith::SubIOp, arith::MulIOp,
             arith::DivUIOp, arith::RemUIOp, arith::IndexCastOp, arith::AddFOp,
             arith::SubFOp, arith::MulFOp, arith::DivFOp, arith::NegFOp,
             arith::ExtFOp, arith::TruncFOp>(op);
}

/// Columns of the sums that a library's GEMM stores: the weight's packed rows.
int64_t packedColumns(LibraryGemmOp op) {
  auto at = op.getWeight().getDefiningOp<WeightAtOp>();
  auto weight = at ? SymbolTable::lookupNearestSymbolFrom<WeightOp>(
                         at, at.getWeightAttr())
                   : WeightOp();
  if (!weight || !weight.getLayout())
    return -1;
  int64_t rows = weight.getTensorType().getDimSize(0);
  return getPanelRows(*weight.getLayout(), rows).size();
}

/// A library's linear is printed from three operations, which know of each
/// other only by standing in one block.
LogicalResult checkLibrary(Operation *op) {
  if (auto gemm = dyn_cast<LibraryGemmOp>(op)) {
    int64_t columns = packedColumns(gemm);
    if (columns < 0)
      return op->emitOpError("reads a weight that is not packed; choose "
                             "variants behind --fdpp-pack-weights");
    if (cast<ShapedType>(gemm.getOuts()[0].getType()).getDimSize(1) != columns)
      return op->emitOpError() << "needs a destination of " << columns
                               << " columns, the rows of the packed weight";
  }
  if (!isa<EpilogueOp>(op))
    return success();
  for (Operation *part = op; part; part = part->getPrevNode())
    if (isa<LibraryGemmOp>(part))
      return success();
  return op->emitOpError("has no fdpp.library_gemm before it in its block");
}

struct NameForEmissionPass
    : public mlir::fdpp::impl::FDPPNameForEmissionBase<NameForEmissionPass> {
  void runOnOperation() override {
    if (failed(checkPrintable()))
      return signalPassFailure();
    for (StringRef reserved :
         {"KvCache", "Weights", "Model", "prefill", "decode", "mixed"})
      classes.take(reserved);
    for (auto func : getOperation().getOps<func::FuncOp>())
      nameBuffers(func);
    getOperation().walk([&](EpilogueInterface op) { nameEpilogues(op); });
    getOperation().walk([&](LayerConstantOp op) { nameConstant(op); });
    getOperation().walk([&](DispatchOp op) { nameVariants(op); });
  }

  LogicalResult checkPrintable() {
    WalkResult result = getOperation().walk([&](Operation *op) {
      // Init regions are evaluated when the engine is written, not printed.
      if (op->getParentOfType<WeightOp>())
        return WalkResult::advance();
      if (isPrintable(op))
        return WalkResult(checkLibrary(op));
      op->emitOpError("has no kernel on this target; take the module to the "
                      "phase 'planned' first (--fdpp-to-fused, "
                      "--fdpp-to-planned)");
      return WalkResult::interrupt();
    });
    return failure(result.wasInterrupted());
  }

  static void nameBuffers(func::FuncOp func) {
    Scope scope;
    // A buffer called like a kernel would hide it.
    for (StringRef reserved : {"team",
                               "step",
                               "weights",
                               "layer",
                               "tokens",
                               "rope",
                               "rope_table",
                               "embed",
                               "select_rows",
                               "token_slots",
                               "kv_append",
                               "map_rows",
                               "zip_rows",
                               "normalize",
                               "linear",
                               "linear_by_tokens",
                               "prologue",
                               "library_gemm",
                               "epilogue",
                               "tanh",
                               "prefill_attention",
                               "decode_attention",
                               "async_softmax_decode_attention",
                               "recompute_rows"})
      scope.take(reserved);
    func.walk([&](memref::ViewOp view) {
      StringRef wanted = locationName(view.getLoc());
      view->setAttr(
          "fdpp.name",
          StringAttr::get(func.getContext(),
                          scope.take(wanted.empty() ? "buffer" : wanted)));
    });
  }

  void nameEpilogues(EpilogueInterface op) {
    SmallVector<Attribute> names;
    for (unsigned i = 0; i < op.getSegments().size(); ++i) {
      auto [at, added] =
          epilogues.try_emplace(EpilogueSignature(op, i).text, "");
      if (added)
        at->second = classes.take(epilogueName(op, i));
      names.push_back(StringAttr::get(op.getContext(), at->second));
    }
    op->setAttr("fdpp.epilogues", ArrayAttr::get(op.getContext(), names));
  }

  /// Equal lists under one name.
  void nameConstant(LayerConstantOp op) {
    if (op->use_empty())
      return;
    std::string &name = constants[{op.getValues(), constantName(op)}];
    if (name.empty())
      name = classes.take(constantName(op));
    op->setAttr("fdpp.name", StringAttr::get(op.getContext(), name));
  }

  /// Dispatches that make the same choice have one name for it. What a library
  /// computes is no such choice, but another list of kernels.
  void nameVariants(DispatchOp op) {
    if (op.walk([](LibraryGemmOp) {
            return WalkResult::interrupt();
          }).wasInterrupted())
      return;
    std::string choice;
    llvm::raw_string_ostream os(choice);
    llvm::interleaveComma(op.getLimits(), os);
    op.walk([&](FusedLinearOp linear) { os << linear.getVariantAttr(); });
    std::string &name = variants[choice];
    if (name.empty())
      name = classes.take("Variants");
    op->setAttr("fdpp.name", StringAttr::get(op.getContext(), name));
  }

  llvm::StringMap<std::string> epilogues, variants;
  DenseMap<std::pair<Attribute, StringRef>, std::string> constants;
  /// Names of the file.
  Scope classes;
};

} // namespace
