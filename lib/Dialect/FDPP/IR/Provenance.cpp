// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Dialect/FDPP/IR/Provenance.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

/// Marks a fused location whose parts are iterations.
static StringAttr iterationsMark(MLIRContext *context) {
  return StringAttr::get(context, "fdpp.iterations");
}

Location mlir::fdpp::locationOfIterations(ArrayRef<Location> iterations) {
  Location first = iterations.front();
  if (iterations.size() == 1 ||
      !llvm::all_of(iterations, llvm::IsaPred<NameLoc>))
    return first;
  MLIRContext *context = first.getContext();
  // Equal parts become one: then the number of iterations is lost.
  auto fused = dyn_cast<FusedLoc>(
      Location(FusedLoc::get(iterations, iterationsMark(context), context)));
  if (!fused || fused.getLocations().size() != iterations.size())
    return first;
  return fused;
}

SmallVector<StringRef> mlir::fdpp::nodesOf(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return {name.getName().getValue()};
  auto fused = dyn_cast<FusedLoc>(loc);
  if (!fused || fused.getMetadata() != iterationsMark(loc.getContext()))
    return {};
  SmallVector<StringRef> nodes;
  for (Location part : fused.getLocations())
    nodes.push_back(cast<NameLoc>(part).getName().getValue());
  return nodes;
}

StringRef mlir::fdpp::nodeOf(Location loc, int64_t iteration) {
  SmallVector<StringRef> nodes = nodesOf(loc);
  if (nodes.size() == 1)
    return nodes.front();
  bool known = iteration >= 0 && iteration < static_cast<int64_t>(nodes.size());
  return known ? nodes[iteration] : StringRef();
}
