// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A linear of three segments, one of each partner, for tests of whatever
// computes one.
#ifndef FDPP_TEST_KERNELS_SEGMENTS_H
#define FDPP_TEST_KERNELS_SEGMENTS_H

#include "kernels/cpu/epilogue.h"
#include "reference.h"
#include "support.h"

#include <gtest/gtest.h>

namespace fdpp::test {

using namespace fdpp::cpu;

/// An epilogue that keeps all it is given: out[row][source row of the segment].
template <Partner P, int Columns, int Group = 0> struct Keep {
  static constexpr Partner partner = P;
  static constexpr int columns = Columns, group = Group;
  static constexpr ColumnSegment segment{P, Columns, Group};
  float *out;

  template <class V>
  void operator()(V value, V other, int row, int column, int count) const {
    float *to = out + int64_t(row) * source_rows(segment) + column;
    store(to, value, count);
    if constexpr (P == Partner::half)
      store(to + Group / 2, other, count);
    if constexpr (P == Partner::gate_up)
      store(to + Columns, other, count);
  }
};

using First = Keep<Partner::half, 72, 24>;
using Second = Keep<Partner::none, 37>;
using Third = Keep<Partner::gate_up, 50>;
inline const std::vector<ColumnSegment> segments = {
    First::segment, Second::segment, Third::segment};
inline constexpr int total_rows = 72 + 37 + 100;

/// All outputs of the three segments, [T][total_rows].
using Outputs = std::vector<float>;

inline Outputs side_by_side(const Outputs &first, const Outputs &second,
                            const Outputs &third, int tokens) {
  Outputs all;
  for (int t = 0; t < tokens; ++t) {
    all.insert(all.end(), &first[size_t(t) * 72], &first[size_t(t) * 72] + 72);
    all.insert(all.end(), &second[size_t(t) * 37],
               &second[size_t(t) * 37] + 37);
    all.insert(all.end(), &third[size_t(t) * 100],
               &third[size_t(t) * 100] + 100);
  }
  return all;
}

/// Rounds to E, as every linear does on entry.
template <class E> std::vector<float> rounded(std::vector<float> x) {
  for (float &value : x)
    value = to_float(from_float<E>(value));
  return x;
}

template <class E>
void expect_product(const Outputs &out, const std::vector<float> &x,
                    const std::vector<E> &w, int k, int tokens) {
  for (int t = 0; t < tokens; ++t)
    for (int n = 0; n < total_rows; ++n) {
      Dot dot = reference_dot(x, w, k, t, n);
      // One chain of k f32 additions; vdpbf16ps also drops subnormals.
      double bound = (k + 2) * 0x1p-24 * dot.magnitude + k * 0x1p-126;
      ASSERT_NEAR(dot.value, out[size_t(t) * total_rows + n], bound)
          << "token " << t << " of " << tokens << ", row " << n << ", k " << k;
    }
}

inline bool same_bits(const Outputs &a, const Outputs &b) {
  return a.size() == b.size() &&
         __builtin_memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

} // namespace fdpp::test

#endif // FDPP_TEST_KERNELS_SEGMENTS_H
