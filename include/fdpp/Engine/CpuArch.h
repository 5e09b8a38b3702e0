// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --arch of the CPU target.

#ifndef FDPP_ENGINE_CPUARCH_H
#define FDPP_ENGINE_CPUARCH_H

#include "fdpp/Engine/TargetArch.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>

namespace mlir::fdpp {

/// A CPU to compile for. `features` are those of docs/engine-format.md's list.
struct CpuArch : TargetArch {
  /// Tokens that the widest register tile of its kernels holds: widest_tile of
  /// runtime/kernels/cpu/tile.h.
  int64_t tileTokens() const;
  /// Which kernels the templates become: a level of kernels/common/tuning.h, or
  /// another word where tables know none.
  std::string kernels() const;
};

/// Reads `CPU[+FEATURE|+noFEATURE]...`; CPU is `native`, a level such as
/// `x86-64-v4`, or any name clang takes for -march. `native` becomes the name
/// of this machine's CPU with the features in which the machine differs from
/// it (a virtual machine may hide some), so that the result means the same
/// everywhere.
llvm::Expected<CpuArch> resolveCpuArch(llvm::StringRef arch);

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_CPUARCH_H
