// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Asks for the matrix unit before main(), as the runtime does when it looks at
// what the processor can.
#include "kernels/common/matrix_permission.h"

#include <cstdio>

static const bool granted = [] {
  bool given = fdpp::request_matrix_unit();
  if (!given)
    std::fputs("no matrix unit (AMX), or no permission to use it\n", stderr);
  return given;
}();
