// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "BlasLibrary.h"

#include "Error.h"

#include <cstdint>
#include <cstdlib>
#include <dlfcn.h>

namespace fdpp::runtime {
namespace {

/// Of Debian's and Ubuntu's libblis4-serial, -openmp and -pthread alike.
constexpr const char *kBlis = "libblis.so.4";

template <class Fn> Fn find(void *library, const char *symbol) {
  return reinterpret_cast<Fn>(dlsym(library, symbol));
}

/// Lets the library compute on the calling thread alone. Sequential BLIS has
/// nothing to set; OpenBLAS built without threads is not safe to call from
/// several, since they would share one buffer.
void makeSequential(void *library, const std::string &name) {
  if (auto set = find<void (*)(int64_t)>(library, "bli_thread_set_num_threads"))
    return set(1);
  auto parallel = find<int (*)()>(library, "openblas_get_parallel");
  auto set = find<void (*)(int)>(library, "openblas_set_num_threads");
  if (!parallel || !set)
    return;
  if (parallel() == 0)
    userError(name + " is an openblas for programs of one thread");
  set(1);
}

BlasLibrary open() {
  const char *given = std::getenv("FDPP_BLAS");
  BlasLibrary library{given && *given ? given : kBlis};
  void *handle = dlopen(library.name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    userError("cannot open " + library.name + " (" + dlerror() + ")");
  library.sgemm = find<fdpp_sgemm_fn>(handle, "cblas_sgemm");
  if (!library.sgemm)
    userError(library.name + " has no cblas_sgemm");
  makeSequential(handle, library.name);
  return library;
}

} // namespace

const BlasLibrary &blasLibrary() {
  static const BlasLibrary library = open();
  return library;
}

} // namespace fdpp::runtime
