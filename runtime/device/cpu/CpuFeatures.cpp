// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CpuFeatures.h"

#include "kernels/common/matrix_permission.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fdpp::runtime {

#if defined(__x86_64__)
namespace {

enum Register : uint8_t { EAX, EBX, ECX, EDX };

/// What the operating system must save for the feature to be usable: bits of
/// XCR0.
constexpr uint32_t kNone = 0, kAvx = 0x6, kAvx512 = 0xe6, kAmx = 0x60000;

struct Feature {
  const char *name;
  uint32_t leaf, subleaf;
  Register reg;
  uint8_t bit;
  uint32_t state;
};

constexpr Feature kFeatures[] = {
    {"adx", 7, 0, EBX, 19, kNone},
    {"aes", 1, 0, ECX, 25, kNone},
    {"amx-bf16", 7, 0, EDX, 22, kAmx},
    {"amx-fp16", 7, 1, EAX, 21, kAmx},
    {"amx-int8", 7, 0, EDX, 25, kAmx},
    {"amx-tile", 7, 0, EDX, 24, kAmx},
    {"avx", 1, 0, ECX, 28, kAvx},
    {"avx2", 7, 0, EBX, 5, kAvx},
    {"avx512bf16", 7, 1, EAX, 5, kAvx512},
    {"avx512bitalg", 7, 0, ECX, 12, kAvx512},
    {"avx512bw", 7, 0, EBX, 30, kAvx512},
    {"avx512cd", 7, 0, EBX, 28, kAvx512},
    {"avx512dq", 7, 0, EBX, 17, kAvx512},
    {"avx512f", 7, 0, EBX, 16, kAvx512},
    {"avx512fp16", 7, 0, EDX, 23, kAvx512},
    {"avx512ifma", 7, 0, EBX, 21, kAvx512},
    {"avx512vbmi", 7, 0, ECX, 1, kAvx512},
    {"avx512vbmi2", 7, 0, ECX, 6, kAvx512},
    {"avx512vl", 7, 0, EBX, 31, kAvx512},
    {"avx512vnni", 7, 0, ECX, 11, kAvx512},
    {"avx512vpopcntdq", 7, 0, ECX, 14, kAvx512},
    {"avxifma", 7, 1, EAX, 23, kAvx},
    {"avxneconvert", 7, 1, EDX, 5, kAvx},
    {"avxvnni", 7, 1, EAX, 4, kAvx},
    {"avxvnniint8", 7, 1, EDX, 4, kAvx},
    {"bmi", 7, 0, EBX, 3, kNone},
    {"bmi2", 7, 0, EBX, 8, kNone},
    {"cmov", 1, 0, EDX, 15, kNone},
    {"crc32", 1, 0, ECX, 20, kNone},
    {"cx16", 1, 0, ECX, 13, kNone},
    {"cx8", 1, 0, EDX, 8, kNone},
    {"f16c", 1, 0, ECX, 29, kAvx},
    {"fma", 1, 0, ECX, 12, kAvx},
    {"fxsr", 1, 0, EDX, 24, kNone},
    {"gfni", 7, 0, ECX, 8, kNone},
    {"lzcnt", 0x80000001, 0, ECX, 5, kNone},
    {"mmx", 1, 0, EDX, 23, kNone},
    {"movbe", 1, 0, ECX, 22, kNone},
    {"pclmul", 1, 0, ECX, 1, kNone},
    {"popcnt", 1, 0, ECX, 23, kNone},
    {"prfchw", 0x80000001, 0, ECX, 8, kNone},
    {"rdpid", 7, 0, ECX, 22, kNone},
    {"rdrnd", 1, 0, ECX, 30, kNone},
    {"rdseed", 7, 0, EBX, 18, kNone},
    {"sahf", 0x80000001, 0, ECX, 0, kNone},
    {"sha", 7, 0, EBX, 29, kNone},
    {"sse", 1, 0, EDX, 25, kNone},
    {"sse2", 1, 0, EDX, 26, kNone},
    {"sse3", 1, 0, ECX, 0, kNone},
    {"sse4.1", 1, 0, ECX, 19, kNone},
    {"sse4.2", 1, 0, ECX, 20, kNone},
    {"sse4a", 0x80000001, 0, ECX, 6, kNone},
    {"ssse3", 1, 0, ECX, 9, kNone},
    {"vaes", 7, 0, ECX, 9, kAvx},
    {"vpclmulqdq", 7, 0, ECX, 10, kAvx},
    {"x87", 1, 0, EDX, 0, kNone},
    {"xsave", 1, 0, ECX, 26, kNone},
};

bool cpuid(uint32_t leaf, uint32_t subleaf, uint32_t (&regs)[4]) {
  return __get_cpuid_count(leaf, subleaf, &regs[EAX], &regs[EBX], &regs[ECX],
                           &regs[EDX]) != 0;
}

/// XCR0: which register state the operating system saves; 0 without OSXSAVE.
uint32_t savedState() {
  uint32_t regs[4];
  if (!cpuid(1, 0, regs) || !(regs[ECX] >> 27 & 1))
    return 0;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

bool present(const Feature &feature) {
  uint32_t regs[4];
  if (feature.leaf == 7 && feature.subleaf > 0 &&
      (!cpuid(7, 0, regs) || regs[EAX] < feature.subleaf))
    return false;
  if (!cpuid(feature.leaf, feature.subleaf, regs) ||
      !(regs[feature.reg] >> feature.bit & 1) ||
      (savedState() & feature.state) != feature.state)
    return false;
  // The registers of AMX are given on request only; this is it.
  return feature.state != kAmx || request_matrix_unit();
}

} // namespace

FeatureState cpuFeature(std::string_view name) {
  for (const Feature &feature : kFeatures)
    if (name == feature.name)
      return present(feature) ? FeatureState::Present : FeatureState::Missing;
  return FeatureState::Unknown;
}

std::vector<std::string> cpuFeatures() {
  std::vector<std::string> names;
  for (const Feature &feature : kFeatures)
    if (present(feature))
      names.push_back(feature.name);
  return names;
}

std::string cpuName() {
  uint32_t regs[4];
  if (!cpuid(0x80000000, 0, regs) || regs[EAX] < 0x80000004)
    return "unknown cpu";
  char text[49] = {};
  for (uint32_t i = 0; i < 3; ++i) {
    cpuid(0x80000002 + i, 0, regs);
    std::memcpy(text + 16 * i, regs, 16);
  }
  std::string name(text);
  name.erase(0, std::min(name.find_first_not_of(' '), name.size()));
  while (!name.empty() && name.back() == ' ')
    name.pop_back();
  return name.empty() ? "unknown cpu" : name;
}

#else

FeatureState cpuFeature(std::string_view) { return FeatureState::Unknown; }
std::vector<std::string> cpuFeatures() { return {}; }
std::string cpuName() { return "unknown cpu"; }

#endif

} // namespace fdpp::runtime
