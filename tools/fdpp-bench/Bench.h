// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_FDPP_BENCH_BENCH_H
#define FDPP_TOOLS_FDPP_BENCH_BENCH_H

#include "Profile.h"
#include "RowCounts.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fdpp::tools {

struct BenchOptions {
  std::string folder;
  std::vector<int32_t> prompts{512};
  std::vector<int32_t> generated{128};
  std::vector<int32_t> depths{0};
  std::vector<int32_t> sequences{1};
  int32_t threads = 0;
  int32_t repetitions = 5;
  std::string format = "md";
  std::string compare;         // an older result, JSON
  bool randomCache = false;    // fill depths with random keys and values
  bool noCeiling = false;      // do not measure what memory can be read at
  bool batchInvariant = false; // logits do not depend on other sequences
  bool profile = false;        // where a step's time goes, after the rows
  std::string trace;           // the same as a file; empty: none
};

std::optional<int> parseBenchOptions(int argc, char **argv,
                                     BenchOptions &options);

/// One row: prefill of `prompt` tokens or decoding of `generated` tokens, on
/// each of `sequences` sequences that hold `depth` tokens already.
struct Test {
  int32_t prompt = 0, generated = 0, depth = 0, sequences = 1;

  /// "pp512", "tg128", "pp512 @ d1024".
  std::string name() const;
  auto key() const {
    return std::make_tuple(prompt, generated, depth, sequences);
  }
};

struct Result {
  Test test;
  int64_t time = 0;            // seconds since 1970 at its begin
  std::vector<double> seconds; // of each repetition
  double steps = 0;            // model steps of one repetition
  double sampleMs = 0;         // choosing tokens, of one step
  double bytesPerStep = 0;     // least that a step reads and writes
  double ceilingBefore = 0, ceilingAfter = 0; // bytes a second; 0: not measured
  uint64_t phiRows = 0, recomputedRows = 0;   // of all repetitions
  int32_t exactHeads = 0;
  RowCounts recomputed; // of all repetitions
  Profile profile;      // of one more repetition; empty: not asked for

  std::vector<double> tokensPerSecond() const;
  double msPerStep() const;
  bool hasCeiling() const { return ceilingAfter > 0; }
  double ceiling() const {
    return ceilingBefore > ceilingAfter ? ceilingBefore : ceilingAfter;
  }
  /// Share of the read ceiling that the median repetition reached, if there is
  /// one.
  double share() const;
  /// Share of the asynchronous softmax's rows that were recomputed, in per
  /// cent, as text: "-" without one.
  std::string redone() const;
};

double mean(const std::vector<double> &values);
double median(std::vector<double> values);
double deviation(const std::vector<double> &values);

/// What the rows have in common.
struct Setting {
  std::string folder, name, dtype, target, arch, cpu;
  uint64_t weightBytes = 0, parameters = 0;
  int32_t threads = 0;
};

class Bench {
public:
  Bench(const BenchOptions &options, const Engine &engine);
  ~Bench();

  const Setting &setting() const { return common; }
  std::vector<Test> tests() const;
  Result run(const Test &test);

private:
  void prepare(const Test &test);
  double once(const Test &test);
  double ceiling();

  const BenchOptions &options;
  Setting common;
  fdpp_engine_info info;
  int32_t vocab;
  double lastCeiling = 0; // bytes a second, of the row before
  Session session;
  std::vector<fdpp_sequence *> sequences;
  std::vector<int32_t> tokens; // random ids to feed
};

/// Median tokens a second of an older run, by row. Reads fdpp-bench's and
/// llama-bench's JSON.
using OldResults =
    std::map<std::tuple<int32_t, int32_t, int32_t, int32_t>, double>;
OldResults readOld(const std::string &path);

void printHeader(const BenchOptions &options);
void printRow(const BenchOptions &options, const Setting &setting,
              const Result &result, const OldResults &old, bool first);
void printFooter(const BenchOptions &options);

} // namespace fdpp::tools

#endif // FDPP_TOOLS_FDPP_BENCH_BENCH_H
