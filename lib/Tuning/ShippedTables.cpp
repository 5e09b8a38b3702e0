// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Tuning/TuningTable.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <algorithm>

using llvm::StringRef;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

std::vector<std::string> mlir::fdpp::findShippedTables(StringRef executable) {
  llvm::SmallString<256> installed(
      path::parent_path(path::parent_path(executable)));
  path::append(installed, "share", "fdpp", "tuning");
  std::vector<std::string> tables;
  std::error_code error;
  for (fs::directory_iterator entry(installed, error), end;
       !error && entry != end; entry.increment(error))
    if (path::extension(entry->path()) == ".json")
      tables.push_back(entry->path());
  std::sort(tables.begin(), tables.end());
  return tables;
}
