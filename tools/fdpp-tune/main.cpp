// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-tune: measures the kernel variants of linears.
#include "Arguments.h"
#include "BlasLibrary.h"
#include "Client.h"
#include "CpuTopology.h"
#include "Progress.h"
#include "Tune.h"

#include "Error.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace fdpp::tune {
namespace {

using tools::fail;

constexpr const char *kExamples =
    R"(Measures every kernel variant of each linear at 40 numbers of tokens, variants
in turn, and writes a table for fdpp-compile --tuning (docs/tuning.md). Nothing
else should run meanwhile. The default budget is 2 minutes, or 10 where the
shapes have more than 200 MB of weights.

Examples:
  fdpp-tune model.fdpp                         table in model.tuning.json
  fdpp-tune model.fdpp -o zen3.json --budget 60
  fdpp-tune shapes.txt -o zen3.json            lines such as 576 1536 bf16
  fdpp-tune other.fdpp --add zen3.json -o zen3.json    its shapes beside those
  fdpp-tune model.fdpp --library               a library's GEMM is a variant too
  fdpp-tune model.fdpp --judge zen3.json       measure again; is its choice good?)";

struct Options {
  std::string source, output, kernels, judge, always, add;
  int32_t threads = 0;
  double budget = 0;
  bool library = false;
};

std::optional<int> parse(int argc, char **argv, Options &o) {
  CLI::App app{"Measures the kernel variants of linears.", "fdpp-tune"};
  app.footer(kExamples);
  app.add_option("SOURCE", o.source,
                 "Engine folder, or a file with lines 'N K DTYPE'")
      ->required()
      ->type_name("DIR|LIST");
  app.add_option("-o", o.output, "The table [STEM.tuning.json]")
      ->type_name("FILE");
  app.add_option("-t", o.threads, "Threads [physical cores]")->type_name("N");
  app.add_option("--budget", o.budget, "Seconds to spend [120 or 600]")
      ->type_name("SECONDS");
  app.add_option(
         "--kernels", o.kernels,
         "portable, avx2, avx512, avx512bf16 or amx [the engine's, else the "
         "best]")
      ->type_name("LEVEL");
  app.add_option("--judge", o.judge,
                 "Measure how a table's choices compare with the best")
      ->type_name("TABLE");
  app.add_option("--always", o.always,
                 "Measure nothing: a table that has this kind for every M")
      ->type_name("gemv|flat|library");
  app.add_option("--add", o.add,
                 "Keep the other shapes of a table of this machine")
      ->type_name("TABLE")
      ->excludes("--judge")
      ->excludes("--always");
  app.add_flag("--library", o.library,
               "Measure a BLAS library's GEMM too (BLIS, or FDPP_BLAS)");
  if (auto code = tools::parseArguments(app, argc, argv))
    return code;
  if (o.threads < 0 || o.threads > 1024)
    fail("-t must be 1 to 1024");
  if (o.budget < 0 || o.budget > 86400)
    fail("--budget must be seconds, at most 86400");
  return std::nullopt;
}

/// "model.fdpp" -> "model.tuning.json"
std::string defaultOutput(std::string source) {
  while (source.size() > 1 && source.back() == '/')
    source.pop_back();
  return std::filesystem::path(source).stem().string() + ".tuning.json";
}

/// Writes beside and renames, so that a table is whole or not there. Without
/// text it only finds out whether that would work.
void write(const std::string &path, const std::string &text, bool really) {
  std::string part = path + ".part";
  std::ofstream file(part, std::ios::binary);
  file << text;
  file.close();
  std::error_code error, ignored;
  if (file && really)
    std::filesystem::rename(part, path, error);
  bool failed = !file || error;
  std::filesystem::remove(part, ignored);
  if (failed)
    fail(path + ": cannot write the table; name another file with -o");
}

std::string describe(const std::vector<Range> &ranges) {
  std::string text;
  for (const Range &range : ranges) {
    text += range.kind;
    if (!range.variant.isLibrary())
      text += "<" + std::to_string(range.variant.tokens) + ", " +
              std::to_string(range.variant.prefetch) + ">";
    if (range.to > 0)
      text += " to M = " + std::to_string(range.to) + ", ";
  }
  return text;
}

void printChoices(const Work &work, const std::vector<Point> &points) {
  for (size_t i = 0; i < work.shapes.size(); ++i) {
    Choice choice = choose(pointsOf(points, int32_t(i)));
    std::printf("%s: %s; M1 = %d, M2 = %d; %.3f times as fast as the "
                "roofline's\n",
                work.shapes[i].text().c_str(), describe(choice.ranges).c_str(),
                choice.m1, choice.m2, choice.speedup);
  }
}

