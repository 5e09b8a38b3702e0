// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ElementTables.cpp - Constants as functions of an index -------------===//
//
// Graphs of fixed extents have what others compute as tables: ranges as lists,
// masks as matrices. A table is read if one formula gives all of it.
//
//===----------------------------------------------------------------------===//
#include "Elements.h"

#include "fdpp/Interpreter/Tensor.h"

#include <cmath>

namespace mlir::fdpp::onnx {

namespace {
/// A constant over one or two of its dimensions; of the others one index is
/// read.
struct Table {
  Tensor values;
  SmallVector<int64_t, 2> extents, strides;
  SmallVector<AffineExpr, 2> at;
  int64_t first = 0;

  int64_t rows() const { return extents.size() == 2 ? extents[0] : 1; }
  int64_t columns() const { return extents.back(); }
  double operator()(int64_t row, int64_t column) const {
    int64_t down = extents.size() == 2 ? row * strides[0] : 0;
    return values.asDouble(first + down + column * strides.back());
  }
};
} // namespace

static std::optional<Table> tableOf(DenseElementsAttr elements,
                                    ArrayRef<AffineExpr> at) {
  auto type = cast<RankedTensorType>(elements.getType());
  Table table{tensorFrom(elements), {}, {}, {}, 0};
  if (table.values.isAbsent() || type.getNumElements() == 0)
    return std::nullopt;
  int64_t stride = type.getNumElements();
  for (auto [extent, index] : llvm::zip_equal(type.getShape(), at)) {
    stride /= std::max<int64_t>(extent, 1);
    if (auto fixed = dyn_cast<AffineConstantExpr>(index)) {
      if (fixed.getValue() < 0 || fixed.getValue() >= extent)
        return std::nullopt;
      table.first += fixed.getValue() * stride;
    } else if (extent != 1) {
      table.extents.push_back(extent);
      table.strides.push_back(stride);
      table.at.push_back(index);
    }
  }
  return table.extents.size() <= 2 ? std::optional(table) : std::nullopt;
}

/// `base + a * row + b * column`, if that is every element.
static AffineExpr fitSum(const Table &table) {
  // Sums of products of larger numbers are not exact here.
  constexpr double kLimit = int64_t(1) << 31;
  double below = table.rows() > 1 ? table(1, 0) : 0;
  double beside = table.columns() > 1 ? table(0, 1) : 0;
  if (std::max({std::abs(table(0, 0)), std::abs(below), std::abs(beside)}) >
      kLimit)
    return {};
  int64_t base = table(0, 0);
  int64_t a = table.rows() > 1 ? int64_t(below) - base : 0;
  int64_t b = table.columns() > 1 ? int64_t(beside) - base : 0;
  for (int64_t i = 0; i < table.rows(); ++i)
    for (int64_t j = 0; j < table.columns(); ++j)
      if (table(i, j) != base + a * i + b * j)
        return {};
  AffineExpr sum = table.at.back() * b + base;
  return table.at.size() == 2 ? sum + table.at[0] * a : sum;
}

/// The condition column - row <= last and column - row >= first, if that is
/// where the table holds `high`.
static Predicate::Ref fitBand(const Table &table, double high) {
  std::optional<int64_t> first, last;
  for (int64_t i = 0; i < table.rows(); ++i)
    for (int64_t j = 0; j < table.columns(); ++j)
      if (table(i, j) == high) {
        first = std::min(first.value_or(j - i), j - i);
        last = std::max(last.value_or(j - i), j - i);
      }
  if (!first)
    return nullptr;
  for (int64_t i = 0; i < table.rows(); ++i)
    for (int64_t j = 0; j < table.columns(); ++j)
      if ((table(i, j) == high) != (j - i >= *first && j - i <= *last))
        return nullptr;
  Predicate::Ref all = makeTruth(true);
  AffineExpr slack = table.at[0] - table.at[1];
  if (*last < table.columns() - 1)
    all = makeJunction(Predicate::And, all, makeAtLeastZero(slack + *last));
  if (*first > 1 - table.rows())
    all = makeJunction(Predicate::And, all, makeAtLeastZero(-slack - *first));
  return all;
}

/// A table of at most two numbers, as where the higher stands.
static Element fitChoice(const Table &table) {
  double high = table(0, 0), low = high;
  for (int64_t i = 0; i < table.rows(); ++i)
    for (int64_t j = 0; j < table.columns(); ++j) {
      high = std::max(high, table(i, j));
      low = std::min(low, table(i, j));
    }
  for (int64_t i = 0; i < table.rows(); ++i)
    for (int64_t j = 0; j < table.columns(); ++j)
      if (table(i, j) != high && table(i, j) != low)
        return {};
  bool isFloat = table.values.isFloat();
  if (high == low && !isFloat)
    return {nullptr, makeTruth(high != 0), std::nullopt};
  Predicate::Ref band;
  if (high == low)
    band = makeTruth(true);
  else if (table.extents.size() == 2)
    band = fitBand(table, high);
  if (!band)
    return {};
  if (isFloat)
    return {nullptr, band, std::pair(high, low)};
  return {nullptr, band, std::nullopt};
}

Element Elements::readTable(DenseElementsAttr elements,
                            ArrayRef<AffineExpr> at) {
  auto table = tableOf(elements, at);
  if (!table)
    return {};
  if (table->extents.empty())
    return fromConstant(table->values, table->first);
  if (table->values.isFloat() || table->values.kind() == TensorKind::Bool)
    return fitChoice(*table);
  AffineExpr sum = fitSum(*table);
  return sum ? Element{layout.simplify(sum), nullptr, std::nullopt} : Element();
}

} // namespace mlir::fdpp::onnx
