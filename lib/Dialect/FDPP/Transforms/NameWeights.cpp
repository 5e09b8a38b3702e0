// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-name-weights

#include "Dataflow.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringSet.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPNAMEWEIGHTS
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

namespace {
struct NameWeightsPass
    : public mlir::fdpp::impl::FDPPNameWeightsBase<NameWeightsPass> {
  void runOnOperation() override {
    names.clear();
    taken.clear();
    for (Operation &op : *getOperation().getBody())
      if (auto symbol = dyn_cast<SymbolOpInterface>(op);
          symbol && !isa<WeightOp>(op))
        taken.insert(symbol.getName());
    constantsToWeights();
    for (func::FuncOp entry : entriesOf(getOperation()))
      entry.walk(
          [&](WeightAtOp at) { name(at.getWeightAttr(), weightRole(at)); });
    nameSources();
    apply();
  }

  /// Small tensors arrive as constants; from here on every parameter is a
  /// weight, so that layers can be rolled whatever their size.
  void constantsToWeights() {
    SymbolTable table(getOperation());
    SmallVector<arith::ConstantOp> constants;
    for (func::FuncOp entry : entriesOf(getOperation()))
      entry.walk([&](arith::ConstantOp op) {
        if (isa<RankedTensorType>(op.getType()))
          constants.push_back(op);
      });
    for (arith::ConstantOp op : constants) {
      OpBuilder builder(op->getParentOfType<func::FuncOp>());
      auto weight = WeightOp::create(
          builder, op.getLoc(), builder.getStringAttr("constant"),
          /*sym_visibility=*/StringAttr(), TypeAttr::get(op.getType()),
          builder.getI64IntegerAttr(1), builder.getArrayAttr(op.getValue()),
          /*layout=*/PanelsAttr());
      table.insert(weight);
      builder.setInsertionPoint(op);
      auto read = WeightAtOp::create(
          builder, op.getLoc(), op.getType(),
          FlatSymbolRefAttr::get(weight.getSymNameAttr()), Value());
      op->replaceAllUsesWith(read);
      op.erase();
    }
  }

  /// Numbers equal roles in program order: the first is "wq", then "wq_1", so
  /// that the number is the layer's.
  void name(FlatSymbolRefAttr weight, StringRef role) {
    if (names.contains(weight.getAttr()))
      return;
    std::string unique = role.str();
    for (unsigned i = 1; !taken.insert(unique).second; ++i)
      unique = (role + "_" + Twine(i)).str();
    names[weight.getAttr()] = unique;
  }

  /// What an init region reads is the source of what it gives.
  void nameSources() {
    for (auto weight : getOperation().getOps<WeightOp>()) {
      auto known = names.find(weight.getSymNameAttr());
      std::string base =
          known == names.end() ? weight.getSymName().str() : known->second;
      weight.walk(
          [&](WeightAtOp at) { name(at.getWeightAttr(), base + "_source"); });
    }
  }

  /// The name in the graph stays as the location, for reports.
  void apply() {
    MLIRContext *context = &getContext();
    for (auto weight : getOperation().getOps<WeightOp>()) {
      auto known = names.find(weight.getSymNameAttr());
      if (known == names.end())
        continue;
      if (!isa<NameLoc>(weight.getLoc()))
        weight->setLoc(NameLoc::get(weight.getSymNameAttr()));
      weight.setSymName(known->second);
    }
    getOperation().walk([&](WeightAtOp at) {
      auto known = names.find(at.getWeightAttr().getAttr());
      if (known != names.end())
        at.setWeightAttr(FlatSymbolRefAttr::get(context, known->second));
    });
  }

  llvm::DenseMap<StringAttr, std::string> names;
  llvm::StringSet<> taken;
};
} // namespace
