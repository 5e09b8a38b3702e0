/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Both public headers must be plain C. */
#include "fdpp-runtime/fdpp.h"
#include "fdpp-runtime/model_abi.h"

const char *fdpp_test_version_from_c(void) { return fdpp_version(); }
