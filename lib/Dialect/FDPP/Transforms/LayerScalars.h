// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The scalars of an operation that layers may differ in: attributes whose place
// an operand can take.

#ifndef FDPP_LIB_DIALECT_FDPP_TRANSFORMS_LAYERSCALARS_H
#define FDPP_LIB_DIALECT_FDPP_TRANSFORMS_LAYERSCALARS_H

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/IR/Builders.h"

namespace mlir::fdpp {

/// An attribute of an operation: a float, or an integer where the operand is an
/// index.
struct LayerScalar {
  Operation *op;
  StringRef name;
  TypedAttr value;
};

/// The scalars that `op` has as attributes.
SmallVector<LayerScalar> scalarsOf(Operation *op);

/// Gives `op` the operand `value` in the place of its attribute `name`.
void setOfLayer(Operation *op, StringRef name, Value value);

/// `fdpp.layer_constant` of these attributes, one a layer.
Value createLayerConstant(OpBuilder &builder, Location loc,
                          ArrayRef<TypedAttr> values, Value layer);

} // namespace mlir::fdpp

#endif // FDPP_LIB_DIALECT_FDPP_TRANSFORMS_LAYERSCALARS_H
