// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Faults.h - Mistakes that checks must find ----------------*- C++ -*-===//
#ifndef FDPP_LIB_INTERPRETER_FAULTS_H
#define FDPP_LIB_INTERPRETER_FAULTS_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"

namespace mlir::fdpp {

/// A mistake of a kind that compilers of such models make. `inject` returns
/// false where the module has nothing to break.
struct Fault {
  StringRef name;
  bool (*inject)(ModuleOp);
};

/// Faults of graphs, from import to recognised.
ArrayRef<Fault> graphFaults();
/// Faults of a @step over tensors, raised or rolled.
ArrayRef<Fault> stepFaults();
/// Faults of what fusion, specialisation and planning add.
ArrayRef<Fault> loweredFaults();

/// The last operation of its kind that `accept` takes. (The last one, since a
/// fault early in a model is noticed more easily.)
template <typename OpTy, typename Fn>
OpTy findLast(ModuleOp module, Fn accept) {
  OpTy found;
  module.walk([&](OpTy op) {
    if (accept(op))
      found = op;
  });
  return found;
}
template <typename OpTy> OpTy findLast(ModuleOp module) {
  return findLast<OpTy>(module, [](OpTy) { return true; });
}

inline FloatAttr times(FloatAttr attr, double factor) {
  return FloatAttr::get(attr.getType(), attr.getValueAsDouble() * factor);
}

} // namespace mlir::fdpp

#endif // FDPP_LIB_INTERPRETER_FAULTS_H
