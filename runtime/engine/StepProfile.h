// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// When the kernels of a step ran, and what they read.
#ifndef FDPP_RUNTIME_ENGINE_STEPPROFILE_H
#define FDPP_RUNTIME_ENGINE_STEPPROFILE_H

#include "Device.h"
#include "fdpp-runtime/model_abi.h"

#include <memory>
#include <utility>
#include <vector>

namespace fdpp::runtime {

/// One kernel of a step.
struct KernelTime {
  const char *name;
  int32_t layer;         // -1: outside of the layers
  double start, seconds; // start: since the step's begin
  uint64_t bytes;        // of weights and cache that it reads, at the least
};

using KernelTimeFn = void (*)(void *ctx, const KernelTime &kernel);

class StepProfile {
public:
  /// Throws a user error for a model that does not name its kernels.
  StepProfile(Device &device, const fdpp_model_table &table, KernelTimeFn fn,
              void *ctx);

  /// Makes a step that is about to be enqueued tell of its kernels.
  void begin(fdpp_step &step);
  /// Behind the device's wait(): gives the kernels of the step. `step` has its
  /// arrays on the host.
  void finish(const fdpp_step &step);

private:
  uint64_t bytesOf(const char *name, const fdpp_step &step) const;

  const fdpp_model_table &table;
  const KernelTimeFn fn;
  void *const ctx;
  std::unique_ptr<Stopwatch> watch;
  std::vector<std::pair<const char *, int32_t>> kernels;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_STEPPROFILE_H
