// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Symbolic.h - Shapes as functions of input extents --------*- C++ -*-===//
#ifndef FDPP_LIB_DIALECT_ONNX_TRANSFORMS_SYMBOLIC_H
#define FDPP_LIB_DIALECT_ONNX_TRANSFORMS_SYMBOLIC_H

#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AffineExpr.h"

namespace mlir::fdpp::onnx {

/// Whether a cast leaves every extent what it is: to integers of a width that
/// holds them.
bool keepsExtents(Operator cast);

/// The dynamic extents of a function's arguments as symbols, and the extents
/// of every value, and elements of small integer tensors, as expressions in
/// them. Extents that the model gives the same name are one symbol.
class SymbolicShapes {
public:
  /// Where a symbol can be read.
  struct Symbol {
    Value source;
    int64_t dim;
    std::string name;
  };
  using Exprs = SmallVector<AffineExpr, 4>;

  explicit SymbolicShapes(func::FuncOp func);

  /// Extents of `value`, null where unknown; nullopt if even the rank is.
  const std::optional<Exprs> &shapeOf(Value value) const;
  /// Extent `dim` of `value`, null if unknown.
  AffineExpr extentOf(Value value, int64_t dim) const;
  /// Elements of a small integer tensor; nullopt unless all are known.
  const std::optional<Exprs> &elementsOf(Value value) const;

  /// A tensor of `type` with these elements: a constant, or onnx.extents.
  Value materialize(OpBuilder &builder, Location loc, RankedTensorType type,
                    ArrayRef<AffineExpr> values) const;

  /// Adds what a new operation computes.
  void note(Operation *op) { visit(op); }

  MLIRContext *getContext() const { return context; }
  ArrayRef<Symbol> symbols() const { return symbolTable; }
  /// `expr` with the names of the extents.
  std::string print(AffineExpr expr) const;

private:
  void addArgument(func::FuncOp func, unsigned index);
  AffineExpr symbolCalled(StringRef name, Value source, int64_t dim);
  void visit(Operation *op);
  AffineExpr simplify(AffineExpr expr) const;
  std::optional<Exprs> inferShape(Operator op);
  std::optional<Exprs> broadcastShape(Operator op);
  std::optional<Exprs> movedShape(Operator op, StringRef name);
  std::optional<Exprs> slicedShape(Operator op);
  std::optional<Exprs> reshaped(Operator op);
  std::optional<Exprs> productShape(Operator op);
  std::optional<Exprs> attentionShape(Operator op);
  std::optional<Exprs> inferElements(Operator op);
  std::optional<Exprs> shapeElements(Operator op);
  std::optional<Exprs> arithmetic(Operator op);
  std::optional<Exprs> sliceElements(Operator op);
  std::optional<Exprs> chosenElements(Operator op);
  bool isAtLeastZero(AffineExpr expr) const;
  std::optional<Exprs> typeShape(Type type);
  AffineExpr constant(int64_t value) const {
    return getAffineConstantExpr(value, context);
  }

  MLIRContext *context;
  SmallVector<Symbol> symbolTable;
  llvm::DenseMap<Value, std::optional<Exprs>> shapes;
  llvm::DenseMap<Value, std::optional<Exprs>> elements;
  std::optional<Exprs> unknown;
};

} // namespace mlir::fdpp::onnx

#endif // FDPP_LIB_DIALECT_ONNX_TRANSFORMS_SYMBOLIC_H
