// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --reuse: the compiled kernels of one engine for other weights.

#ifndef FDPP_ENGINE_REUSEDENGINE_H
#define FDPP_ENGINE_REUSEDENGINE_H

#include "fdpp/Engine/ModelInfo.h"

#include "llvm/Support/JSON.h"

#include <string>

namespace mlir::fdpp {

/// An engine whose model.so another one takes over, when both would be compiled
/// from the same text with the same command and kernel headers. Every check
/// fails with one line that names what differs.
class ReusedEngine {
public:
  /// Reads the manifest; model.so and the emitted text must be as it says.
  static llvm::Expected<ReusedEngine> open(llvm::StringRef folder);

  /// The two are of the same compiler, headers and options. Model files and
  /// seeds may differ: they are weights.
  llvm::Error checkRequest(llvm::StringRef product, llvm::StringRef kernels,
                           llvm::ArrayRef<std::string> command) const;
  /// The two have the same geometry and limits.
  llvm::Error checkModel(const ModelInfo &info) const;
  /// The two have the same emitted text.
  llvm::Error checkSource(llvm::StringRef source) const;

  std::string pathOf(llvm::StringRef name) const {
    return folder + "/" + name.str();
  }
  llvm::StringRef getLibraryHash() const { return libraryHash; }

private:
  ReusedEngine(std::string folder, llvm::json::Object manifest)
      : folder(std::move(folder)), manifest(std::move(manifest)) {}

  llvm::Error fail(const llvm::Twine &what) const;
  llvm::Error checkVersions() const;
  llvm::Error readFiles();

  std::string folder, libraryHash, text;
  llvm::json::Object manifest;
};

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_REUSEDENGINE_H
