// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Linux gives a process the registers of a matrix unit (AMX) on request only,
// since they make the state of every thread 8 KiB larger. Plain C++20.
#ifndef FDPP_KERNELS_COMMON_MATRIX_PERMISSION_H
#define FDPP_KERNELS_COMMON_MATRIX_PERMISSION_H

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace fdpp {

/// Asks for the registers, for all threads of the process; false where the
/// processor has none or the kernel refuses.
inline bool request_matrix_unit() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr int request_permission = 0x1023, tile_data = 18; // asm/prctl.h
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

} // namespace fdpp

#endif // FDPP_KERNELS_COMMON_MATRIX_PERMISSION_H
