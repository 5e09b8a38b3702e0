// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CudaDriver.h"

#include "Error.h"

#include <dlfcn.h>

namespace fdpp::runtime {
namespace {

template <class Function>
void bind(void *library, const char *symbol, Function *&function) {
  function = reinterpret_cast<Function *>(dlsym(library, symbol));
  if (!function)
    userError(std::string("nvidia's driver is too old: libcuda.so.1 has no ") +
              symbol + "; install a driver for CUDA 13 (580 or newer)");
}

std::string textOf(const CudaDriver &driver, CudaResult result) {
  const char *text = nullptr;
  if (driver.getErrorString(result, &text) != 0 || !text)
    return "error " + std::to_string(result);
  return text;
}

CudaDriver open() {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    userError("no cuda device: nvidia's driver is not installed (" +
              std::string(dlerror()) +
              "); run the engine on a machine with an nvidia gpu");
  CudaDriver driver;
  bind(library, "cuInit", driver.init);
  bind(library, "cuDriverGetVersion", driver.driverGetVersion);
  bind(library, "cuDeviceGetCount", driver.deviceGetCount);
  bind(library, "cuDeviceGetName", driver.deviceGetName);
  bind(library, "cuDeviceGetAttribute", driver.deviceGetAttribute);
  bind(library, "cuDevicePrimaryCtxRetain", driver.primaryContextRetain);
  bind(library, "cuDevicePrimaryCtxRelease_v2", driver.primaryContextRelease);
  bind(library, "cuCtxSetCurrent", driver.contextSetCurrent);
  bind(library, "cuDeviceTotalMem_v2", driver.deviceTotalMem);
  bind(library, "cuMemGetInfo_v2", driver.memGetInfo);
  bind(library, "cuMemAlloc_v2", driver.memAlloc);
  bind(library, "cuMemFree_v2", driver.memFree);
  bind(library, "cuMemAllocHost_v2", driver.memAllocHost);
  bind(library, "cuMemFreeHost", driver.memFreeHost);
  bind(library, "cuMemsetD8Async", driver.memset);
  bind(library, "cuMemcpyHtoDAsync_v2", driver.copyToDevice);
  bind(library, "cuMemcpyDtoHAsync_v2", driver.copyToHost);
  bind(library, "cuMemcpyDtoDAsync_v2", driver.copyInside);
  bind(library, "cuStreamCreate", driver.streamCreate);
  bind(library, "cuStreamDestroy_v2", driver.streamDestroy);
  bind(library, "cuStreamSynchronize", driver.streamSynchronize);
  bind(library, "cuModuleLoadData", driver.moduleLoadData);
  bind(library, "cuModuleUnload", driver.moduleUnload);
  bind(library, "cuModuleGetFunction", driver.moduleGetFunction);
  bind(library, "cuLaunchKernel", driver.launchKernel);
  bind(library, "cuEventCreate", driver.eventCreate);
  bind(library, "cuEventDestroy_v2", driver.eventDestroy);
  bind(library, "cuEventRecord", driver.eventRecord);
  bind(library, "cuEventElapsedTime", driver.eventElapsedTime);
  bind(library, "cuGetErrorString", driver.getErrorString);
  CudaResult result = driver.init(0);
  int devices = 0;
  if (result == 0)
    result = driver.deviceGetCount(&devices);
  if (result == kCudaNoDevice || (result == 0 && devices == 0))
    userError("no cuda device: nvidia's driver sees none; see nvidia-smi and "
              "CUDA_VISIBLE_DEVICES");
  if (result != 0)
    userError("nvidia's driver cannot be used: " + textOf(driver, result) +
              "; see nvidia-smi");
  // Engines are compiled by CUDA 13, whose code needs a driver of 13.
  int version = 0;
  driver.driverGetVersion(&version);
  if (version < 13000)
    userError("nvidia's driver is for CUDA " + std::to_string(version / 1000) +
              "." + std::to_string(version % 1000 / 10) +
              ", engines need 13.0; install driver 580 or newer");
  return driver;
}

} // namespace

const CudaDriver &cudaDriver() {
  static const CudaDriver driver = open();
  return driver;
}

} // namespace fdpp::runtime
