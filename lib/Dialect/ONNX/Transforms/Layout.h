// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Layout.h - Where an element comes from -------------------*- C++ -*-===//
//
// Ops that only move elements, read backwards: element [i, j, ...] of the
// result is which element of the operand? Indices are affine expressions in
// dimensions whose extents are known and in the symbols of SymbolicShapes.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_LIB_DIALECT_ONNX_TRANSFORMS_LAYOUT_H
#define FDPP_LIB_DIALECT_ONNX_TRANSFORMS_LAYOUT_H

#include "Symbolic.h"

namespace mlir::fdpp::onnx {

/// An element of a tensor.
struct Place {
  Value value;
  SmallVector<AffineExpr, 4> at;

  bool operator==(const Place &) const = default;
};

class Layout {
public:
  /// Dimension i of an index runs below `extents[i]`; null is any extent.
  Layout(const SymbolicShapes &shapes, ArrayRef<AffineExpr> extents);
  /// Indices of `value` itself: a dimension each, 0 where the extent is 1.
  Layout(const SymbolicShapes &shapes, Value value);

  /// Element [d0, d1, ...] of the value this was made for.
  SmallVector<AffineExpr, 4> identity() const;

  /// The same element of the operand of an op that moves elements; nullopt
  /// for any other op, and where the operand depends on the index.
  std::optional<Place> step(Operator op, ArrayRef<AffineExpr> at) const;
  /// Steps as far as they go.
  Place trace(Value value, ArrayRef<AffineExpr> at) const;

  /// The element of an operand that is broadcast to a result's element.
  std::optional<Place> broadcast(Value operand, ArrayRef<AffineExpr> at) const;

  /// Least and largest value of an index expression, nullopt if unknown.
  std::optional<int64_t> lower(AffineExpr expr) const;
  std::optional<int64_t> upper(AffineExpr expr) const;
  AffineExpr simplify(AffineExpr expr) const;
  AffineExpr number(int64_t value) const {
    return getAffineConstantExpr(value, context);
  }

private:
  using Exprs = SmallVector<AffineExpr, 4>;

  std::optional<Place> transpose(Operator op, ArrayRef<AffineExpr> at) const;
  std::optional<Place> unit(Operator op, ArrayRef<AffineExpr> at) const;
  std::optional<Place> expand(Operator op, ArrayRef<AffineExpr> at) const;
  std::optional<Place> slice(Operator op, ArrayRef<AffineExpr> at) const;
  std::optional<Place> concat(Operator op, ArrayRef<AffineExpr> at) const;
  std::optional<Place> reshape(Operator op, ArrayRef<AffineExpr> at) const;
  /// How many of `others`, from `at` on, have the product `extent`; 0 if none.
  size_t factorsOf(AffineExpr extent, ArrayRef<AffineExpr> others,
                   size_t at) const;
  /// The index of a group of extents that another group of equal product has
  /// the index `at` in.
  std::optional<Exprs> regroup(ArrayRef<AffineExpr> from,
                               ArrayRef<AffineExpr> at,
                               ArrayRef<AffineExpr> to) const;
  AffineExpr linear(ArrayRef<AffineExpr> extents,
                    ArrayRef<AffineExpr> at) const;
  /// `expr` as quotient and rest of a division by an extent.
  std::optional<std::pair<AffineExpr, AffineExpr>>
  divide(AffineExpr expr, AffineExpr extent) const;

  const SymbolicShapes &shapes;
  MLIRContext *context;
  Exprs extents;
};

/// The summands of an expression.
SmallVector<AffineExpr, 4> summandsOf(AffineExpr expr);

} // namespace mlir::fdpp::onnx

#endif // FDPP_LIB_DIALECT_ONNX_TRANSFORMS_LAYOUT_H
