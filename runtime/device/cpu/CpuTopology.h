// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_DEVICE_CPU_CPUTOPOLOGY_H
#define FDPP_RUNTIME_DEVICE_CPU_CPUTOPOLOGY_H

#include <cstdint>
#include <string>
#include <vector>

namespace fdpp::runtime {

/// Physical cores that the affinity mask of this process reaches.
int32_t physicalCores();

/// Physical cores behind some CPUs. Like cgroupQuota, reads the kernel's files
/// below `root`: "" for the real ones, a folder in tests.
int32_t coresOf(const std::vector<int> &cpus, const std::string &root);

/// CPUs' worth of time that the cgroup's quota allows (v1 or v2, the tightest
/// level of the hierarchy); infinity without a quota.
double cgroupQuota(const std::string &root = "");

/// The most threads that can run at a time, at least 1: the CPUs of the
/// affinity mask as it is now, capped by a quota rounded up.
int32_t processorsFor(double quota);

/// Threads a team has by default: physical cores in the affinity mask, capped
/// by the cgroup's quota rounded down.
int32_t defaultThreads();

/// Bytes of memory a new allocation may take: what the kernel calls available,
/// capped by what the cgroup leaves.
uint64_t availableMemory();

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_CPU_CPUTOPOLOGY_H
