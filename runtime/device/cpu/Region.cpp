// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Region.h"

#include "Error.h"

#include <string>
#include <sys/mman.h>
#include <utility>

namespace fdpp::runtime {

Region::Region(uint64_t size, const char *what, Pages pages) : bytes(size) {
  if (size == 0)
    return;
  base = mmap(nullptr, size, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    base = nullptr;
    throw Error(ErrorKind::Memory,
                "no memory for " + std::to_string(size) + " bytes of " + what +
                    "; ask for a smaller context or fewer sequences");
  }
  // Advice only: without huge pages everything works, a little slower.
  madvise(base, size, pages == Pages::Huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

Region::~Region() {
  if (base)
    munmap(base, bytes);
}

Region::Region(Region &&other) noexcept
    : base(std::exchange(other.base, nullptr)),
      bytes(std::exchange(other.bytes, 0)) {}

void *Region::release() {
  bytes = 0;
  return std::exchange(base, nullptr);
}

Region Region::adopt(void *base, uint64_t bytes) {
  Region region;
  region.base = base;
  region.bytes = bytes;
  return region;
}

Region &Region::operator=(Region &&other) noexcept {
  std::swap(base, other.base);
  std::swap(bytes, other.bytes);
  return *this;
}

} // namespace fdpp::runtime
