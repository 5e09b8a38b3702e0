// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Files to modules, and what goes wrong on the way to one line.

#ifndef FDPP_LIB_ENGINE_LOADMODEL_H
#define FDPP_LIB_ENGINE_LOADMODEL_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

namespace mlir::fdpp {

/// Keeps the first error that is emitted in a context, as one line.
class FirstError {
public:
  explicit FirstError(MLIRContext &context);
  /// The line; `otherwise` if nothing was emitted.
  std::string take(llvm::StringRef otherwise);

private:
  std::string line;
  ScopedDiagnosticHandler handler;
};

/// Whether a path is MLIR text or bytecode, by its name or content.
bool isMLIR(llvm::StringRef path);

/// Reads a model in whatever form it has.
llvm::Expected<OwningOpRef<ModuleOp>> loadModel(llvm::StringRef path,
                                                MLIRContext &context);

/// Replaces every weight that lies in a file, and every seed: the j-th source
/// of the module gets `#fdpp.seeded<(seed << 32) + j + 1>`.
void makeWeightsSynthetic(ModuleOp module, uint64_t seed);

} // namespace mlir::fdpp

#endif // FDPP_LIB_ENGINE_LOADMODEL_H
