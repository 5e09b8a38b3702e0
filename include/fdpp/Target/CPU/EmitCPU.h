// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prints an emittable module as C++ for the CPU.

#ifndef FDPP_TARGET_CPU_EMITCPU_H
#define FDPP_TARGET_CPU_EMITCPU_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/StringRef.h"

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace fdpp {

/// Module attribute of modules whose text has taps.
inline constexpr llvm::StringLiteral kTapsAttr = "fdpp.taps";

/// Writes the translation unit of a module in the phase 'emittable'. Module
/// attributes `fdpp.arch` and `fdpp.features` (strings) go into the model's
/// table; with `fdpp.taps` (unit) the text shows its values to a callback of
/// the step, see docs/compare.md. Only prints: everything that can fail is
/// checked by
/// --fdpp-name-for-emission, except missing `fdpp.model` and entries.
mlir::LogicalResult emitCPU(mlir::ModuleOp module, llvm::raw_ostream &os);

} // namespace fdpp

#endif // FDPP_TARGET_CPU_EMITCPU_H
