// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OutputFile.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <unistd.h>

using namespace mlir::fdpp;

/// nettle's: it uses the CPU's SHA instructions, which makes hashing several
/// times faster than packing.
struct OutputFile::Hash {
  sha256_ctx context;
  Hash() { sha256_init(&context); }
  void update(llvm::StringRef bytes) {
    sha256_update(&context, bytes.size(), bytes.bytes_begin());
  }
  std::string finish() {
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(&context, sizeof(digest), digest);
    return llvm::toHex(digest, /*LowerCase=*/true);
  }
};

llvm::Error mlir::fdpp::fileError(llvm::StringRef path, llvm::StringRef what,
                                  int error) {
  bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return llvm::createStringError(
      path + ": cannot " + what + " (" + llvm::StringRef(std::strerror(error)) +
      ")" + (full ? "; free some space or give -o on another disk" : ""));
}

OutputFile::OutputFile(std::string path, int fd)
    : path(std::move(path)), fd(fd), hash(std::make_unique<Hash>()) {}

OutputFile::OutputFile(OutputFile &&other)
    : path(std::move(other.path)), fd(std::exchange(other.fd, -1)),
      written(other.written), hash(std::move(other.hash)) {}

OutputFile::~OutputFile() {
  if (fd >= 0)
    close(fd);
}

llvm::Expected<OutputFile> OutputFile::create(llvm::StringRef path,
                                              uint64_t bytes) {
  std::string name = path.str();
  int fd = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0)
    return fileError(path, "create the file", errno);
  OutputFile file(std::move(name), fd);
  // File systems that cannot reserve say so, and writing finds out instead.
  if (bytes > 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, bytes) != 0 &&
      (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
    return fileError(path, "write " + std::to_string(bytes >> 20) + " MiB",
                     errno);
  return file;
}

llvm::Error OutputFile::append(llvm::StringRef bytes) {
  hash->update(bytes);
  written += bytes.size();
  while (!bytes.empty()) {
    ssize_t done = write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0)
      return fileError(path, "write the file", errno);
    bytes = bytes.drop_front(done);
  }
  return llvm::Error::success();
}

llvm::Expected<FileDigest> OutputFile::finish() {
  int synced = fsync(fd), error = errno;
  int closed = close(std::exchange(fd, -1));
  if (synced != 0 || closed != 0)
    return fileError(path, "write the file", synced != 0 ? error : errno);
  return FileDigest{written, hash->finish()};
}

llvm::Error mlir::fdpp::syncPath(llvm::StringRef path) {
  int fd = open(path.str().c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fileError(path, "open the file", errno);
  int synced = fsync(fd), error = errno;
  close(fd);
  return synced == 0 ? llvm::Error::success()
                     : fileError(path, "sync the file", error);
}

llvm::Expected<FileDigest> mlir::fdpp::digestFile(llvm::StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return fileError(path, "read the file", buffer.getError().value());
  sha256_ctx context;
  sha256_init(&context);
  llvm::StringRef bytes = (*buffer)->getBuffer();
  sha256_update(&context, bytes.size(), bytes.bytes_begin());
  uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_digest(&context, sizeof(digest), digest);
  return FileDigest{bytes.size(), llvm::toHex(digest, /*LowerCase=*/true)};
}
