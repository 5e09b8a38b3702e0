// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CpuTopology.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <fstream>
#include <limits>
#include <sched.h>
#include <set>
#include <string>
#include <vector>

namespace fdpp::runtime {
namespace {

/// The CPUs this process may run on; empty when the kernel does not say.
std::vector<int> affinity() {
  // More than 1024 CPUs need a larger mask than cpu_set_t has.
  for (size_t cpus = 1024; cpus <= (1u << 20); cpus *= 4) {
    cpu_set_t *mask = CPU_ALLOC(cpus);
    size_t bytes = CPU_ALLOC_SIZE(cpus);
    std::vector<int> result;
    bool ok = mask && sched_getaffinity(0, bytes, mask) == 0;
    for (size_t cpu = 0; ok && cpu < cpus; ++cpu)
      if (CPU_ISSET_S(cpu, bytes, mask))
        result.push_back(static_cast<int>(cpu));
    CPU_FREE(mask);
    if (ok)
      return result;
  }
  return {};
}

long readNumber(const std::string &path, long otherwise) {
  std::ifstream file(path);
  long value;
  return file >> value ? value : otherwise;
}

/// Bytes from a memory limit file, UINT64_MAX for "max" or no file.
uint64_t readLimit(const std::string &path) {
  std::ifstream file(path);
  uint64_t value;
  return file >> value ? value : UINT64_MAX;
}

struct Mount {
  std::string point, root;
};

/// Where a cgroup controller is mounted; v2's controller is "".
bool findMount(const std::string &root, const std::string &controller,
               Mount &mount) {
  std::ifstream file(root + "/proc/self/mountinfo");
  std::string line;
  while (std::getline(file, line)) {
    std::vector<std::string> words;
    for (size_t at = 0; at < line.size();) {
      size_t end = std::min(line.find(' ', at), line.size());
      words.push_back(line.substr(at, end - at));
      at = end + 1;
    }
    auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 5 || words.end() - dash < 4)
      continue;
    bool match = dash[1] == "cgroup2"
                     ? controller.empty()
                     : dash[1] == "cgroup" && !controller.empty() &&
                           ("," + dash[3] + ",").find("," + controller + ",") !=
                               std::string::npos;
    if (match) {
      mount = {words[4], words[3]};
      return true;
    }
  }
  return false;
}

/// The path of this process in a controller's hierarchy.
std::string cgroupPath(const std::string &root, const std::string &controller) {
  std::ifstream file(root + "/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos)
      continue;
    std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (controller.empty()
            ? names == ",,"
            : names.find("," + controller + ",") != std::string::npos)
      return line.substr(second + 1);
  }
  return "/";
}

/// The folders of this process' cgroup and of its ancestors, innermost first.
std::vector<std::string> cgroupFolders(const std::string &root,
                                       const std::string &controller) {
  Mount mount;
  if (!findMount(root, controller, mount))
    return {};
  mount.point = root + mount.point;
  std::string path = cgroupPath(root, controller);
  // Inside a container the mount shows only the subtree below its root.
  if (mount.root != "/" && path.rfind(mount.root, 0) == 0)
    path = path.substr(mount.root.size());
  std::vector<std::string> folders;
  while (path.size() > 1) {
    folders.push_back(mount.point + path);
    path.resize(path.rfind('/'));
  }
  folders.push_back(mount.point);
  return folders;
}

uint64_t cgroupMemoryLeft(const std::string &folder) {
  uint64_t limit = std::min(readLimit(folder + "/memory.max"),
                            readLimit(folder + "/memory.limit_in_bytes"));
  if (limit == UINT64_MAX)
    return limit;
  uint64_t used = std::min(readLimit(folder + "/memory.current"),
                           readLimit(folder + "/memory.usage_in_bytes"));
  return used == UINT64_MAX ? limit : limit - std::min(limit, used);
}

/// The quota of one cgroup in CPUs, infinity without: v2's cpu.max, else v1's
/// cpu.cfs_quota_us and cpu.cfs_period_us.
double quotaOf(const std::string &folder) {
  double quota = -1, period = 100000;
  if (std::ifstream file(folder + "/cpu.max"); file) {
    std::string first;
    file >> first >> period;
    if (first != "max")
      quota = std::strtod(first.c_str(), nullptr);
  } else {
    quota = readNumber(folder + "/cpu.cfs_quota_us", -1);
    period = readNumber(folder + "/cpu.cfs_period_us", 100000);
  }
  return quota > 0 && period > 0 ? quota / period
                                 : std::numeric_limits<double>::infinity();
}

/// A name for the core that a CPU is part of.
std::string coreOf(int cpu, const std::string &root) {
  std::string folder =
      root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
  // Newer kernels and older ones. Numbers of cores would not do: dies and
  // packages count theirs from 0.
  for (const char *name : {"core_cpus_list", "thread_siblings_list"}) {
    std::ifstream file(folder + name);
    if (std::string siblings; std::getline(file, siblings))
      return siblings;
  }
  return std::to_string(cpu); // without topology, a core of its own
}

int32_t wholeCpus(double cpus) {
  return static_cast<int32_t>(std::clamp<double>(cpus, 1, INT_MAX));
}

} // namespace

int32_t coresOf(const std::vector<int> &cpus, const std::string &root) {
  std::set<std::string> cores;
  for (int cpu : cpus)
    cores.insert(coreOf(cpu, root));
  return std::max<int32_t>(1, static_cast<int32_t>(cores.size()));
}

int32_t physicalCores() { return coresOf(affinity(), ""); }

double cgroupQuota(const std::string &root) {
  double cpus = std::numeric_limits<double>::infinity();
  for (const char *controller : {"", "cpu"})
    for (const std::string &folder : cgroupFolders(root, controller))
      cpus = std::min(cpus, quotaOf(folder));
  return cpus;
}

int32_t processorsFor(double quota) {
  // Room for 1024 CPUs without allocating: this is asked before every step.
  cpu_set_t mask;
  int32_t allowed = sched_getaffinity(0, sizeof(mask), &mask) == 0
                        ? CPU_COUNT(&mask)
                        : std::max(1, static_cast<int32_t>(affinity().size()));
  return std::min(allowed, wholeCpus(std::ceil(quota)));
}

int32_t defaultThreads() {
  return std::min(physicalCores(), wholeCpus(std::floor(cgroupQuota())));
}

uint64_t availableMemory() {
  uint64_t available = UINT64_MAX;
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  for (uint64_t value; file >> key >> value; std::getline(file, unit))
    if (key == "MemAvailable:")
      available = value * 1024;
  for (const char *controller : {"", "memory"})
    for (const std::string &folder : cgroupFolders("", controller))
      available = std::min(available, cgroupMemoryLeft(folder));
  return available;
}

} // namespace fdpp::runtime
