// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rotary tables of several layers side by side in one.

#ifndef FDPP_LIB_DIALECT_FDPP_TRANSFORMS_ROPETABLEBANK_H
#define FDPP_LIB_DIALECT_FDPP_TRANSFORMS_ROPETABLEBANK_H

#include "Weights.h"

namespace mlir::fdpp {

/// Tables that differ in nothing but their frequencies, computed as one over
/// all their frequencies: each is a range of its columns. A step computes every
/// angle once, however many layers there are.
class RopeTableBank {
public:
  /// `tables` has one table a layer; the same may occur often. All stand before
  /// the builder's place.
  RopeTableBank(OpBuilder &builder, Weights &weights,
                ArrayRef<RopeTableOp> tables);

  /// The cosines and sines of `layer`.
  std::array<Value, 2> ofLayer(OpBuilder &builder, Value layer) const;

private:
  RopeTableOp all;
  int64_t columns = 0;
  /// The first column of each layer.
  SmallVector<TypedAttr> firstColumns;
};

} // namespace mlir::fdpp

#endif // FDPP_LIB_DIALECT_FDPP_TRANSFORMS_ROPETABLEBANK_H
