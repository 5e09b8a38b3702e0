// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Calibrate.h"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace fdpp::calibrate {

using Json = nlohmann::ordered_json;

/// NaN is null: JSON has no word for it.
static Json asJson(double phi) {
  return std::isnan(phi) ? Json(nullptr) : Json(phi);
}

std::string phiJson(const Counts &counts, const std::vector<double> &phi,
                    const Origin &origin) {
  Json rows = Json::array();
  for (int32_t layer = 0; layer < counts.layers; ++layer) {
    Json row = Json::array();
    for (int32_t head = 0; head < counts.heads; ++head)
      row.push_back(asJson(phi[layer * counts.heads + head]));
    rows.push_back(row);
  }
  Json json = {{"magic", "fdpp-phi"},         {"layers", counts.layers},
               {"query_heads", counts.heads}, {"format", origin.format},
               {"engine", origin.engine},     {"texts", origin.texts},
               {"tokens", counts.tokens},     {"phi", rows}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// [bin, count] pairs of one histogram, empty bins left out.
static Json sparse(const std::vector<uint64_t> &all, int32_t row) {
  Json pairs = Json::array();
  for (int32_t bin = 0; bin < Counts::kBins; ++bin)
    if (uint64_t count = all[size_t(row) * Counts::kBins + bin])
      pairs.push_back({bin, count});
  return pairs;
}

/// The upper edges of the bins that hold the 0.1, 1, 50, 99 and 99.9
/// percentile.
static Json quantiles(const std::vector<uint64_t> &all, int32_t row) {
  const uint64_t *bins = &all[size_t(row) * Counts::kBins];
  uint64_t total = 0;
  for (int32_t bin = 0; bin < Counts::kBins; ++bin)
    total += bins[bin];
  Json result = Json::array();
  for (double share : {0.001, 0.01, 0.5, 0.99, 0.999}) {
    double wanted = share * static_cast<double>(total);
    uint64_t sum = 0;
    int32_t bin = 0;
    while (bin < Counts::kBins &&
           static_cast<double>(sum += bins[bin]) < wanted)
      ++bin;
    result.push_back(Counts::edge(bin + 1));
  }
  return result;
}

std::string calibrationJson(const Counts &counts,
                            const std::vector<double> &phi,
                            const std::vector<Candidate> &candidates,
                            const Origin &origin) {
  Json json = {{"magic", "fdpp-calibration"},
               {"version", 1},
               {"engine", origin.engine},
               {"texts", origin.texts},
               {"tokens", counts.tokens},
               {"windows", counts.windows},
               {"layers", counts.layers},
               {"query_heads", counts.heads},
               {"format", origin.format},
               {"bins",
                {{"low", Counts::kLow},
                 {"width", Counts::kWidth},
                 {"count", Counts::kBins}}}};
  for (const Format &format : kFormats)
    json["formats"][format.name] = {{"least", format.least},
                                    {"most", format.most}};
  for (const Candidate &candidate : candidates)
    for (size_t f = 0; f < kFormats.size(); ++f)
      json["candidates"][candidate.name][kFormats[f].name] = {
          {"recomputed", candidate.costs[f].recomputed},
          {"exact_heads", candidate.costs[f].exactHeads}};
  for (int32_t row = 0; row < counts.rows(); ++row) {
    const float *extremes = &counts.extremes[size_t(row) * 4];
    json["heads"].push_back(
        {{"layer", row / counts.heads},
         {"head", row % counts.heads},
         {"phi", asJson(phi[row])},
         {"logits", {extremes[0], extremes[1]}},
         {"log_sum_exp", {extremes[2], extremes[3]}},
         {"row_maximum_quantiles", quantiles(counts.rowMaximum, row)},
         {"log_sum_exp_quantiles", quantiles(counts.rowLogSumExp, row)},
         {"logit_histogram", sparse(counts.logits, row)},
         {"row_maximum_histogram", sparse(counts.rowMaximum, row)},
         {"log_sum_exp_histogram", sparse(counts.rowLogSumExp, row)}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void writeFile(const std::string &path, const std::string &text) {
  std::string part = path + "." + std::to_string(getpid()) + ".part";
  FILE *file = std::fopen(part.c_str(), "wb");
  bool ok = file &&
            std::fwrite(text.data(), 1, text.size(), file) == text.size() &&
            std::fflush(file) == 0 && fsync(fileno(file)) == 0;
  int reason = errno;
  if (file && std::fclose(file) != 0 && ok) {
    ok = false;
    reason = errno;
  }
  if (ok && std::rename(part.c_str(), path.c_str()) != 0) {
    ok = false;
    reason = errno;
  }
  if (ok)
    return;
  std::remove(part.c_str());
  tools::fail(path + ": cannot be written (" + std::strerror(reason) + ")");
}

} // namespace fdpp::calibrate
