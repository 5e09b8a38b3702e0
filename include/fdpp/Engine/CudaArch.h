// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --arch of the CUDA target.

#ifndef FDPP_ENGINE_CUDAARCH_H
#define FDPP_ENGINE_CUDAARCH_H

#include "fdpp/Engine/TargetArch.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace mlir::fdpp {

/// Reads a list of `sm_80`, `sm_86`, `sm_89`, `sm_90a`, `sm_100a`, `sm_103a`,
/// `sm_120a`, separated by commas; the result has them in this order. The code
/// holds machine code for each and, for later GPUs, PTX of compute_80.
llvm::Expected<TargetArch> resolveCudaArch(llvm::StringRef list);

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_CUDAARCH_H
