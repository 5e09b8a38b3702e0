// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Statistics.h"

#include <algorithm>
#include <cmath>

namespace fdpp::eval {

void GroupedMean::add(double value) {
  open.sum += value;
  ++open.count;
  squares += value * value;
}

void GroupedMean::endGroup() {
  if (open.count > 0)
    groups.push_back(open);
  open = {0, 0};
}

Estimate GroupedMean::estimate() const {
  double sum = 0;
  int64_t count = 0;
  for (const Group &group : groups) {
    sum += group.sum;
    count += group.count;
  }
  if (count == 0)
    return {};
  double mean = sum / static_cast<double>(count), variance = 0;
  auto total = static_cast<double>(count);
  auto many = static_cast<double>(groups.size());
  if (groups.size() > 1) {
    for (const Group &group : groups) {
      double rest = group.sum - mean * static_cast<double>(group.count);
      variance += rest * rest;
    }
    variance *= many / (many - 1) / (total * total);
  } else if (count > 1) {
    variance = std::max(0.0, squares / total - mean * mean) / (total - 1);
  }
  return {mean, std::sqrt(variance)};
}

RowScore scoreRow(std::span<const float> logits, int32_t target) {
  size_t top = 0;
  bool finite = true;
  for (size_t i = 0; i < logits.size(); ++i) {
    finite &= std::isfinite(logits[i]);
    if (logits[i] > logits[top])
      top = i;
  }
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(logit - logits[top]);
  double logSumExp = logits[top] + std::log(sum);
  return {logSumExp, logSumExp - logits[target], static_cast<int32_t>(top),
          finite};
}

double divergence(std::span<const float> logProbs,
                  std::span<const float> logits, double logSumExp) {
  double mass = 0, weighted = 0;
  for (size_t i = 0; i < logProbs.size(); ++i) {
    double p = std::exp(logProbs[i]);
    if (p == 0) // also where the logarithm is minus infinity
      continue;
    mass += p;
    weighted += p * (logProbs[i] - (logits[i] - logSumExp));
  }
  // log(p / mass) = log p - log mass
  return weighted / mass - std::log(mass);
}

} // namespace fdpp::eval
