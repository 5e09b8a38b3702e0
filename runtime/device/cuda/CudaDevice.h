// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_DEVICE_CUDA_CUDADEVICE_H
#define FDPP_RUNTIME_DEVICE_CUDA_CUDADEVICE_H

#include "Device.h"

#include <memory>
#include <string>

namespace fdpp::runtime {

/// A GPU of NVIDIA's by its number (CUDA_VISIBLE_DEVICES counts). Throws a user
/// error where there is none.
std::unique_ptr<Device> openCudaDevice(int32_t index);

/// GPUs that the driver sees; 0 without one.
int32_t cudaDeviceCount() noexcept;

struct CudaDeviceInfo {
  std::string name, arch; // sm_90
  int processors = 0;
  uint64_t memory = 0; // bytes in all
};
CudaDeviceInfo describeCudaDevice(int32_t index);

/// Throws a user error that ends with `rebuild` for a GPU that is too old. On
/// all others an engine runs, whatever it was compiled for: it has PTX of
/// compute_80, which the driver compiles where there is no machine code.
void checkCudaArch(const Device &device, const std::string &rebuild);

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_CUDA_CUDADEVICE_H
