// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// clang++ or nvcc, and the kernel headers: what turns emitted text into
// model.so.

#ifndef FDPP_ENGINE_NATIVECOMPILER_H
#define FDPP_ENGINE_NATIVECOMPILER_H

#include "fdpp/Engine/TargetArch.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <optional>

namespace mlir::fdpp {

class NativeCompiler {
public:
  /// `cxx` names the compiler (--cxx); empty means $FDPP_CXX, else clang++-22,
  /// else clang++, and for the target cuda $FDPP_NVCC, else nvcc, else the one
  /// in /usr/local/cuda. `executable` is this program's path: the headers are
  /// looked for in $FDPP_INCLUDE_DIR, then in ../share/fdpp beside the
  /// program's own folder; a build tree has a link there.
  static llvm::Expected<NativeCompiler>
  find(llvm::StringRef target, llvm::StringRef cxx, llvm::StringRef executable);

  /// The line of `--version` that tells it.
  llvm::StringRef getVersion() const { return version; }

  /// Only the headers, for engines that take over compiled kernels: what is
  /// found can digestHeaders() and nothing else.
  static llvm::Expected<NativeCompiler>
  findHeadersOnly(llvm::StringRef target, llvm::StringRef executable);

  /// A hash of every header that the target's emitted code may include.
  llvm::Expected<std::string> digestHeaders() const;

  /// What the library made from `source` is called in an object cache: a hash
  /// of the text, the flags, the compiler, the headers (`digest`) and what
  /// clang reads of the environment. Nothing for a compiler that is a script:
  /// what that makes may depend on anything; nor for nvcc, which calls the
  /// system's own.
  std::optional<std::string> getObjectKey(const TargetArch &arch,
                                          llvm::StringRef source,
                                          llvm::StringRef digest) const;

  /// The command for `arch` with names in place of this machine's paths. The
  /// working folder is source/ of the engine.
  std::vector<std::string> describe(const TargetArch &arch) const;

  /// What the text is called in source/: model.cpp or model.cu.
  llvm::StringRef getSourceName() const {
    return isCuda ? "model.cu" : "model.cpp";
  }

  /// Compiles `source` to the shared library `output`. `scratch` is a folder
  /// that does not exist, before and after: the compiler's temporary files.
  llvm::Error compile(const TargetArch &arch, llvm::StringRef source,
                      llvm::StringRef output, llvm::StringRef scratch) const;

private:
  std::vector<std::string> arguments(const TargetArch &arch,
                                     llvm::StringRef headers,
                                     llvm::StringRef source,
                                     llvm::StringRef output) const;

  bool isCuda = false;
  std::string program; // absolute
  std::string version;
  std::string headers; // holds kernels/ and include/fdpp-runtime/
};

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_NATIVECOMPILER_H
