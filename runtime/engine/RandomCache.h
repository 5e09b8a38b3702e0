// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_RANDOMCACHE_H
#define FDPP_RUNTIME_ENGINE_RANDOMCACHE_H

#include "Device.h"
#include "ThreadTeam.h"

#include <cstdint>
#include <vector>

namespace fdpp::runtime {

/// The places of one sequence in a cache [layers][pages][page_bytes].
struct CachePages {
  void *cache;
  uint64_t pageBytes;
  int32_t layers, pages; // of the cache
  int32_t dtype;         // enum fdpp_dtype of its elements
  const std::vector<int32_t> &of;
};

/// Fills those pages with numbers uniform in [-sqrt(3), sqrt(3)], of variance
/// 1 as normed projections have. A function of seed, layer, page and place:
/// threads and the order inside a page do not matter. Throws a user error for
/// elements that are no floating-point numbers.
void fillRandom(const CachePages &pages, uint64_t seed, Device &device,
                ThreadTeam &team);

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_RANDOMCACHE_H
