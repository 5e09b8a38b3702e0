// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compiled kernels by what they were compiled from, kept between compiles.

#ifndef FDPP_ENGINE_OBJECTCACHE_H
#define FDPP_ENGINE_OBJECTCACHE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace mlir::fdpp {

/// A folder of libraries, each in a file named by its key. Several processes
/// may use it at once: entries appear whole or not at all, and hold the hash of
/// their content, so that a damaged one is noticed. Above the size bound the
/// entries used longest ago are removed.
class ObjectCache {
public:
  /// The cache of the environment: $FDPP_CACHE_DIR, else fdpp in
  /// $XDG_CACHE_HOME, else in ~/.cache; at most $FDPP_CACHE_SIZE MiB, else
  /// 1024. Fails if there is no such folder or the size is no number.
  static llvm::Expected<ObjectCache> find();

  ObjectCache(std::string folder, uint64_t mostBytes)
      : folder(std::move(folder)), mostBytes(mostBytes) {}

  /// Writes the library of that key to `output`, which must not exist; false if
  /// there is none. An entry that is damaged is removed and counts as none.
  llvm::Expected<bool> fetch(llvm::StringRef key, llvm::StringRef output) const;

  /// Keeps a copy of `library` under the key.
  llvm::Error store(llvm::StringRef key, llvm::StringRef library) const;

private:
  void evict() const;

  std::string folder;
  uint64_t mostBytes;
};

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_OBJECTCACHE_H
