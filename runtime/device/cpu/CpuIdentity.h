// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which processor model this is, for tuning tables: they hold for one model
// only. Header-only because the compiler asks too.
#ifndef FDPP_RUNTIME_DEVICE_CPU_CPUIDENTITY_H
#define FDPP_RUNTIME_DEVICE_CPU_CPUIDENTITY_H

#include <cstdint>
#include <cstring>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fdpp::runtime {

struct CpuIdentity {
  std::string vendor; ///< "AuthenticAMD"; empty where it is not known
  int32_t family = 0, model = 0;

  /// "AuthenticAMD-25-1", empty where it is not known.
  std::string key() const {
    if (vendor.empty())
      return "";
    return vendor + "-" + std::to_string(family) + "-" + std::to_string(model);
  }
};

/// Intel SDM volume 2, CPUID leaves 0 and 1; AMD APM volume 3 counts alike.
inline CpuIdentity cpuIdentity() {
  CpuIdentity identity;
#if defined(__x86_64__)
  uint32_t eax, ebx, ecx, edx;
  if (!__get_cpuid(0, &eax, &ebx, &ecx, &edx))
    return identity;
  char text[13] = {};
  std::memcpy(text, &ebx, 4);
  std::memcpy(text + 4, &edx, 4);
  std::memcpy(text + 8, &ecx, 4);
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
    return identity;
  identity.vendor = text;
  int32_t family = eax >> 8 & 15, model = eax >> 4 & 15;
  if (family == 6 || family == 15)
    model += static_cast<int32_t>(eax >> 16 & 15) << 4;
  if (family == 15)
    family += static_cast<int32_t>(eax >> 20 & 255);
  identity.family = family;
  identity.model = model;
#endif
  return identity;
}

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_CPU_CPUIDENTITY_H
