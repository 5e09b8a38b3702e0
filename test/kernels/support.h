// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What kernel tests share: a team of real threads, seeded data, packing.
#ifndef FDPP_TEST_KERNELS_SUPPORT_H
#define FDPP_TEST_KERNELS_SUPPORT_H

#include "kernels/common/packing.h"
#include "kernels/cpu/team.h"

#include <cmath>
#include <limits>
#include <new>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

namespace fdpp::test {

/// Runs body(team) on `count` threads.
template <class Body> void on_team(int count, Body body) {
  cpu::TeamState state;
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      cpu::Team team(state, i, count);
      body(team);
    });
  for (std::thread &thread : threads)
    thread.join();
}

/// 64-byte aligned bytes filled with NaN, whatever the type they are read as.
class Scratch {
public:
  explicit Scratch(size_t bytes)
      : size(bytes), memory(static_cast<unsigned char *>(
                         ::operator new(bytes + 64, std::align_val_t(64)))) {
    std::fill(memory, memory + bytes + 64, 0xff);
  }
  ~Scratch() { ::operator delete(memory, std::align_val_t(64)); }
  Scratch(const Scratch &) = delete;
  void *data() { return memory; }
  /// True if nobody wrote past the end.
  bool intact() const {
    for (size_t i = size; i < size + 64; ++i)
      if (memory[i] != 0xff)
        return false;
    return true;
  }

private:
  size_t size;
  unsigned char *memory;
};

template <class E>
std::vector<E> random_values(size_t count, unsigned seed, float scale = 1.0f) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<E> values(count);
  for (E &value : values)
    value = from_float<E>(normal(engine));
  return values;
}

/// Packs row-major w[source rows][k] segment by segment.
template <class E>
std::vector<E> pack_weights(const std::vector<E> &w, int k,
                            const std::vector<ColumnSegment> &segments) {
  std::vector<E> packed;
  int row = 0;
  for (const ColumnSegment &segment : segments) {
    size_t base = packed.size();
    int panels = segment_panels(segment);
    packed.resize(base + packed_elements<E>(panels, k), E{});
    for (int p = 0; p < panels * panel_rows; ++p)
      if (int source = source_row(segment, p); source >= 0)
        for (int i = 0; i < k; ++i)
          packed[base + packed_index<E>(p, i, k)] =
              w[size_t(row + source) * k + i];
    row += source_rows(segment);
  }
  return packed;
}

inline constexpr float quiet_nan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float infinity = std::numeric_limits<float>::infinity();

} // namespace fdpp::test

#endif // FDPP_TEST_KERNELS_SUPPORT_H
