// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_DEVICE_CPU_READCEILING_H
#define FDPP_RUNTIME_DEVICE_CPU_READCEILING_H

#include "Region.h"
#include "ThreadTeam.h"

#include <cstdint>

namespace fdpp::runtime {

/// The rate at which a team can read memory: what a step that streams its
/// weights can at best reach. Memory comes in small pages, as a mapped weight
/// file does.
class ReadCeiling {
public:
  explicit ReadCeiling(uint64_t bytes);

  uint64_t bytes() const { return memory.size(); }

  /// Sums an eighth of the memory after another with all threads, in one and in
  /// several streams each, for at least 200 ms and all of it twice; the best of
  /// these rates in bytes a second. Short samples, since whatever else uses the
  /// memory meanwhile would count as its limit.
  double measure(ThreadTeam &team);

private:
  Region memory;
  bool filled = false;
  uint64_t sum = 0; // of what was read, so that reading cannot be left out
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_CPU_READCEILING_H
