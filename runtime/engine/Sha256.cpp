// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Sha256.h"

#include "Error.h"

#include <cstdio>
#include <memory>
#include <nettle/sha2.h>
#include <vector>

namespace fdpp::runtime {

std::string sha256OfFile(const std::string &path) {
  std::unique_ptr<FILE, int (*)(FILE *)> file(std::fopen(path.c_str(), "rb"),
                                              std::fclose);
  if (!file)
    userError(path + ": cannot open the file");
  sha256_ctx context;
  sha256_init(&context);
  std::vector<uint8_t> block(1 << 20);
  while (size_t bytes = std::fread(block.data(), 1, block.size(), file.get()))
    sha256_update(&context, bytes, block.data());
  if (std::ferror(file.get()))
    userError(path + ": cannot read the file");
  uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_digest(&context, sizeof(digest), digest);
  std::string hex;
  for (uint8_t byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

} // namespace fdpp::runtime
