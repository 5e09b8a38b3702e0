// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// New weights out of old ones: banks and weights with an init region.

#ifndef FDPP_LIB_DIALECT_FDPP_TRANSFORMS_WEIGHTS_H
#define FDPP_LIB_DIALECT_FDPP_TRANSFORMS_WEIGHTS_H

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

#include <map>

namespace mlir::fdpp {

/// The weights of a module while passes replace them.
class Weights {
public:
  explicit Weights(ModuleOp module) : module(module), table(module) {}

  WeightOp lookup(StringRef name) { return table.lookup<WeightOp>(name); }
  WeightOp lookup(WeightAtOp at) { return lookup(at.getWeight()); }

  /// A text that is the same for two weights exactly when they differ in
  /// nothing but where their elements come from, so that they can be layers of
  /// one bank. Empty for a bank.
  std::string signature(WeightOp weight);

  /// The bank whose layers are these weights, all of one signature; the same
  /// list gives the same bank. Takes the first one's name and location. If all
  /// are one weight, that weight.
  WeightOp bank(ArrayRef<WeightOp> layers);

  /// A weight of `type` with as many layers as `like`, named `name` or a name
  /// near it, with an init region whose yielded value `body` builds from the
  /// layer (null if `like` is no bank).
  WeightOp create(StringRef name, WeightOp like, RankedTensorType type,
                  function_ref<Value(OpBuilder &, Value layer)> body);

  /// Renames a weight and every access to it; the name taken is near `name`.
  void rename(WeightOp weight, StringRef name);

  /// Erases weights that nothing reads.
  void eraseUnused();

private:
  WeightOp bankOfSources(ArrayRef<WeightOp> layers);
  WeightOp bankOfInits(ArrayRef<WeightOp> layers);

  ModuleOp module;
  SymbolTable table;
  std::map<std::vector<Operation *>, WeightOp> banks;
};

} // namespace mlir::fdpp

#endif // FDPP_LIB_DIALECT_FDPP_TRANSFORMS_WEIGHTS_H
