// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/CpuArch.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/TargetParser/X86TargetParser.h"

#include <algorithm>

using namespace mlir::fdpp;
using llvm::createStringError;
using llvm::StringRef;

/// Features that format 1.0 of an engine knows (docs/engine-format.md).
static constexpr StringRef kKnown[] = {
    "adx",          "aes",          "amx-bf16",
    "amx-fp16",     "amx-int8",     "amx-tile",
    "avx",          "avx2",         "avx512bf16",
    "avx512bitalg", "avx512bw",     "avx512cd",
    "avx512dq",     "avx512f",      "avx512fp16",
    "avx512ifma",   "avx512vbmi",   "avx512vbmi2",
    "avx512vl",     "avx512vnni",   "avx512vpopcntdq",
    "avxifma",      "avxneconvert", "avxvnni",
    "avxvnniint8",  "bmi",          "bmi2",
    "cmov",         "crc32",        "cx16",
    "cx8",          "f16c",         "fma",
    "fxsr",         "gfni",         "lzcnt",
    "mmx",          "movbe",        "pclmul",
    "popcnt",       "prfchw",       "rdpid",
    "rdrnd",        "rdseed",       "sahf",
    "sha",          "sse",          "sse2",
    "sse3",         "sse4.1",       "sse4.2",
    "sse4a",        "ssse3",        "vaes",
    "vpclmulqdq",   "x87",          "xsave"};

/// Features that clang uses by itself and the format has no name for, so that
/// code must do without them: LLVM's name and clang's flag. All others outside
/// the list above are for systems or for intrinsics that no kernel calls.
static constexpr std::pair<StringRef, StringRef> kAvoided[] = {
    {"avx10.2", "-mno-avx10.2"},
    {"avxvnniint16", "-mno-avxvnniint16"},
    {"cmpccxadd", "-mno-cmpccxadd"},
    {"egpr", "-mno-apxf"},
    {"fma4", "-mno-fma4"},
    {"tbm", "-mno-tbm"},
    {"xop", "-mno-xop"}};

/// CPUs on which two FMAs on widened bf16 pairs are faster than vdpbf16ps.
/// Measured on emeraldrapids: 175 GF/s a dot against 330 of FMAs on two cores,
/// and 1.4 times the tokens a second in a prefill of SmolLM2; the others have
/// the same vector units.
static constexpr StringRef kSlowBf16Dot[] = {
    "sapphirerapids", "emeraldrapids", "graniterapids", "graniterapids-d"};

/// Makes the kernels do without them (kernels/cpu/vector.h).
static constexpr StringRef kNoBf16Dot = "-DFDPP_NO_BF16_DOT";

static bool isKnown(StringRef feature) {
  return llvm::is_contained(kKnown, feature);
}

namespace {
/// `CPU+a+nob` taken apart.
struct ParsedArch {
  StringRef cpu;
  llvm::SmallVector<StringRef> added, removed;
};
} // namespace

static llvm::Error unknownCpu(StringRef cpu) {
  llvm::SmallVector<StringRef> names;
  llvm::X86::fillValidCPUArchList(names, /*Only64Bit=*/true);
  StringRef nearest;
  for (StringRef name : names)
    if (nearest.empty() || cpu.edit_distance(name) < cpu.edit_distance(nearest))
      nearest = name;
  bool close = cpu.edit_distance(nearest) <= 2;
  return createStringError(
      "--arch: no 64-bit x86 cpu is called '" + cpu + "'; " +
      (close ? "did you mean " + nearest.str() + "?"
             : "give native, a level such as x86-64-v3, or one of clang's "
               "names such as znver4"));
}

static llvm::Expected<ParsedArch> parseArch(StringRef arch) {
  ParsedArch parsed;
  auto [cpu, rest] = arch.split('+');
  parsed.cpu = cpu;
  if (llvm::X86::parseArchX86(cpu, /*Only64Bit=*/true) == llvm::X86::CK_None)
    return unknownCpu(cpu);
  while (!rest.empty()) {
    auto [feature, more] = rest.split('+');
    rest = more;
    bool remove = feature.consume_front("no");
    if (!isKnown(feature))
      return createStringError("--arch: '" + feature +
                               "' is no cpu feature that engines know; see "
                               "docs/engine-format.md for the list");
    (remove ? parsed.removed : parsed.added).push_back(feature);
  }
  return parsed;
}

