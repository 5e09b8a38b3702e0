// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the fuzzers share: files to read from, and what a diagnostic must be.
#ifndef FDPP_TEST_FUZZ_FUZZ_H
#define FDPP_TEST_FUZZ_FUZZ_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace fuzz {

/// A defect that no sanitizer sees.
[[noreturn]] inline void defect(const char *what, std::string_view message) {
  std::fprintf(stderr, "FUZZ: %s: '%.*s'\n", what,
               static_cast<int>(message.size()), message.data());
  std::abort();
}

/// A diagnostic is one line that a terminal can show, whatever names the input
/// brought along.
inline void requireOneLine(std::string_view message) {
  if (message.empty())
    defect("an error without a word", message);
  for (unsigned char c : message)
    if (c < 0x20 || c == 0x7f)
      defect("a diagnostic with a control character", message);
}

/// A folder of this process, removed with it. FDPP_FUZZ_FOLDER names one: a
/// path that no run shares would get into what is compared, and so into the
/// mutations.
class Folder {
public:
  Folder() {
    if (const char *named = std::getenv("FDPP_FUZZ_FOLDER")) {
      path = named;
      std::filesystem::create_directories(path);
      return;
    }
    path = std::filesystem::temp_directory_path() / "fdpp-fuzz-XXXXXX";
    if (!mkdtemp(path.data()))
      defect("cannot make a folder", path);
  }
  ~Folder() { std::filesystem::remove_all(path); }

  std::string put(const char *name, const uint8_t *data, size_t size) const {
    std::string file = path + "/" + name;
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char *>(data),
               static_cast<std::streamsize>(size));
    return file;
  }

  std::string path;
};

} // namespace fuzz

#endif // FDPP_TEST_FUZZ_FUZZ_H
