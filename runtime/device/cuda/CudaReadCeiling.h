// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_DEVICE_CUDA_CUDAREADCEILING_H
#define FDPP_RUNTIME_DEVICE_CUDA_CUDAREADCEILING_H

#include "CudaDriver.h"

namespace fdpp::runtime {

/// The best rate, in bytes a second, at which a GPU with so many processors
/// reads the memory, which must be larger than its caches; 0 where that cannot
/// be measured, with the error in `error`. In the current context.
double cudaReadCeiling(CudaPointer memory, uint64_t bytes, int processors,
                       CudaStream *stream, CudaResult &error);

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_CUDA_CUDAREADCEILING_H
