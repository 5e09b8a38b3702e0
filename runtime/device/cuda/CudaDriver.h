// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The part of NVIDIA's driver API that the runtime calls. libcuda.so.1 comes
// with the driver and is opened when a CUDA engine is loaded: the runtime needs
// neither the toolkit to be built nor the driver to be started. Declarations
// are those of the CUDA Driver API Reference, 12 and newer.
#ifndef FDPP_RUNTIME_DEVICE_CUDA_CUDADRIVER_H
#define FDPP_RUNTIME_DEVICE_CUDA_CUDADRIVER_H

#include <cstddef>
#include <cstdint>

namespace fdpp::runtime {

using CudaResult = int; // 0 is success
using CudaPointer = unsigned long long;
struct CudaContext;
struct CudaStream;
struct CudaModule;
struct CudaFunction;
struct CudaEvent;

/// Attributes of a device (CUdevice_attribute).
constexpr int kCudaProcessors = 16;
constexpr int kCudaComputeMajor = 75, kCudaComputeMinor = 76;
constexpr CudaResult kCudaOutOfMemory = 2, kCudaNoDevice = 100;
constexpr unsigned kCudaStreamNonBlocking = 1;

struct CudaDriver {
  CudaResult (*init)(unsigned);
  CudaResult (*driverGetVersion)(int *);
  CudaResult (*deviceGetCount)(int *);
  CudaResult (*deviceGetName)(char *, int, int);
  CudaResult (*deviceGetAttribute)(int *, int, int);
  CudaResult (*primaryContextRetain)(CudaContext **, int);
  CudaResult (*primaryContextRelease)(int);
  CudaResult (*contextSetCurrent)(CudaContext *);
  CudaResult (*deviceTotalMem)(size_t *, int);
  CudaResult (*memGetInfo)(size_t *, size_t *);
  CudaResult (*memAlloc)(CudaPointer *, size_t);
  CudaResult (*memFree)(CudaPointer);
  CudaResult (*memAllocHost)(void **, size_t);
  CudaResult (*memFreeHost)(void *);
  CudaResult (*memset)(CudaPointer, unsigned char, size_t, CudaStream *);
  CudaResult (*copyToDevice)(CudaPointer, const void *, size_t, CudaStream *);
  CudaResult (*copyToHost)(void *, CudaPointer, size_t, CudaStream *);
  CudaResult (*copyInside)(CudaPointer, CudaPointer, size_t, CudaStream *);
  CudaResult (*streamCreate)(CudaStream **, unsigned);
  CudaResult (*streamDestroy)(CudaStream *);
  CudaResult (*streamSynchronize)(CudaStream *);
  CudaResult (*moduleLoadData)(CudaModule **, const void *);
  CudaResult (*moduleUnload)(CudaModule *);
  CudaResult (*moduleGetFunction)(CudaFunction **, CudaModule *, const char *);
  /// Grid, block, bytes of shared memory, stream, arguments, more.
  CudaResult (*launchKernel)(CudaFunction *, unsigned, unsigned, unsigned,
                             unsigned, unsigned, unsigned, unsigned,
                             CudaStream *, void **, void **);
  CudaResult (*eventCreate)(CudaEvent **, unsigned);
  CudaResult (*eventDestroy)(CudaEvent *);
  CudaResult (*eventRecord)(CudaEvent *, CudaStream *);
  CudaResult (*eventElapsedTime)(float *, CudaEvent *, CudaEvent *);
  CudaResult (*getErrorString)(CudaResult, const char **);
};

/// The driver, opened and initialised; throws a user error where there is none
/// or it has no device.
const CudaDriver &cudaDriver();

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_CUDA_CUDADRIVER_H
