// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "RandomCache.h"

#include "Dtypes.h"
#include "Error.h"
#include "kernels/common/types.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace fdpp::runtime {
namespace {

/// SplitMix64 at a place of its sequence.
uint64_t mixed(uint64_t z) {
  z = (z + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// 2^16 values evenly over the interval. Rounding is slow where a processor
/// has no instruction for it; so each value is rounded once.
template <class E> std::vector<E> evenValues() {
  std::vector<E> values(1 << 16);
  for (size_t i = 0; i < values.size(); ++i) {
    double u = (static_cast<double>(i) + 0.5) / 0x1p15 - 1;
    values[i] = from_float<E>(static_cast<float>(std::sqrt(3.0) * u));
  }
  return values;
}

template <class E> struct Job {
  const CachePages &pages;
  uint64_t seed;
  std::vector<E> values = evenValues<E>();

  uint8_t *place(uint64_t layer, uint64_t number) const {
    return static_cast<uint8_t *>(pages.cache) +
           (layer * pages.pages + number) * pages.pageBytes;
  }

  /// Writes the page to `to`.
  void page(uint64_t layer, uint64_t number, uint8_t *bytes) const {
    auto *to = reinterpret_cast<E *>(bytes);
    uint64_t at = layer * pages.pages + number;
    uint64_t count = pages.pageBytes / sizeof(E);
    uint64_t begin = mixed(seed) + at * count;
    for (uint64_t i = 0; i < count; i += 4) {
      uint64_t bits = mixed(begin + i);
      for (uint64_t j = i; j < std::min(i + 4, count); ++j, bits >>= 16)
        to[j] = values[bits & 0xffff];
    }
  }

  static void run(void *ctx, int32_t index, int32_t count) {
    const Job &job = *static_cast<const Job *>(ctx);
    for (int32_t layer = 0; layer < job.pages.layers; ++layer)
      for (size_t i = index; i < job.pages.of.size(); i += count)
        job.page(layer, job.pages.of[i], job.place(layer, job.pages.of[i]));
  }

  void send(Device &device) const {
    StagingMemory staging(device, pages.pageBytes);
    auto *bytes = static_cast<uint8_t *>(staging.data());
    for (int32_t layer = 0; layer < pages.layers; ++layer)
      for (int32_t number : pages.of) {
        page(layer, number, bytes);
        device.upload(place(layer, number), bytes, pages.pageBytes);
        device.wait();
      }
  }
};

template <class E>
void fill(const CachePages &pages, uint64_t seed, Device &device,
          ThreadTeam &team) {
  Job<E> job{pages, seed};
  if (device.isHost())
    team.parallel(Job<E>::run, &job);
  else
    job.send(device);
}

} // namespace

void fillRandom(const CachePages &pages, uint64_t seed, Device &device,
                ThreadTeam &team) {
  switch (pages.dtype) {
  case FDPP_F32:
    return fill<float>(pages, seed, device, team);
  case FDPP_BF16:
    return fill<bf16>(pages, seed, device, team);
  case FDPP_F16:
    return fill<f16>(pages, seed, device, team);
  default:
    userError(std::string("a cache of ") + kDtypes[pages.dtype].name +
              " cannot be filled with random numbers; prefill the sequence");
  }
}

} // namespace fdpp::runtime
