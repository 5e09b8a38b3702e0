// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prints an emittable module as CUDA C++.

#ifndef FDPP_TARGET_CUDA_EMITCUDA_H
#define FDPP_TARGET_CUDA_EMITCUDA_H

#include "mlir/Support/LLVM.h"

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace fdpp {

/// printModel (Common/ModelPrinter.h) over the kernels in kernels/cuda: the
/// host code that launches them, for nvcc.
mlir::LogicalResult emitCUDA(mlir::ModuleOp module, llvm::raw_ostream &os);

} // namespace fdpp

#endif // FDPP_TARGET_CUDA_EMITCUDA_H
