// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-calibrate: which phi fits each layer and query head (docs/numerics.md,
// 'Asynchronous softmax').
#ifndef FDPP_TOOLS_FDPP_CALIBRATE_CALIBRATE_H
#define FDPP_TOOLS_FDPP_CALIBRATE_CALIBRATE_H

#include "Windows.h"

#include <array>
#include <limits>
#include <string>
#include <vector>

namespace fdpp::calibrate {

/// What attention counted over all texts, by row: layer * query heads + head.
struct Counts {
  static constexpr int32_t kBins = 4096;
  static constexpr float kLow = -512, kWidth = 0.25F;

  Counts(int32_t layers, int32_t heads);
  int32_t rows() const { return layers * heads; }
  /// Bin i of every histogram begins here.
  static double edge(int32_t bin) { return kLow + double(kWidth) * bin; }

  int32_t layers, heads;
  uint64_t tokens = 0, windows = 0;
  double seconds = 0;
  std::vector<uint64_t> logits, rowMaximum, rowLogSumExp; // [rows][kBins]
  std::vector<float> extremes;                            // [rows][4]
};

/// Runs every window by itself and counts.
Counts collect(const tools::Engine &engine,
               const std::vector<tools::Window> &windows, int32_t threads);

/// A format that weights are held in, and which rows are then valid for
/// certain: log-sum-exp at least phi + least, and the largest logit at most phi
/// + most.
struct Format {
  const char *name;
  double least, most;
};
/// 'most' of fp32 and bf16 leaves e^10 for the values, whose weighted sum has
/// to stay finite too, and 2^12 for the number of keys.
constexpr std::array<Format, 3> kFormats = {{
    {"fp32", -58.22, 88.72 - 10 - 8.32},
    {"bf16", -58.22, 88.72 - 10 - 8.32},
    {"fp16", 0, 11.09},
}};

constexpr double kExact = std::numeric_limits<double>::quiet_NaN();
/// A head that fails more often than this is better left exact; at run time it
/// is switched then (docs/numerics.md).
constexpr double kTolerable = 1.0 / 16;

/// The most rows of these rows of Counts that `phi` may fail, as a share; the
/// bins are taken at their worse edge.
double failing(const Counts &counts, const Format &format, int32_t firstRow,
               int32_t lastRow, double phi);

/// The phi with the fewest failing rows: 0 if it is one of these and not near
/// their end, else the middle of the longest run. kExact where more than
/// kTolerable fail under every phi.
double choose(const Counts &counts, const Format &format, int32_t firstRow,
              int32_t lastRow);

/// One way to give every head its phi, and what it costs in each format.
struct Candidate {
  const char *name;
  struct Cost {
    double recomputed = 0; // share of the rows of heads that are not exact
    int32_t exactHeads = 0;
  };
  std::array<Cost, kFormats.size()> costs;
};
std::vector<Candidate> candidates(const Counts &counts);

/// By head, [layers][heads].
std::vector<double> choosePhi(const Counts &counts, const Format &format);

/// What phi.json and calibration.json say of their origin.
struct Origin {
  std::string engine, texts, format;
};
/// As the runtime reads it, docs/engine-format.md.
std::string phiJson(const Counts &counts, const std::vector<double> &phi,
                    const Origin &origin);
/// All that was counted, for fdpp-plot-calibration; docs/calibrating.md.
std::string calibrationJson(const Counts &counts,
                            const std::vector<double> &phi,
                            const std::vector<Candidate> &candidates,
                            const Origin &origin);

/// Writes a file whole or not at all.
void writeFile(const std::string &path, const std::string &text);

/// Puts `phi` into the engine in one step: who opens the folder sees the engine
/// before or after. The old phi.json stays as phi.json.old.
void install(const std::string &engine, const std::string &phi);

} // namespace fdpp::calibrate

#endif // FDPP_TOOLS_FDPP_CALIBRATE_CALIBRATE_H
