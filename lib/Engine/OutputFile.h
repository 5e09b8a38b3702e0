// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A file that is written front to back, hashed on the way and synced.

#ifndef FDPP_LIB_ENGINE_OUTPUTFILE_H
#define FDPP_LIB_ENGINE_OUTPUTFILE_H

#include "fdpp/Engine/Safetensors.h"

#include <memory>
#include <string>

namespace mlir::fdpp {

class OutputFile {
public:
  /// Creates `path`, which must not exist. Reserves `bytes` where the file
  /// system can, so that a full disk is noticed at once; 0 reserves nothing.
  static llvm::Expected<OutputFile> create(llvm::StringRef path,
                                           uint64_t bytes);
  OutputFile(OutputFile &&);
  ~OutputFile();

  llvm::Error append(llvm::StringRef bytes);
  uint64_t size() const { return written; }

  /// Syncs and closes.
  llvm::Expected<FileDigest> finish();

private:
  struct Hash;
  OutputFile(std::string path, int fd);

  std::string path;
  int fd;
  uint64_t written = 0;
  std::unique_ptr<Hash> hash;
};

/// `PATH: cannot WHAT: why`, with what to do when the disk is full.
llvm::Error fileError(llvm::StringRef path, llvm::StringRef what, int error);

/// Size and SHA-256 of an existing file.
llvm::Expected<FileDigest> digestFile(llvm::StringRef path);

/// Syncs an existing file or folder.
llvm::Error syncPath(llvm::StringRef path);

} // namespace mlir::fdpp

#endif // FDPP_LIB_ENGINE_OUTPUTFILE_H
