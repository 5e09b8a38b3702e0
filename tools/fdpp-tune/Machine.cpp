// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Client.h"
#include "CpuFeatures.h"
#include "CpuIdentity.h"
#include "Tune.h"

#include "kernels/common/tuning.h"

#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>

namespace fdpp::tune {
namespace {

namespace fs = std::filesystem;

bool has(const char *feature) {
  return runtime::cpuFeature(feature) == runtime::FeatureState::Present;
}

std::string readWord(const fs::path &path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

/// Bytes of a data cache that the first processor uses, 0 if the system does
/// not say. Not sysconf: under some hypervisors it multiplies what is shared.
int64_t cacheBytes(const char *level) {
  std::error_code error;
  for (const fs::directory_entry &entry :
       fs::directory_iterator("/sys/devices/system/cpu/cpu0/cache", error)) {
    if (readWord(entry.path() / "level") != level ||
        readWord(entry.path() / "type") == "Instruction")
      continue;
    std::string size = readWord(entry.path() / "size"); // "512K"
    int64_t count = std::strtoll(size.c_str(), nullptr, 10);
    return size.ends_with('M') ? count << 20 : count << 10;
  }
  return 0;
}

} // namespace

std::string bestKernels() {
  if (has("amx-tile") && has("amx-bf16"))
    return "amx";
  // Where there is AMX the dot products of AVX512-BF16 are slower than FMAs,
  // and fdpp-compile does without them (kSlowBf16Dot in CpuArch.cpp).
  if (has("avx512bf16") && !has("amx-tile"))
    return "avx512bf16";
  if (has("avx512f") && has("avx512vl") && has("avx512bw") && has("avx512dq"))
    return "avx512";
  if (has("avx2") && has("fma") && has("f16c"))
    return "avx2";
  return "portable";
}

Machine describeMachine(const std::string &kernels, int32_t threads) {
  Machine machine;
  runtime::CpuIdentity identity = runtime::cpuIdentity();
  machine.cpu = runtime::cpuName();
  machine.vendor = identity.vendor.empty() ? "unknown" : identity.vendor;
  machine.family = identity.family;
  machine.model = identity.model;
  machine.kernels = kernels;
  machine.threads = threads;
  machine.features = runtime::cpuFeatures();
  machine.l1d = cacheBytes("1");
  machine.l2 = cacheBytes("2");
  machine.l3 = cacheBytes("3");
  return machine;
}

const Kernels &loadKernels(const std::string &level) {
  if (most_tile_of(level) == 0)
    tools::fail("--kernels: no kernels are called '" + level +
                "'; give portable, avx2, avx512, avx512bf16 or amx");
  bool runs = level == "portable" || level == bestKernels() ||
              (level == "avx2" && has("avx2") && has("fma") && has("f16c")) ||
              (level == "avx512" && has("avx512f")) ||
              (level == "avx512bf16" && has("avx512bf16"));
  if (!runs)
    tools::fail("this processor cannot run " + level +
                " kernels; tune on one that can");
  std::error_code error;
  fs::path self = fs::read_symlink("/proc/self/exe", error);
  fs::path path = self.parent_path().parent_path() / "lib" / "fdpp" /
                  ("fdpp-tune-" + level + ".so");
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    tools::fail(path.string() + ": cannot load the kernels (" + dlerror() +
                "); install fdpp again");
  auto *kernels =
      static_cast<const Kernels *>(dlsym(library, "fdpp_tune_kernels"));
  if (!kernels || kernels->generation != tuning_kernels ||
      kernels->mostTile != most_tile_of(level))
    tools::fail(path.string() +
                ": kernels of another version; install fdpp again");
  return *kernels;
}

} // namespace fdpp::tune
