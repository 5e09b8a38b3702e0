// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What docs/numerics.md states of asynchronous softmax.
#ifndef FDPP_TEST_KERNELS_ROW_BOUND_H
#define FDPP_TEST_KERNELS_ROW_BOUND_H

#include "kernels/common/types.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

namespace fdpp::test {

template <class P> constexpr double rounding() {
  return std::is_same_v<P, f16>    ? 0x1p-11
         : std::is_same_v<P, bf16> ? 0x1p-8
                                   : 0;
}
template <class P> constexpr double vanishing() {
  return std::is_same_v<P, f16> ? 0x1p-25 : 0x1p-125;
}
template <class P> constexpr double least() {
  return std::is_same_v<P, f16> ? 1 : 0x1p-84;
}

/// How far an asynchronous softmax of one row may be off. It does not depend on
/// a shift of all logits but for the denominator.
class RowBound {
public:
  RowBound(std::vector<double> logits,
           const std::vector<std::vector<double>> &values, int page_tokens)
      : keys(double(logits.size())) {
    chain = std::max(2.0 * page_tokens, keys / 16 + page_tokens) + 16;
    most = *std::max_element(logits.begin(), logits.end());
    for (double &w : logits)
      sum += w = std::exp(w - most);
    for (size_t d = 0; d < values[0].size(); ++d)
      dims.push_back(measure(logits, values, d));
  }

  /// The bound of |asynchronous - exact| in dimension d, both with sums in
  /// fp32, where logits are `shift` larger than those given.
  template <class P> double at(int d, double phi, double shift) const {
    const Dim &dim = dims[size_t(d)];
    double denominator = sum * std::exp(most + shift - phi);
    return 2 * (rounding<P>() + 2 * 0x1p-17) * dim.spread +
           keys * vanishing<P>() / std::max(least<P>(), denominator / 2) *
               dim.farthest +
           2 * chain * 0x1p-22 * dim.magnitude + keys * 0x1p-64;
  }

private:
  struct Dim {
    double spread = 0, farthest = 0, magnitude = 0;
  };

  Dim measure(const std::vector<double> &weights,
              const std::vector<std::vector<double>> &values, size_t d) const {
    Dim dim;
    double mean = 0;
    for (size_t j = 0; j < weights.size(); ++j) {
      mean += weights[j] / sum * values[j][d];
      dim.magnitude += weights[j] / sum * std::fabs(values[j][d]);
    }
    for (size_t j = 0; j < weights.size(); ++j) {
      double off = std::fabs(values[j][d] - mean);
      dim.spread += weights[j] / sum * off;
      dim.farthest = std::max(dim.farthest, off);
    }
    return dim;
  }

  double keys, chain, most, sum = 0;
  std::vector<Dim> dims;
};

} // namespace fdpp::test

#endif // FDPP_TEST_KERNELS_ROW_BOUND_H
