// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What runs the kernels of a step, one after another: a context. Emitted steps
// and the functions that they call are written for any: the Stream of this
// file, which launches a kernel for each, or the blocks of grid.h, which stay
// on the device for the whole step.
//
// Where the device can, the next kernel's blocks come onto it while the last
// ones of the kernel before still run (programmatic dependent launch): every
// kernel begins with wait_for_kernel_before(), in front of which it may touch
// nothing that a kernel writes. Weights it may.
#ifndef FDPP_KERNELS_CUDA_STREAM_H
#define FDPP_KERNELS_CUDA_STREAM_H

#include "kernels/common/listener.h"
#include "kernels/cuda/ptx.h"

/// What is written for contexts of the host and of the device.
#define FDPP_ANY_CONTEXT __host__ __device__

namespace fdpp::cuda {

// A body is a kernel but for where its blocks run: body(block, shared) is
// called by block_threads threads, which have Body::shared_bytes bytes of
// shared memory, 16-aligned.

/// Bodies that are called as body(block, shared, ready), where `ready` is what
/// body.prepare(block) gave (block < 0: there is none), and give true for what
/// the next body is to look at. What they prepare depends on nothing that the
/// step's kernels write.
template <class Body>
concept Prepares = requires(const Body &body) { body.prepare(0); };

/// Blocks that are to have room on a processor: Body::blocks_of_processor, or
/// two.
template <class Body> constexpr int blocks_of_processor() {
  if constexpr (requires { Body::blocks_of_processor; })
    return Body::blocks_of_processor;
  else
    return 2;
}

template <class Body>
__global__ void __launch_bounds__(block_threads, blocks_of_processor<Body>())
    body_kernel(Body body) {
  wait_for_kernel_before();
  char *shared = dynamic_shared();
  if constexpr (Prepares<Body>) {
    auto ready = body.prepare(int(blockIdx.x));
    body(int(blockIdx.x), shared, ready);
  } else
    body(int(blockIdx.x), shared);
}

/// What wgmma_linear.h needs beside a stream.
struct WgmmaSupport;

/// A stream of one device. Launches are enqueued; the first that fails is kept
/// and those behind it are left out.
class Stream {
public:
  /// `overlap`: kernels may begin before the one before ends. Only for code of
  /// overlap_arch or newer.
  Stream(cudaStream_t stream, bool overlap, KernelListener listener = {},
         const WgmmaSupport *wgmma = nullptr)
      : wgmma(wgmma), stream(stream), overlap(overlap), listener(listener) {}

  const WgmmaSupport *const wgmma; // null: linears do without

  cudaError_t error() const { return first; }
  /// What could not be launched.
  void fail(cudaError_t error) {
    if (first == cudaSuccess)
      first = error;
  }

  /// A kernel of the step has been enqueued, which may be several launches.
  void done(const char *kernel, int layer) const {
    listener.tell(kernel, layer);
  }

  /// kernel<<<grid, threads, shared bytes>>>(arguments...).
  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), dim3 grid, int threads, int shared,
              const Arguments &...arguments) {
    cudaLaunchAttribute attributes[2] = {};
    unsigned count = 0;
    if (overlap) {
      attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
      attributes[count++].val.programmaticStreamSerializationAllowed = 1;
    }
    if (overlap && wgmma) {
      // A processor that is to divide its memory in another way becomes idle
      // first: kernels between linears by wgmma have it divided as these.
      attributes[count].id = cudaLaunchAttributePreferredSharedMemoryCarveout;
      attributes[count++].val.sharedMemCarveout =
          cudaSharedmemCarveoutMaxShared;
    }
    launch_with(attributes, count, kernel, grid, threads, shared, arguments...);
  }

  /// The same with more shared memory than every device gives.
  template <class... Parameters, class... Arguments>
  void launch_with_shared(void (*kernel)(Parameters...), dim3 grid, int threads,
                          int shared, const Arguments &...arguments) {
    fail(cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
    launch(kernel, grid, threads, shared, arguments...);
  }

  /// As launch(), all blocks on the device at the same time, which is an error
  /// if it has no room for them.
  template <class... Parameters, class... Arguments>
  void launch_together(void (*kernel)(Parameters...), int blocks, int threads,
                       int shared, const Arguments &...arguments) {
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
    launch_with(&attribute, 1, kernel, dim3(unsigned(blocks)), threads, shared,
                arguments...);
  }

  template <class Body> void run(int64_t blocks, const Body &body) {
    launch(body_kernel<Body>, dim3(unsigned(blocks)), block_threads,
           Body::shared_bytes, body);
  }
  /// The same for what reads nothing that a body before wrote.
  template <class Body> void run_first(int64_t blocks, const Body &body) {
    run(blocks, body);
  }
  /// The same for what asks itself whether there is something to do.
  template <class Body> void run_if_flagged(int64_t blocks, const Body &body) {
    run(blocks, body);
  }

private:
  template <class... Parameters, class... Arguments>
  void launch_with(cudaLaunchAttribute *attributes, unsigned count,
                   void (*kernel)(Parameters...), dim3 grid, int threads,
                   int shared, const Arguments &...arguments) {
    if (first != cudaSuccess || grid.x == 0 || grid.y == 0 || grid.z == 0)
      return;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(unsigned(threads));
    config.dynamicSmemBytes = size_t(shared);
    config.stream = stream;
    config.attrs = attributes;
    config.numAttrs = count;
    first = cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
  }

  cudaStream_t stream;
  bool overlap;
  KernelListener listener;
  cudaError_t first = cudaSuccess;
};

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_STREAM_H
