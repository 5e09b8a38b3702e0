// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What runs the kernels of a step, one after another. Where the device can, the
// next kernel's blocks come onto it while the last ones of the kernel before
// still run (programmatic dependent launch): every kernel begins with
// wait_for_kernel_before(), in front of which it may touch nothing that a
// kernel writes. Weights it may.
#ifndef FDPP_KERNELS_CUDA_STREAM_H
#define FDPP_KERNELS_CUDA_STREAM_H

#include <cstdint>
#include <cuda_runtime_api.h>

namespace fdpp::cuda {

/// The architecture that has what kernels need to overlap.
inline constexpr int overlap_arch = 90;

/// Returns when all that earlier kernels wrote can be read. By every thread of
/// every kernel, those of blocks with nothing to do too: a kernel that did not
/// would let its successor run before its predecessor is done.
__device__ inline void wait_for_kernel_before() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;\n"
               "griddepcontrol.wait;" ::
                   : "memory");
#endif
}

/// A stream of one device. Launches are enqueued; the first that fails is kept
/// and those behind it are left out.
class Stream {
public:
  /// `overlap`: kernels may begin before the one before ends. Only for code of
  /// overlap_arch or newer.
  Stream(cudaStream_t stream, bool overlap)
      : stream(stream), overlap(overlap) {}

  cudaError_t error() const { return first; }

  /// kernel<<<grid, threads, shared bytes>>>(arguments...).
  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), dim3 grid, int threads, int shared,
              const Arguments &...arguments) {
    if (first != cudaSuccess || grid.x == 0 || grid.y == 0 || grid.z == 0)
      return;
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(unsigned(threads));
    config.dynamicSmemBytes = size_t(shared);
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = overlap ? 1 : 0;
    first = cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
  }

private:
  cudaStream_t stream;
  bool overlap;
  cudaError_t first = cudaSuccess;
};

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_STREAM_H
