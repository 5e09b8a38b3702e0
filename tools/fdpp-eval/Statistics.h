// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_FDPP_EVAL_STATISTICS_H
#define FDPP_TOOLS_FDPP_EVAL_STATISTICS_H

#include <cstdint>
#include <span>
#include <vector>

namespace fdpp::eval {

/// A mean and its standard error.
struct Estimate {
  double mean = 0, error = 0;
};

/// The mean of values that come in groups. Values of one group depend on each
/// other, as tokens of one window do, so the error is estimated from the
/// groups' sums (the linearised ratio estimator of cluster sampling: Cochran,
/// Sampling Techniques, 3rd ed., 9A.2); from the values if there is one group.
class GroupedMean {
public:
  void add(double value);
  void endGroup();
  /// All zero without a value.
  Estimate estimate() const;

private:
  struct Group {
    double sum;
    int64_t count;
  };
  std::vector<Group> groups;
  Group open = {0, 0};
  double squares = 0;
};

/// What one row of logits says of the token that follows.
struct RowScore {
  double logSumExp; // of the row
  double nll;       // -log p(target), nats
  int32_t top;      // the most likely token, the lowest id of equals
  bool finite;
};
RowScore scoreRow(std::span<const float> logits, int32_t target);

/// KL(reference || row) in nats. `logProbs` may be rounded: they are normalised
/// again. `logSumExp` is the row's.
double divergence(std::span<const float> logProbs,
                  std::span<const float> logits, double logSumExp);

} // namespace fdpp::eval

#endif // FDPP_TOOLS_FDPP_EVAL_STATISTICS_H