void printVerdicts(const Work &work, const std::vector<Point> &points,
                   const std::vector<std::vector<Range>> &ranges) {
  std::printf("| shape | table: mean | worst | at M | roofline: mean | worst "
              "|\n|---|---|---|---|---|---|\n");
  for (size_t i = 0; i < work.shapes.size(); ++i) {
    Verdict verdict = judge(pointsOf(points, int32_t(i)), ranges[i]);
    std::printf("| %s | %.3f | %.3f | %d | %.3f | %.3f |\n",
                work.shapes[i].text().c_str(), verdict.mean, verdict.worst,
                verdict.worstM, verdict.rooflineMean, verdict.rooflineWorst);
  }
}

const runtime::BlasLibrary &openLibrary() {
  try {
    return runtime::blasLibrary();
  } catch (const runtime::Error &error) {
    fail(std::string(error.what()) + "; install libblis4-serial, name another "
                                     "library in FDPP_BLAS, or do without "
                                     "--library");
  }
}

std::string outputOf(const Options &options) {
  return options.output.empty() ? defaultOutput(options.source)
                                : options.output;
}

int force(const Options &options, const Work &work, const std::string &level) {
  int32_t threads =
      options.threads > 0 ? options.threads : runtime::defaultThreads();
  Range range = usualRange(options.always, level);
  std::string output = outputOf(options);
  write(output, writeForced(work, describeMachine(level, threads), range),
        true);
  std::printf("%s: %s for every M of %zu shapes, not measured\n",
              output.c_str(), range.kind, work.shapes.size());
  return 0;
}

int run(int argc, char **argv) {
  Options options;
  if (auto code = parse(argc, argv, options))
    return *code;
  Work work = readWork(options.source);
  std::string level = options.kernels;
  if (level.empty())
    level = work.kernels.empty() ? bestKernels() : work.kernels;
  if (!options.always.empty())
    return force(options, work, level);
  const Kernels &kernels = loadKernels(level);
  std::vector<Point> points = planPoints(work, level, options.library);
  std::vector<std::vector<Range>> ranges;
  if (!options.judge.empty()) {
    ranges = readRanges(options.judge, work, level);
    addVariants(ranges, points);
  }
  int64_t bytes = 0;
  for (const Shape &shape : work.shapes)
    bytes += kernels.packedBytes(shape.dtype, shape.n, shape.k);
  std::string output = outputOf(options);
  if (options.judge.empty())
    write(output, "", /*really=*/false); // not only after minutes
  tools::Progress progress("measuring, percent of the budget");
  MeasureOptions how;
  how.threads =
      options.threads > 0 ? options.threads : runtime::defaultThreads();
  how.budget = options.budget > 0    ? options.budget
               : bytes > 200'000'000 ? 600
                                     : 120;
  how.progress = [&](int32_t done, int32_t total) {
    progress.update(done, total);
  };
  Machine machine = describeMachine(level, how.threads);
  Kept kept;
  if (!options.add.empty())
    kept = readOthers(options.add, work, machine);
  if (hasLibrary(points)) {
    const runtime::BlasLibrary &library = openLibrary();
    how.sgemm = library.sgemm;
    machine.library = library.name;
  }
  tools::exitOnInterrupt();
  auto start = std::chrono::steady_clock::now();
  int32_t rounds = measure(work, kernels, how, machine, points);
  double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  if (rounds < 5)
    std::fprintf(stderr,
                 "fdpp-tune: only %d rounds in %.0f s, which says little; give "
                 "a larger --budget\n",
                 rounds, seconds);
  if (!options.judge.empty()) {
    printVerdicts(work, points, ranges);
    return 0;
  }
  write(output, writeTable(work, machine, points, rounds, seconds, kept), true);
  printChoices(work, points);
  std::printf("wrote %s: %zu shapes measured, %zu kept, %d rounds, %.0f s\n",
              output.c_str(), work.shapes.size(), kept.shapes.size(), rounds,
              seconds);
  std::printf("next: fdpp-compile MODEL --tuning=%s\n", output.c_str());
  return 0;
}

} // namespace
} // namespace fdpp::tune

int main(int argc, char **argv) {
  return fdpp::tools::runTool("fdpp-tune", [&] {
    try {
      return fdpp::tune::run(argc, argv);
    } catch (const fdpp::runtime::Error &error) {
      fdpp::tools::fail(error.what());
    }
  });
}
