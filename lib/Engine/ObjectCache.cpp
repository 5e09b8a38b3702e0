// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/ObjectCache.h"

#include "OutputFile.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"

#include <cerrno>
#include <cstdio>
#include <sys/stat.h>
#include <unistd.h>

using namespace mlir::fdpp;
using llvm::StringRef;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

/// An entry: this, the hash of the library in hex, a newline, the library.
static constexpr StringRef magic = "fdpp-object 1\n";
static constexpr size_t hashDigits = 64;
static constexpr size_t headerBytes = magic.size() + hashDigits + 1;

/// Unfinished entries; whoever left one this old was killed.
static constexpr StringRef unfinished = ".new-";
static constexpr std::chrono::hours abandoned(1);

static std::string hashOf(StringRef bytes) {
  llvm::BLAKE3 hash;
  hash.update(bytes);
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

llvm::Expected<ObjectCache> ObjectCache::find() {
  using llvm::sys::Process;
  uint64_t mebibytes = 1024;
  if (auto size = Process::GetEnv("FDPP_CACHE_SIZE");
      size && (StringRef(*size).getAsInteger(10, mebibytes) ||
               mebibytes > UINT64_MAX >> 20))
    return llvm::createStringError("FDPP_CACHE_SIZE: '" + *size +
                                   "' is no number of mebibytes");
  llvm::SmallString<128> folder;
  if (auto given = Process::GetEnv("FDPP_CACHE_DIR"); given && !given->empty())
    folder = *given;
  else if (path::cache_directory(folder)) // knows XDG_CACHE_HOME
    path::append(folder, "fdpp");
  else
    return llvm::createStringError(
        "no folder for the object cache: neither FDPP_CACHE_DIR nor HOME is "
        "set");
  path::append(folder, "objects");
  return ObjectCache(folder.str().str(), mebibytes << 20);
}

/// The library in an entry, or nothing if it is damaged.
static std::optional<StringRef> libraryIn(StringRef entry) {
  StringRef library = entry.substr(headerBytes);
  if (!entry.consume_front(magic) || library.empty() ||
      entry.take_front(hashDigits) != hashOf(library))
    return std::nullopt;
  return library;
}

/// Entries used longest ago go first.
static void markUsed(const std::string &file) {
  int fd;
  if (fs::openFileForWrite(file, fd, fs::CD_OpenExisting, fs::OF_Append))
    return;
  futimens(fd, nullptr);
  close(fd);
}

llvm::Expected<bool> ObjectCache::fetch(StringRef key, StringRef output) const {
  std::string file = folder + "/" + key.str();
  auto buffer = llvm::MemoryBuffer::getFile(file, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return false;
  std::optional<StringRef> library = libraryIn((*buffer)->getBuffer());
  if (!library) {
    fs::remove(file);
    return false;
  }
  markUsed(file);
  llvm::Expected<OutputFile> copy = OutputFile::create(output, 0);
  if (!copy)
    return copy.takeError();
  if (llvm::Error error = copy->append(*library))
    return error;
  if (llvm::Expected<FileDigest> done = copy->finish(); !done)
    return done.takeError();
  // As the linker would have left it.
  mode_t mask = umask(0);
  umask(mask);
  chmod(output.str().c_str(), 0777 & ~mask);
  return true;
}

/// Writes a whole entry into an open file; errno on failure, else 0.
static int writeEntry(int fd, StringRef library) {
  std::string header = (magic + hashOf(library) + "\n").str();
  for (StringRef rest : {StringRef(header), library})
    while (!rest.empty()) {
      ssize_t done = write(fd, rest.data(), rest.size());
      if (done < 0 && errno != EINTR)
        return errno;
      rest = rest.drop_front(std::max<ssize_t>(done, 0));
    }
  return 0;
}

llvm::Error ObjectCache::store(StringRef key, StringRef library) const {
  auto buffer = llvm::MemoryBuffer::getFile(library, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return fileError(library, "read the file", buffer.getError().value());
  if (std::error_code error = fs::create_directories(folder))
    return fileError(folder, "create the folder", error.value());
  std::string file = folder + "/" + unfinished.str() + "XXXXXX";
  int fd = mkstemp(file.data());
  if (fd < 0)
    return fileError(folder, "write in the folder", errno);
  int error = writeEntry(fd, (*buffer)->getBuffer());
  if (close(fd) != 0 && error == 0)
    error = errno;
  if (error == 0 && rename(file.c_str(), (folder + "/" + key).str().c_str()))
    error = errno;
  if (error != 0) {
    fs::remove(file);
    return fileError(folder, "write in the folder", error);
  }
  evict();
  return llvm::Error::success();
}

/// What cannot be read or removed is left: another process may be faster.
void ObjectCache::evict() const {
  struct Entry {
    llvm::sys::TimePoint<> used;
    std::string file;
    uint64_t bytes;
  };
  std::vector<Entry> entries;
  uint64_t sum = 0;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; at != end && !error;
       at.increment(error)) {
    fs::file_status status;
    if (fs::status(at->path(), status))
      continue;
    Entry entry{status.getLastModificationTime(), at->path(), status.getSize()};
    if (!path::filename(entry.file).starts_with(unfinished)) {
      sum += entry.bytes;
      entries.push_back(std::move(entry));
    } else if (std::chrono::system_clock::now() - entry.used > abandoned) {
      fs::remove(entry.file);
    }
  }
  llvm::sort(entries, [](const Entry &a, const Entry &b) {
    return std::tie(a.used, a.file) < std::tie(b.used, b.file);
  });
  for (const Entry &entry : entries) {
    if (sum <= mostBytes)
      return;
    fs::remove(entry.file);
    sum -= entry.bytes;
  }
}
