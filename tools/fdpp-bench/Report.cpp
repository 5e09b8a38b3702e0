// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rows as Markdown, CSV or JSON with llama-bench's field names, and older JSON
// to compare with.
#include "Bench.h"
#include "Json.h"

#include <cstdio>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

namespace fdpp::tools {
namespace {

std::string utc(int64_t seconds) {
  std::time_t time = seconds;
  std::tm parts;
  gmtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::vector<double> scaled(std::vector<double> values, double factor) {
  for (double &value : values)
    value *= factor;
  return values;
}

double ratioTo(const OldResults &old, const Result &result) {
  auto found = old.find(result.test.key());
  return found == old.end() || found->second <= 0
             ? 0
             : median(result.tokensPerSecond()) / found->second;
}

std::string asJson(const Setting &s, const Result &r, const OldResults &old) {
  std::vector<double> rates = r.tokensPerSecond();
  std::vector<double> ns = scaled(r.seconds, 1e9);
  JsonObjectWriter json;
  json.add("fdpp_version", fdpp_version())
      .add("cpu_info", s.cpu)
      .add("backends", s.target)
      .add("arch", s.arch)
      .add("model_filename", s.folder)
      .add("model_type", s.name + " " + s.dtype)
      .add("model_size", s.weightBytes)
      .add("model_n_params", s.parameters)
      .add("n_threads", s.threads)
      .add("n_prompt", r.test.prompt)
      .add("n_gen", r.test.generated)
      .add("n_depth", r.test.depth)
      .add("n_seqs", r.test.sequences)
      .add("test_time", utc(r.time))
      .add("avg_ns", mean(ns))
      .add("stddev_ns", deviation(ns))
      .add("avg_ts", mean(rates))
      .add("stddev_ts", deviation(rates))
      .add("samples_ns", ns)
      .add("samples_ts", rates)
      .add("median_ts", median(rates))
      .add("steps", r.steps)
      .add("ms_per_step", r.msPerStep())
      .add("bytes_per_step", r.bytesPerStep)
      .add("sample_ms", r.sampleMs)
      .add("phi_rows", r.phiRows)
      .add("recomputed_rows", r.recomputedRows)
      .add("exact_heads", r.exactHeads)
      .raw("recomputed_by_head", r.recomputed.json());
  if (r.hasCeiling())
    json.add("ceiling_before", r.ceilingBefore)
        .add("ceiling_after", r.ceilingAfter)
        .add("ceiling_share", r.share());
  if (double ratio = ratioTo(old, r))
    json.add("ratio_to_old", ratio);
  if (!r.profile.empty())
    json.raw("kernels", r.profile.json());
  return json.text();
}

/// The ceiling in GB/s and the share of it, two cells of a Markdown row.
std::string ceilingCells(const Result &r) {
  if (!r.hasCeiling())
    return "- | -";
  char text[64];
  std::snprintf(text, sizeof(text), "%.1f | %.2f", r.ceiling() / 1e9,
                r.share());
  return text;
}

void markdownRow(const Setting &s, const Result &r, const OldResults &old) {
  std::vector<double> rates = r.tokensPerSecond();
  std::printf("| %s %s | %.1f MiB | %s | %d | %d | %s | %.2f ± %.2f | %.3f | "
              "%.2f | %s | %s |",
              s.name.c_str(), s.dtype.c_str(),
              static_cast<double>(s.weightBytes) / (1 << 20), s.target.c_str(),
              s.threads, r.test.sequences, r.test.name().c_str(), mean(rates),
              deviation(rates), r.msPerStep(), r.bytesPerStep / 1e6,
              ceilingCells(r).c_str(), r.redone().c_str());
  if (!old.empty()) {
    double ratio = ratioTo(old, r);
    if (ratio > 0)
      std::printf(" %.3f |", ratio);
    else
      std::printf(" - |");
  }
  std::printf("\n");
}

void csvRow(const Setting &s, const Result &r, const OldResults &old) {
  std::vector<double> rates = r.tokensPerSecond();
  // Quotes inside a field are doubled (RFC 4180).
  std::string folder;
  for (char c : s.folder)
    folder += c == '"' ? std::string("\"\"") : std::string(1, c);
  std::printf("\"%s\",%d,%d,%d,%d,%d,%.9g,%.9g,%.9g,%.9g,%.9g,", folder.c_str(),
              s.threads, r.test.prompt, r.test.generated, r.test.depth,
              r.test.sequences, mean(rates), deviation(rates), median(rates),
              r.msPerStep(), r.bytesPerStep);
  if (r.hasCeiling())
    std::printf("%.9g,%.9g", r.ceiling(), r.share());
  else
    std::printf(","); // both empty
  if (!old.empty())
    std::printf(",%.9g", ratioTo(old, r));
  std::printf("\n");
}

int32_t field(const nlohmann::json &row, const char *name, int32_t otherwise,
              const std::string &path) {
  auto found = row.find(name);
  if (found == row.end())
    return otherwise;
  if (!found->is_number_integer())
    fail(path + ": '" + name +
         "' is no integer; give a json result of "
         "fdpp-bench or llama-bench");
  return found->get<int32_t>();
}

} // namespace

OldResults readOld(const std::string &path) {
  std::ifstream stream(path);
  if (!stream)
    fail(path + ": cannot open the older result");
  nlohmann::json rows = nlohmann::json::parse(stream, nullptr, false);
  auto bad = [&] {
    fail(path + ": no json result of fdpp-bench or llama-bench (-o json)");
  };
  if (!rows.is_array())
    bad();
  OldResults old;
  for (const nlohmann::json &row : rows) {
    if (!row.is_object() || !row.contains("samples_ts") ||
        !row["samples_ts"].is_array() || row["samples_ts"].empty())
      bad();
    std::vector<double> samples;
    for (const nlohmann::json &sample : row["samples_ts"]) {
      if (!sample.is_number())
        bad();
      samples.push_back(sample.get<double>());
    }
    old[{field(row, "n_prompt", 0, path), field(row, "n_gen", 0, path),
         field(row, "n_depth", 0, path), field(row, "n_seqs", 1, path)}] =
        median(samples);
  }
  return old;
}

void printHeader(const BenchOptions &options) {
  bool compares = !options.compare.empty();
  if (options.format == "md")
    std::printf("| model | size | backend | threads | seqs | test | t/s | "
                "ms/step | MB/step | ceiling GB/s | share | redone %% |%s\n"
                "| --- | ---: | --- | ---: | ---: | --- | ---: | ---: | ---: "
                "| ---: | ---: | ---: |%s\n",
                compares ? " to old |" : "", compares ? " ---: |" : "");
  else if (options.format == "csv")
    std::printf("model_filename,n_threads,n_prompt,n_gen,n_depth,n_seqs,avg_ts,"
                "stddev_ts,median_ts,ms_per_step,bytes_per_step,ceiling,"
                "ceiling_share%s\n",
                compares ? ",ratio_to_old" : "");
  else if (options.format == "json")
    std::printf("[");
}

void printRow(const BenchOptions &options, const Setting &setting,
              const Result &result, const OldResults &old, bool first) {
  if (options.format == "md")
    markdownRow(setting, result, old);
  else if (options.format == "csv")
    csvRow(setting, result, old);
  else if (options.format == "jsonl")
    std::printf("%s\n", asJson(setting, result, old).c_str());
  else
    std::printf("%s\n  %s", first ? "" : ",",
                asJson(setting, result, old).c_str());
  std::fflush(stdout);
}

void printFooter(const BenchOptions &options) {
  if (options.format == "json")
    std::printf("\n]\n");
}

} // namespace fdpp::tools
