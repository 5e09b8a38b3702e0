// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prints an emittable module as source. Targets have one text but for what is
// named here: their kernels have the same names and arguments.

#ifndef FDPP_TARGET_COMMON_MODELPRINTER_H
#define FDPP_TARGET_COMMON_MODELPRINTER_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/StringRef.h"

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace fdpp {

/// Module attribute of modules whose text has taps.
inline constexpr llvm::StringLiteral kTapsAttr = "fdpp.taps";

/// In what the texts of targets differ.
struct TargetText {
  /// Its kernels are kernels/NAME/model.h, in the namespace fdpp::NAME.
  llvm::StringRef name;
  /// The namespace of the text, with a space; empty: one without a name.
  llvm::StringRef enclosing;
  /// What runs a kernel, its first argument: type and name.
  llvm::StringRef contextType, context;
  /// In front of functions for any context: entries are templates then, and
  /// Model::decode gives the decode step to each. Empty: they take a
  /// contextType.
  llvm::StringRef anyContext;
  /// In front of the bodies that kernels call: epilogues and lambdas.
  llvm::StringRef qualifier;
  /// The type of an elementwise lambda's arguments.
  llvm::StringRef elementType;
};

/// Writes the translation unit of a module in the phase 'emittable'. Module
/// attributes `fdpp.arch` and `fdpp.features` (strings) go into the model's
/// table; with `fdpp.taps` (unit) the text shows its values to a callback of
/// the step, see docs/compare.md. Only prints: everything that can fail is
/// checked by
/// --fdpp-name-for-emission, except missing `fdpp.model` and entries.
mlir::LogicalResult printModel(mlir::ModuleOp module, const TargetText &target,
                               llvm::raw_ostream &os);

} // namespace fdpp

#endif // FDPP_TARGET_COMMON_MODELPRINTER_H
