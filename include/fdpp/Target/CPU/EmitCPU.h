// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prints an emittable module as C++ for the CPU.

#ifndef FDPP_TARGET_CPU_EMITCPU_H
#define FDPP_TARGET_CPU_EMITCPU_H

#include "mlir/Support/LLVM.h"

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace fdpp {

/// printModel (Common/ModelPrinter.h) over the kernels in kernels/cpu.
mlir::LogicalResult emitCPU(mlir::ModuleOp module, llvm::raw_ostream &os);

} // namespace fdpp

#endif // FDPP_TARGET_CPU_EMITCPU_H
