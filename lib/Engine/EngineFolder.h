// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The folder of an engine, put together beside its place and moved there whole.

#ifndef FDPP_LIB_ENGINE_ENGINEFOLDER_H
#define FDPP_LIB_ENGINE_ENGINEFOLDER_H

#include "fdpp/Engine/Safetensors.h"

#include <map>
#include <string>

namespace mlir::fdpp {

/// Fails with one line if `target` exists and is no engine that may be
/// replaced: something else, or an engine with files that are not its own.
llvm::Error checkReplaceable(llvm::StringRef target);

class EngineFolder {
public:
  /// Creates an empty temporary folder beside `target`; left-overs there of
  /// compiles that were killed are removed.
  static llvm::Expected<EngineFolder> create(llvm::StringRef target);
  EngineFolder(EngineFolder &&);
  /// Removes what was not published.
  ~EngineFolder();

  /// Where the file of this name lies until the folder is published.
  std::string pathOf(llvm::StringRef name) const;

  llvm::Error makeSubfolder(llvm::StringRef name);
  /// Writes a file and lists it.
  llvm::Error write(llvm::StringRef name, llvm::StringRef content);
  /// Lists a file that was written by others, after syncing it.
  llvm::Error adopt(llvm::StringRef name);
  void list(llvm::StringRef name, const FileDigest &digest) {
    files[name.str()] = digest;
  }
  /// Listed files by name.
  const std::map<std::string, FileDigest> &getFiles() const { return files; }

  /// Syncs everything and moves the folder to its place in one step: at any
  /// moment the place holds the old engine or the new one. (Where the file
  /// system cannot exchange folders, none for a moment.)
  llvm::Error publish();

private:
  EngineFolder(std::string target, std::string folder, int lock);

  std::string target, folder;
  int lock;
  std::vector<std::string> subfolders;
  std::map<std::string, FileDigest> files;
};

} // namespace mlir::fdpp

#endif // FDPP_LIB_ENGINE_ENGINEFOLDER_H
