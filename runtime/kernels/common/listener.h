// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Who is told of a step's kernels: fdpp_step::on_kernel.
#ifndef FDPP_KERNELS_COMMON_LISTENER_H
#define FDPP_KERNELS_COMMON_LISTENER_H

#include "fdpp-runtime/model_abi.h"

namespace fdpp {

/// Nobody where `on_kernel` is null.
struct KernelListener {
  fdpp_kernel_fn on_kernel = nullptr;
  void *context = nullptr;

  void tell(const char *name, int layer) const {
    if (on_kernel)
      on_kernel(context, name, layer);
  }
};

} // namespace fdpp

#endif // FDPP_KERNELS_COMMON_LISTENER_H
