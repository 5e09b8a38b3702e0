// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where a value comes from. The location of an operation names the ONNX node
// whose value it computes; that is how fdpp-compare finds the same value in the
// graph, in every phase and in the engine. Passes that merge operations keep it
// so: the location of what remains names the last value of those it does.
//
//   - In a loop over layers a location has one name for each iteration.
//   - A segment of a fused linear computes the value that its terminator's
//     location names; the linear's own location is only for diagnostics.

#ifndef FDPP_DIALECT_FDPP_IR_PROVENANCE_H
#define FDPP_DIALECT_FDPP_IR_PROVENANCE_H

#include "mlir/IR/Location.h"
#include "llvm/ADT/SmallVector.h"

namespace mlir::fdpp {

/// The location of an operation that stands for one in each iteration of a
/// loop; the first one if some of them name no node or the same.
Location locationOfIterations(ArrayRef<Location> iterations);

/// The node that computes the value: one name, or one for each iteration of the
/// loop around the operation. Empty if the location does not tell.
SmallVector<StringRef> nodesOf(Location loc);

/// The same in one iteration (0 outside of loops); "" if it is unknown.
StringRef nodeOf(Location loc, int64_t iteration);

} // namespace mlir::fdpp

#endif // FDPP_DIALECT_FDPP_IR_PROVENANCE_H
