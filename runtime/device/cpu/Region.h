// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_DEVICE_CPU_REGION_H
#define FDPP_RUNTIME_DEVICE_CPU_REGION_H

#include <cstdint>

namespace fdpp::runtime {

enum class Pages { Huge, Small };

/// Zeroed memory straight from the kernel, page-aligned. A page takes memory
/// only when it is first written, so a large cache costs what is used of it.
class Region {
public:
  Region() = default;
  /// Throws a memory error that names `what` when the kernel refuses.
  Region(uint64_t bytes, const char *what, Pages pages = Pages::Huge);
  ~Region();
  Region(Region &&other) noexcept;
  Region &operator=(Region &&other) noexcept;

  void *data() const { return base; }
  uint64_t size() const { return bytes; }

  /// The memory, which is the caller's then; adopt() takes it back.
  void *release();
  static Region adopt(void *base, uint64_t bytes);

private:
  void *base = nullptr;
  uint64_t bytes = 0;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_CPU_REGION_H
