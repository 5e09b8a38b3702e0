// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Compose.h - Operators from what they decompose to --------*- C++ -*-===//
//
// A composer looks at one op as the root of a decomposed operator. If it is
// one, it creates the operator on [batch, sequence, width] tensors, replaces
// the root's results and returns true. Where elements come from is read through
// whatever moves them (Layout.h), so that it does not matter how an exporter
// splits heads, repeats keys or slices halves.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_LIB_DIALECT_ONNX_TRANSFORMS_COMPOSE_H
#define FDPP_LIB_DIALECT_ONNX_TRANSFORMS_COMPOSE_H

#include "Layout.h"

namespace mlir::fdpp::onnx {

class Composer {
public:
  explicit Composer(func::FuncOp func)
      : shapes(func), builder(func.getContext()) {}

  /// An onnx operator; null operands and types are left out.
  Operator create(Location loc, StringRef name, ArrayRef<Value> operands,
                  ArrayRef<Type> types, ArrayRef<NamedAttribute> attributes);
  Value createOne(Location loc, StringRef name, ArrayRef<Value> operands,
                  Type type, ArrayRef<NamedAttribute> attributes = {}) {
    return create(loc, name, operands, type, attributes).outputAt(0);
  }
  Value ints(Location loc, ArrayRef<int64_t> values);
  NamedAttribute attribute(StringRef name, int64_t value);
  NamedAttribute attribute(StringRef name, double value);

  /// [batch, sequence, heads * dim] as [batch, heads, sequence, dim].
  Value splitHeads(Location loc, Value rows, RankedTensorType type);

  /// The extent, 0 if it is not static.
  int64_t extent(Value value, int64_t dim) const;
  /// An index below `extent`: nothing but 0 is below 1.
  AffineExpr index(unsigned dim, AffineExpr extent) const;

  SymbolicShapes shapes;
  OpBuilder builder;
  /// Rotary tables made, nulls where that failed, by cosines, sines and, of
  /// constants, positions.
  llvm::DenseMap<std::tuple<Value, Value, Value, AffineExpr>,
                 std::pair<Value, Value>>
      tables;
};

/// The only element of a constant, nullopt if it is none.
std::optional<double> scalarOf(Value value);
/// The op called `name` of the default domain that defines `value`, or null.
Operator definedBy(Value value, StringRef name);

// ComposeNorm.cpp
bool composeNorm(Operator root, Composer &c);
// ComposeRotary.cpp
bool composeRotary(Operator root, Composer &c);
bool splitRotary(Operator root, Composer &c);
// ComposeAttention.cpp
bool composeAttention(Operator root, Composer &c);
bool flattenAttention(Operator root, Composer &c);

} // namespace mlir::fdpp::onnx

#endif // FDPP_LIB_DIALECT_ONNX_TRANSFORMS_COMPOSE_H
