// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_LIB_TARGET_COMMON_CHECKENTRY_H
#define FDPP_LIB_TARGET_COMMON_CHECKENTRY_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace fdpp {

/// Whether an entry is as the printer needs it, beyond what the ops' own
/// verifiers and the phase's contract say; emits an error if not. The passes
/// make nothing else, text written by hand may.
llvm::LogicalResult checkEntry(mlir::func::FuncOp entry);

} // namespace fdpp

#endif // FDPP_LIB_TARGET_COMMON_CHECKENTRY_H