/// The features of a CPU, clang's implications included.
static llvm::StringMap<bool> featuresOf(const ParsedArch &parsed) {
  llvm::StringMap<bool> features;
  llvm::SmallVector<StringRef> base;
  llvm::X86::getFeaturesForCPU(parsed.cpu, base);
  for (StringRef feature : base) {
    features[feature] = true;
    llvm::X86::updateImpliedFeatures(feature, true, features);
  }
  for (StringRef feature : parsed.added) {
    features[feature] = true;
    llvm::X86::updateImpliedFeatures(feature, true, features);
  }
  for (StringRef feature : parsed.removed) {
    features[feature] = false;
    llvm::X86::updateImpliedFeatures(feature, false, features);
  }
  return features;
}

/// This machine's CPU in the form that resolveCpuArch() reads.
static std::string describeHost() {
  std::string arch = llvm::sys::getHostCPUName().str();
  if (llvm::X86::parseArchX86(arch, /*Only64Bit=*/true) == llvm::X86::CK_None)
    arch = "x86-64"; // a CPU newer than LLVM: its features say what it can
  llvm::StringMap<bool> base = featuresOf({arch, {}, {}});
  llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  for (StringRef feature : kKnown) {
    // LLVM counts these two as part of 64-bit mode itself.
    if (feature == "cmov" || feature == "cx8")
      continue;
    if (host.lookup(feature) && !base.lookup(feature))
      arch += "+" + feature.str();
    if (!host.lookup(feature) && base.lookup(feature) && host.contains(feature))
      arch += "+no" + feature.str();
  }
  return arch;
}

int64_t CpuArch::tileTokens() const {
  if (kernels() == "amx")
    return 32;
  if (llvm::is_contained(features, "avx512f"))
    return 12;
  return llvm::is_contained(features, "avx") ? 6 : 2;
}

std::string CpuArch::kernels() const {
  auto has = [&](StringRef feature) {
    return llvm::is_contained(features, feature);
  };
  if (has("amx-tile") && has("amx-bf16"))
    return "amx";
  if (has("avx512bf16") && !llvm::is_contained(flags, kNoBf16Dot))
    return "avx512bf16";
  if (has("avx512f"))
    return "avx512";
  if (has("avx2") && has("fma") && has("f16c"))
    return "avx2";
  // Between the two the kernels are neither: no table is for that.
  return has("avx") ? "avx" : "portable";
}

llvm::Expected<CpuArch> mlir::fdpp::resolveCpuArch(StringRef arch) {
  if (!llvm::Triple(llvm::sys::getProcessTriple()).isX86())
    return createStringError("--target=cpu: engines can only be compiled for "
                             "x86-64 so far, on such a machine");
  CpuArch result;
  auto [cpu, rest] = arch.split('+');
  result.name = arch.str();
  if (cpu == "native")
    result.name = describeHost() + (rest.empty() ? "" : "+" + rest.str());
  llvm::Expected<ParsedArch> parsed = parseArch(result.name);
  if (!parsed)
    return parsed.takeError();
  llvm::StringMap<bool> features = featuresOf(*parsed);
  for (StringRef feature : kKnown)
    if (features.lookup(feature))
      result.features.push_back(feature.str());
  result.flags.push_back("-march=" + parsed->cpu.str());
  for (StringRef feature : parsed->added)
    result.flags.push_back("-m" + feature.str());
  for (StringRef feature : parsed->removed)
    result.flags.push_back("-mno-" + feature.str());
  for (auto [feature, flag] : kAvoided)
    if (features.lookup(feature))
      result.flags.push_back(flag.str());
  if (llvm::is_contained(kSlowBf16Dot, parsed->cpu))
    result.flags.push_back(kNoBf16Dot.str());
  return result;
}
