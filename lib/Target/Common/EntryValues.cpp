// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "EntryValues.h"

#include "fdpp/Engine/StoredWeight.h"
#include "fdpp/Target/Common/EpiloguePrinter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::binary;
using ::fdpp::Expr;
using ::fdpp::scaled;

/// The field of the step that an argument with this role is.
static std::string stepField(StringRef role) {
  return llvm::StringSwitch<std::string>(role)
      .Case("seq_offsets", "step.batch.seq_offsets")
      .Case("context", "step.batch.context")
      .Case("pages", "step.batch.pages")
      .Default("step." + role.str());
}

static std::string countOf(StringRef role) {
  return llvm::StringSwitch<std::string>(role)
      .Cases({"tokens", "positions"}, "tokens")
      .Cases({"rows", "logits"}, "step.num_rows")
      .Default("step.num_seqs");
}

/// The role of an entry's argument, "" for any other value.
static StringRef roleOf(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  auto func = argument
                  ? dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp())
                  : func::FuncOp();
  if (!func)
    return "";
  return func.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kRoleAttr)
      .getValue();
}

static Expr weightText(WeightAtOp at) {
  Expr base{"weights." + at.getWeight().str()};
  if (!at.getLayer())
    return base;
  auto weight =
      SymbolTable::lookupNearestSymbolFrom<WeightOp>(at, at.getWeightAttr());
  Expr layer = ::fdpp::valueText(at.getLayer());
  return binary(base, "+", scaled(layer, getStoredLayerElements(weight)));
}

/// A range of a table's columns.
static Expr subviewText(memref::SubViewOp view) {
  Expr base = ::fdpp::valueText(view.getSource());
  OpFoldResult column = view.getMixedOffsets().back();
  if (auto value = dyn_cast<Value>(column))
    return binary(base, "+", ::fdpp::valueText(value));
  auto constant = cast<IntegerAttr>(cast<Attribute>(column));
  return binary(base, "+", Expr{std::to_string(constant.getInt())});
}

auto ::fdpp::valueText(Value value) -> Expr {
  if (StringRef role = roleOf(value); !role.empty())
    return {stepField(role)};
  if (isa<BlockArgument>(value))
    return {"layer"};
  Operation *def = value.getDefiningOp();
  if (auto text = ::fdpp::arithmetic(def, valueText))
    return *text;
  if (auto dim = dyn_cast<memref::DimOp>(def))
    return {rowsText(dim.getSource())};
  if (auto at = dyn_cast<WeightAtOp>(def))
    return weightText(at);
  if (auto view = dyn_cast<memref::SubViewOp>(def))
    return subviewText(view);
  if (auto constant = dyn_cast<LayerConstantOp>(def))
    return {::fdpp::valueName(value) + "(" +
            valueText(constant.getLayer()).text + ")"};
  return {::fdpp::valueName(value)};
}

auto ::fdpp::rowsText(Value value) -> std::string {
  if (StringRef role = roleOf(value); !role.empty())
    return countOf(role);
  if (auto view = value.getDefiningOp<memref::SubViewOp>())
    return rowsText(view.getSource());
  if (auto view = value.getDefiningOp<memref::ViewOp>())
    return valueText(view.getSizes().front()).text;
  // A weight's extents are fixed.
  auto type = cast<ShapedType>(value.getType());
  return std::to_string(type.getRank() > 0 ? type.getDimSize(0) : 1);
}
