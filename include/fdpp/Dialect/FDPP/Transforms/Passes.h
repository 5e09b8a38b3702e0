// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Passes over the fdpp dialect, in the order of the phases.

#ifndef FDPP_DIALECT_FDPP_TRANSFORMS_PASSES_H
#define FDPP_DIALECT_FDPP_TRANSFORMS_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace mlir::fdpp {

#define GEN_PASS_DECL
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"

/// Lets One-Shot Bufferize turn the dialect's destination-style operations
/// into their planned form.
void registerBufferizableOpInterfaceExternalModels(DialectRegistry &registry);

} // namespace mlir::fdpp

#endif // FDPP_DIALECT_FDPP_TRANSFORMS_PASSES_H
