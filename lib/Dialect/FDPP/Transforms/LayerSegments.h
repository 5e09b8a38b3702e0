// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The step cut at the residual stream, and the repetition in it.

#ifndef FDPP_LIB_DIALECT_FDPP_TRANSFORMS_LAYERSEGMENTS_H
#define FDPP_LIB_DIALECT_FDPP_TRANSFORMS_LAYERSEGMENTS_H

#include "LayerScalars.h"
#include "Weights.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <vector>

namespace mlir::fdpp {

/// Operations between two cuts. A cut is a place in the step where everything
/// later depends on everything earlier through one activation, the residual
/// stream, and one cache; values that depend on neither (weights, rotary
/// tables, slots) do not count.
struct Segment {
  Value streamIn, streamOut;
  /// The cache that enters; null if the step has none.
  Value cacheIn, cacheOut;
  SmallVector<Operation *> ops;
  /// What may differ between repetitions, in order of first use: accesses to
  /// weights and constant indices (the layer).
  SmallVector<Value> parameters;
  /// Further values that stand for a parameter.
  SmallVector<std::pair<Value, Value>> aliases;
  /// Scalars of the operations, and the rotary tables they read, in order of
  /// first use. Repetitions have them in common, or a bank of them.
  SmallVector<LayerScalar> scalars;
  SmallVector<RopeTableOp> tables;
  /// Values from before that all repetitions share.
  SmallVector<Value> invariants;
  /// One text an operation; equal texts mean equal segments but for the
  /// parameters, scalars and tables.
  SmallVector<std::string> signature;
};

/// `count` times `period` segments, from segment `start` on.
struct Repetition {
  unsigned start, period, count;
  unsigned size() const { return period * count; }
};

/// Cuts the body of an entry.
std::vector<Segment> cutAtStream(func::FuncOp entry, Weights &weights);

/// The repetition that covers most segments; of equals first one without banks
/// of scalars, then the one with the shortest period. Each repetition must read
/// a weight.
std::optional<Repetition> findRepetition(ArrayRef<Segment> segments);

/// Why segments with the same operations are not equal: two operations that
/// differ, null if no two segments are alike, and the reason in words.
struct Difference {
  Operation *first = nullptr, *second = nullptr;
  std::string reason = "no part of the step occurs twice";
};
Difference firstDifference(ArrayRef<Segment> segments);

/// The value of an `arith.constant` of type index.
int64_t constantIndex(Value value);

} // namespace mlir::fdpp

#endif // FDPP_LIB_DIALECT_FDPP_TRANSFORMS_LAYERSEGMENTS_H
