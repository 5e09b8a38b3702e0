// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The BLAS library that computes an engine's linears where its tuning table
// says so. It is opened when such an engine is loaded; others need none.
#ifndef FDPP_RUNTIME_DEVICE_CPU_BLASLIBRARY_H
#define FDPP_RUNTIME_DEVICE_CPU_BLASLIBRARY_H

#include "fdpp-runtime/model_abi.h"

#include <string>

namespace fdpp::runtime {

struct BlasLibrary {
  std::string name; // as it was opened
  fdpp_sgemm_fn sgemm = nullptr;
};

/// The file that the environment's FDPP_BLAS names, else BLIS. It computes on
/// the thread that calls it, may be called by several at a time, and stays
/// loaded. Throws an error that says why there is none, for the caller to say
/// what to do: "cannot open libblis.so.4 (...)".
const BlasLibrary &blasLibrary();

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_CPU_BLASLIBRARY_H
