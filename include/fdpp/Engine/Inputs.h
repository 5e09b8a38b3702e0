// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What an engine was made from, so that the same request need not be compiled
// twice.

#ifndef FDPP_ENGINE_INPUTS_H
#define FDPP_ENGINE_INPUTS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace mlir::fdpp {

/// One file that was read: its name relative to the model's folder, and the
/// BLAKE3 hash of its content. Content and not time: copies and restored
/// backups are judged rightly, and engines do not differ by when they were
/// made. BLAKE3 because it reads gigabytes in seconds.
struct InputFile {
  std::string name;
  uint64_t bytes = 0;
  std::string hash; // 64 hex digits
};

/// Hashes a file.
llvm::Expected<InputFile> readInput(llvm::StringRef folder,
                                    llvm::StringRef name);

/// A hash of several texts, none of which can run into the next.
std::string hashTexts(llvm::ArrayRef<std::string> texts);

/// Names of the files beside the model that travel into the engine, sorted.
std::vector<std::string> findCompanions(llvm::StringRef folder);

/// Whether `engine` is an engine that was made by the same request (`key`) from
/// files that still have the same content, is whole by the sizes of its files,
/// and `companions` are what it was made with. Anything unreadable means no.
bool isUpToDate(llvm::StringRef engine, llvm::StringRef key,
                llvm::StringRef folder, llvm::ArrayRef<std::string> companions);

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_INPUTS_H
