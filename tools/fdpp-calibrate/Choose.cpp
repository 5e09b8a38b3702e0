// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Calibrate.h"

#include <algorithm>
#include <cmath>

namespace fdpp::calibrate {
namespace {

/// Histograms of several heads added up, as running sums.
class Rows {
public:
  Rows(const Counts &counts, int32_t first, int32_t last)
      : maximum(Counts::kBins), logSumExp(Counts::kBins) {
    for (int32_t row = first; row < last; ++row) {
      size_t at = size_t(row) * Counts::kBins;
      for (int32_t bin = 0; bin < Counts::kBins; ++bin) {
        maximum[bin] += counts.rowMaximum[at + bin];
        logSumExp[bin] += counts.rowLogSumExp[at + bin];
      }
      largest = std::max<double>(largest, counts.extremes[4 * row + 1]);
      least = std::min<double>(least, counts.extremes[4 * row + 2]);
    }
    for (int32_t bin = 1; bin < Counts::kBins; ++bin) {
      maximum[bin] += maximum[bin - 1];
      logSumExp[bin] += logSumExp[bin - 1];
    }
  }

  uint64_t total() const { return maximum.back(); }

  /// The most rows that may fail: those in a bin that reaches below phi +
  /// format.least, or above phi + format.most.
  uint64_t failing(const Format &format, double phi) const {
    double low = phi + format.least, high = phi + format.most;
    uint64_t few = 0, many = 0;
    if (least < low) // the bins that begin below `low`
      few = before(logSumExp, std::ceil((low - Counts::kLow) / Counts::kWidth));
    if (largest > high) // those that end above `high`
      many =
          total() -
          before(maximum, std::floor((high - Counts::kLow) / Counts::kWidth));
    return std::min(total(), few + many);
  }

  double least = INFINITY, largest = -INFINITY;

private:
  /// Rows in the first `count` bins.
  static uint64_t before(const std::vector<uint64_t> &sums, double count) {
    if (count < 1)
      return 0;
    return sums[static_cast<size_t>(std::min<double>(count, Counts::kBins)) -
                1];
  }

  std::vector<uint64_t> maximum, logSumExp;
};

/// Numbers that phi is chosen from: those under which a row can be valid.
struct Grid {
  static constexpr double kStep = 0.25;
  Grid(const Rows &rows, const Format &format) {
    first =
        static_cast<int64_t>(std::floor((rows.least - format.most) / kStep));
    last =
        static_cast<int64_t>(std::ceil((rows.largest - format.least) / kStep));
  }
  int64_t first, last;
};

/// A zero that is this far inside costs nothing, and is easiest to read.
constexpr double kRoom = 4;

} // namespace

double failing(const Counts &counts, const Format &format, int32_t firstRow,
               int32_t lastRow, double phi) {
  Rows rows(counts, firstRow, lastRow);
  return rows.total() ? static_cast<double>(rows.failing(format, phi)) /
                            static_cast<double>(rows.total())
                      : 0;
}

double choose(const Counts &counts, const Format &format, int32_t firstRow,
              int32_t lastRow) {
  Rows rows(counts, firstRow, lastRow);
  Grid grid(rows, format);
  uint64_t fewest = rows.total() + 1;
  int64_t begin = 0, end = 0; // the longest run with the fewest
  for (int64_t i = grid.first; i <= grid.last;) {
    uint64_t here = rows.failing(format, double(i) * Grid::kStep);
    int64_t from = i;
    while (i <= grid.last &&
           rows.failing(format, double(i) * Grid::kStep) == here)
      ++i;
    if (here < fewest || (here == fewest && i - from > end - begin)) {
      fewest = here;
      begin = from;
      end = i;
    }
  }
  if (static_cast<double>(fewest) >
      kTolerable * static_cast<double>(rows.total()))
    return kExact;
  double low = double(begin) * Grid::kStep,
         high = double(end - 1) * Grid::kStep;
  if (low <= -kRoom && high >= kRoom)
    return 0;
  return double((begin + end - 1) / 2) * Grid::kStep;
}

std::vector<double> choosePhi(const Counts &counts, const Format &format) {
  std::vector<double> phi;
  for (int32_t row = 0; row < counts.rows(); ++row)
    phi.push_back(choose(counts, format, row, row + 1));
  return phi;
}

std::vector<Candidate> candidates(const Counts &counts) {
  // How many heads share a phi.
  const std::pair<const char *, int32_t> kinds[] = {{"zero", 1},
                                                    {"model", counts.rows()},
                                                    {"layer", counts.heads},
                                                    {"head", 1}};
  std::vector<Candidate> result;
  for (auto [name, shared] : kinds) {
    Candidate candidate{name, {}};
    for (size_t f = 0; f < kFormats.size(); ++f) {
      double sum = 0;
      int32_t used = 0;
      for (int32_t first = 0; first < counts.rows(); first += shared) {
        double phi = result.empty()
                         ? 0
                         : choose(counts, kFormats[f], first, first + shared);
        if (std::isnan(phi))
          continue;
        used += shared;
        // Every head has as many rows as another.
        sum +=
            shared * failing(counts, kFormats[f], first, first + shared, phi);
      }
      candidate.costs[f] = {used ? sum / used : 0, counts.rows() - used};
    }
    result.push_back(candidate);
  }
  return result;
}

} // namespace fdpp::calibrate
