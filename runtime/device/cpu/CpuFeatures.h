// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_DEVICE_CPU_CPUFEATURES_H
#define FDPP_RUNTIME_DEVICE_CPU_CPUFEATURES_H

#include <string>
#include <string_view>
#include <vector>

namespace fdpp::runtime {

enum class FeatureState { Present, Missing, Unknown };

/// Whether this CPU and operating system offer a feature, named as LLVM names
/// it (docs/engine-format.md has the list). Registers the kernel does not save
/// count as missing. Source: Intel SDM volume 2, CPUID; AMD APM volume 3.
FeatureState cpuFeature(std::string_view name);

/// Every known feature that is present, sorted.
std::vector<std::string> cpuFeatures();

/// The CPU's own name, "unknown cpu" where it tells none.
std::string cpuName();

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_CPU_CPUFEATURES_H
