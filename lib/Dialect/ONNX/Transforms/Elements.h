// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Elements.h - One element as a function of its index ------*- C++ -*-===//
//
// Reads mask subgraphs backwards: what is element [d0, d1, ...] of a tensor,
// as an expression in its indices (affine dimensions) and the input extents
// (affine symbols of SymbolicShapes)?
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_LIB_DIALECT_ONNX_TRANSFORMS_ELEMENTS_H
#define FDPP_LIB_DIALECT_ONNX_TRANSFORMS_ELEMENTS_H

#include "Layout.h"

#include <memory>

namespace mlir::fdpp {
class Tensor;
}

namespace mlir::fdpp::onnx {

/// A condition on an element.
struct Predicate {
  enum Kind {
    True,
    False,
    AtLeastZero, // expr >= 0
    Nonzero,     // element [indices] of argument `source` is not zero
    And,
    Or
  };
  using Ref = std::shared_ptr<const Predicate>;

  Kind kind = True;
  AffineExpr expr;
  Value source;
  SmallVector<AffineExpr, 4> indices;
  SmallVector<Ref, 2> parts;
  bool negated = false; // of Nonzero
};

/// What an element is: exactly one of the fields, or none if not understood.
struct Element {
  AffineExpr integer;
  Predicate::Ref truth;
  /// A float that is `high` where truth holds and `low` elsewhere.
  std::optional<std::pair<double, double>> floats;

  bool isKnown() const { return integer || truth; }
};

class Elements {
public:
  /// Dimension i of an index runs below `extents[i]`; null is any extent.
  Elements(const SymbolicShapes &shapes, ArrayRef<AffineExpr> extents);

  /// Element `at` of `value`, whose rank is the number of indices.
  Element read(Value value, ArrayRef<AffineExpr> at);

  /// The index `at` of a tensor as that of `value`, of which one element may
  /// stand for all along a dimension; null where nobody knows whether it does.
  AffineExpr broadcastIndex(Value value, int64_t dim, AffineExpr at) const;

  /// `predicate` in words, for messages: d0... are the mask's indices.
  std::string print(const Predicate &predicate) const;

  /// The first operation that read() did not understand since construction.
  Operation *obstacle() const { return stuck; }

private:
  Element readOperator(Operator op, ArrayRef<AffineExpr> at);
  Element readArgument(Value value, ArrayRef<AffineExpr> at);
  Element readConstant(DenseElementsAttr elements, ArrayRef<AffineExpr> at);
  Element readTable(DenseElementsAttr elements, ArrayRef<AffineExpr> at);
  Element fromConstant(const Tensor &value, int64_t index) const;
  Element readCast(Operator op, ArrayRef<AffineExpr> at);
  Element readRange(Operator op, ArrayRef<AffineExpr> at);
  Element readFill(Operator op, ArrayRef<AffineExpr> at);
  Element readConcat(Operator op, ArrayRef<AffineExpr> at);
  Element readGather(Operator op, ArrayRef<AffineExpr> at);
  Element readGatherND(Operator op, ArrayRef<AffineExpr> at);
  Element readCumSum(Operator op, ArrayRef<AffineExpr> at);
  Element readCompare(Operator op, ArrayRef<AffineExpr> at);
  Element readLogic(Operator op, ArrayRef<AffineExpr> at);
  Element readArithmetic(Operator op, ArrayRef<AffineExpr> at);
  Element readWhere(Operator op, ArrayRef<AffineExpr> at);
  /// The operand's element for index `at` of the broadcast result.
  Element readBroadcast(Value operand, ArrayRef<AffineExpr> at);
  Predicate::Ref asTruth(const Element &element);
  AffineExpr number(int64_t value) const;

  const SymbolicShapes &shapes;
  Layout layout;
  SmallVector<AffineExpr, 4> extents;
  MLIRContext *context;
  Operation *stuck = nullptr;
};

Predicate::Ref makeTruth(bool value);
Predicate::Ref makeAtLeastZero(AffineExpr expr);
Predicate::Ref makeJunction(Predicate::Kind kind, Predicate::Ref a,
                            Predicate::Ref b);
Predicate::Ref makeNot(const Predicate &predicate);

} // namespace mlir::fdpp::onnx

#endif // FDPP_LIB_DIALECT_ONNX_TRANSFORMS_ELEMENTS_H
