// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_DEVICE_CPU_CPUTOPOLOGY_H
#define FDPP_RUNTIME_DEVICE_CPU_CPUTOPOLOGY_H

#include <cstdint>
#include <string>

namespace fdpp::runtime {

/// Physical cores that the affinity mask of this process reaches.
int32_t physicalCores();

/// Whole CPUs that the cgroup's quota (v1 or v2, the tightest level of the
/// hierarchy) allows, at least 1; INT32_MAX without a quota.
int32_t cgroupCpus();

/// The quota of one cgroup, read below `root` (a sysfs-like tree, so that tests
/// can write one): files cpu.max or cpu.cfs_quota_us + cpu.cfs_period_us.
int32_t quotaOf(const std::string &folder);

/// Threads a team has by default: physical cores in the affinity mask, capped
/// by the cgroup.
int32_t defaultThreads();

/// Bytes of memory a new allocation may take: what the kernel calls available,
/// capped by what the cgroup leaves.
uint64_t availableMemory();

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_CPU_CPUTOPOLOGY_H
