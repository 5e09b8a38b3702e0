// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What runs the kernels of a step, one after another.
#ifndef FDPP_KERNELS_CUDA_STREAM_H
#define FDPP_KERNELS_CUDA_STREAM_H

#include <cstdint>
#include <cuda_runtime_api.h>

namespace fdpp::cuda {

/// A stream of one device. Launches are enqueued; the first that fails is kept
/// and those behind it are left out.
class Stream {
public:
  Stream(cudaStream_t stream, int processors)
      : processors(processors), stream(stream) {}

  const int processors; // streaming multiprocessors of the device

  cudaError_t error() const { return first; }

  /// kernel<<<grid, threads, shared bytes>>>(arguments...).
  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), dim3 grid, int threads, int shared,
              const Arguments &...arguments) {
    if (first != cudaSuccess || grid.x == 0 || grid.y == 0 || grid.z == 0)
      return;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(unsigned(threads));
    config.dynamicSmemBytes = size_t(shared);
    config.stream = stream;
    first = cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
  }

private:
  cudaStream_t stream;
  cudaError_t first = cudaSuccess;
};

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_STREAM_H
