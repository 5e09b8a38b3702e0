// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "EngineFolder.h"

#include "OutputFile.h"
#include "fdpp/Engine/Interrupt.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace mlir::fdpp;
using llvm::createStringError;
using llvm::StringRef;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

//===----------------------------------------------------------------------===//
// What may be replaced.
//===----------------------------------------------------------------------===//

/// Names that an engine.json lists, or nothing if it is none.
static std::optional<llvm::StringSet<>> listedFiles(StringRef manifest) {
  auto buffer = llvm::MemoryBuffer::getFile(manifest);
  if (!buffer)
    return std::nullopt;
  llvm::Expected<llvm::json::Value> json =
      llvm::json::parse((*buffer)->getBuffer());
  if (!json) {
    llvm::consumeError(json.takeError());
    return std::nullopt;
  }
  const llvm::json::Object *root = json->getAsObject();
  if (!root || root->getString("magic") != StringRef("fdpp-engine"))
    return std::nullopt;
  llvm::StringSet<> names;
  names.insert("engine.json");
  if (const llvm::json::Array *files = root->getArray("files"))
    for (const llvm::json::Value &file : *files)
      if (const llvm::json::Object *object = file.getAsObject())
        if (auto name = object->getString("name"))
          names.insert(*name);
  return names;
}

llvm::Error mlir::fdpp::checkReplaceable(StringRef target) {
  fs::file_status status;
  if (fs::status(target, status, /*follow=*/false) ||
      status.type() == fs::file_type::file_not_found)
    return llvm::Error::success();
  StringRef advice = "; give another -o or move it away";
  if (status.type() != fs::file_type::directory_file)
    return createStringError(target + ": exists and is no folder" + advice);
  auto listed = listedFiles((target + "/engine.json").str());
  if (!listed)
    return createStringError(target + ": exists and is no engine" + advice);
  std::error_code error;
  for (fs::recursive_directory_iterator at(target, error), end;
       at != end && !error; at.increment(error)) {
    StringRef name = StringRef(at->path()).drop_front(target.size());
    name = name.ltrim('/');
    if (at->type() != fs::file_type::directory_file && !listed->contains(name))
      return createStringError(target + ": holds " + name +
                               ", which is not the engine's" + advice);
  }
  if (error)
    return fileError(target, "read the folder", error.value());
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Beside the target.
//===----------------------------------------------------------------------===//

static std::string parentOf(StringRef target) {
  StringRef parent = path::parent_path(target);
  return parent.empty() ? "." : parent.str();
}

/// What temporary folders of `target` are called, but for a random ending.
static std::string prefixOf(StringRef target) {
  return ("." + path::filename(target) + ".fdpp-").str();
}

/// Opens and locks a temporary folder; -1 if another process works in it.
static int lockFolder(const std::string &folder) {
  int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

/// A compile holds a lock on its folder until it ends, however it ends.
static void removeLeftovers(StringRef target) {
  std::string prefix = prefixOf(target);
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator at(parentOf(target), error), end;
       at != end && !error; at.increment(error))
    if (path::filename(at->path()).starts_with(prefix))
      found.push_back(at->path());
  for (const std::string &folder : found)
    if (int fd = lockFolder(folder); fd >= 0) {
      fs::remove_directories(folder);
      close(fd);
    }
}

EngineFolder::EngineFolder(std::string target, std::string folder, int lock)
    : target(std::move(target)), folder(std::move(folder)), lock(lock) {
  removeOnInterrupt(this->folder);
}

EngineFolder::EngineFolder(EngineFolder &&other)
    : target(std::move(other.target)), folder(std::move(other.folder)),
      lock(std::exchange(other.lock, -1)),
      subfolders(std::move(other.subfolders)), files(std::move(other.files)) {
  other.folder.clear();
}

EngineFolder::~EngineFolder() {
  if (folder.empty())
    return;
  fs::remove_directories(folder);
  removeOnInterrupt("");
  close(lock);
}

llvm::Expected<EngineFolder> EngineFolder::create(StringRef target) {
  removeLeftovers(target);
  std::string folder = parentOf(target) + "/" + prefixOf(target) + "XXXXXX";
  HeldInterrupts untilItIsNamed;
  if (!mkdtemp(folder.data()))
    return fileError(parentOf(target), "write in the folder", errno);
  // mkdtemp makes folders private; an engine is as readable as any output.
  mode_t mask = umask(0);
  umask(mask);
  chmod(folder.c_str(), 0777 & ~mask);
  int lock = lockFolder(folder);
  if (lock < 0)
    return fileError(folder, "lock the folder", errno);
  return EngineFolder(target.str(), folder, lock);
}

std::string EngineFolder::pathOf(StringRef name) const {
  return folder + "/" + name.str();
}

llvm::Error EngineFolder::makeSubfolder(StringRef name) {
  if (std::error_code error = fs::create_directory(
          pathOf(name), /*IgnoreExisting=*/false, fs::perms::all_all))
    return fileError(pathOf(name), "create the folder", error.value());
  subfolders.push_back(name.str());
  return llvm::Error::success();
}

llvm::Error EngineFolder::write(StringRef name, StringRef content) {
  llvm::Expected<OutputFile> file = OutputFile::create(pathOf(name), 0);
  if (!file)
    return file.takeError();
  if (llvm::Error error = file->append(content))
    return error;
  llvm::Expected<FileDigest> digest = file->finish();
  if (!digest)
    return digest.takeError();
  list(name, *digest);
  return llvm::Error::success();
}

llvm::Error EngineFolder::adopt(StringRef name) {
  if (llvm::Error error = syncPath(pathOf(name)))
    return error;
  llvm::Expected<FileDigest> digest = digestFile(pathOf(name));
  if (!digest)
    return digest.takeError();
  list(name, *digest);
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Publishing.
//===----------------------------------------------------------------------===//

/// renameat2 with the flags; errno on failure, else 0.
static int renameWith(const std::string &from, const std::string &to,
                      unsigned flags) {
  return renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0
             ? 0
             : errno;
}

/// Puts `folder` in the place of the engine `target`; afterwards `folder`
/// names what is to be removed.
static int replaceEngine(std::string &folder, const std::string &target) {
  int error = renameWith(folder, target, RENAME_EXCHANGE);
  if (error != EINVAL && error != ENOSYS)
    return error;
  std::string old = folder + "-old";
  if ((error = renameWith(target, old, 0)) != 0)
    return error;
  if ((error = renameWith(folder, target, 0)) != 0) {
    renameWith(old, target, 0);
    return error;
  }
  folder = old;
  return 0;
}

llvm::Error EngineFolder::publish() {
  for (const std::string &name : subfolders)
    if (llvm::Error error = syncPath(pathOf(name)))
      return error;
  if (llvm::Error error = syncPath(folder))
    return error;
  if (llvm::Error error = checkReplaceable(target))
    return error;
  int error = 0;
  if (fs::exists(target)) {
    error = replaceEngine(folder, target);
  } else {
    error = renameWith(folder, target, RENAME_NOREPLACE);
    if (error == EINVAL || error == ENOSYS) // rename refuses a full folder
      error = renameWith(folder, target, 0);
    if (error == 0) {
      removeOnInterrupt("");
      folder.clear();
      close(lock);
    }
  }
  if (error != 0)
    return fileError(target, "put the engine there", error);
  return syncPath(parentOf(target));
}
