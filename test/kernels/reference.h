// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What each kernel means, in double precision and in the plainest code.
#ifndef FDPP_TEST_KERNELS_REFERENCE_H
#define FDPP_TEST_KERNELS_REFERENCE_H

#include "kernels/common/cache_layout.h"

#include <cmath>
#include <cstdint>
#include <vector>

namespace fdpp::test {

/// A sum of products and the sum of their magnitudes, which bounds the error of
/// adding them up in f32.
struct Dot {
  double value = 0, magnitude = 0;
};

/// x[row] . w[column] for row-major x[T][k] (already rounded) and w[N][k].
template <class E>
Dot reference_dot(const std::vector<float> &x, const std::vector<E> &w, int k,
                  int row, int column) {
  Dot dot;
  for (int i = 0; i < k; ++i) {
    double product = double(x[size_t(row) * k + i]) *
                     double(to_float(w[size_t(column) * k + i]));
    dot.value += product;
    dot.magnitude += std::fabs(product);
  }
  return dot;
}

inline std::vector<double>
reference_rms_norm(const float *x, const float *gamma, int k, double epsilon) {
  double squares = 0;
  for (int i = 0; i < k; ++i)
    squares += double(x[i]) * x[i];
  std::vector<double> out(k);
  for (int i = 0; i < k; ++i)
    out[i] = x[i] / std::sqrt(squares / k + epsilon) * gamma[i];
  return out;
}

inline std::vector<double> reference_layer_norm(const float *x,
                                                const float *gamma,
                                                const float *beta, int k,
                                                double epsilon) {
  double mean = 0, variance = 0;
  for (int i = 0; i < k; ++i)
    mean += double(x[i]) / k;
  for (int i = 0; i < k; ++i)
    variance += (x[i] - mean) * (x[i] - mean) / k;
  std::vector<double> out(k);
  for (int i = 0; i < k; ++i)
    out[i] = (x[i] - mean) / std::sqrt(variance + epsilon) * gamma[i] + beta[i];
  return out;
}

/// Attention of one query row over `keys` and `values`, one vector a slot.
/// The row sees the slots [first, last).
struct AttentionReference {
  double scale, softcap;
  std::vector<std::vector<double>> keys, values;

  std::vector<double> row(const std::vector<double> &query, int first,
                          int last) const {
    size_t dims = query.size();
    std::vector<double> out(dims, 0.0), logits;
    if (first >= last)
      return out;
    double most = -INFINITY, sum = 0;
    for (int j = first; j < last; ++j) {
      double logit = 0;
      for (size_t d = 0; d < dims; ++d)
        logit += query[d] * keys[j][d];
      logit *= scale;
      if (softcap != 0)
        logit = softcap * std::tanh(logit / softcap);
      logits.push_back(logit);
      most = std::fmax(most, logit);
    }
    for (int j = first; j < last; ++j) {
      double p = std::exp(logits[j - first] - most);
      sum += p;
      for (size_t d = 0; d < dims; ++d)
        out[d] += p * values[j][d];
    }
    for (double &value : out)
      value /= sum;
    return out;
  }
};

} // namespace fdpp::test

#endif // FDPP_TEST_KERNELS_REFERENCE_H
