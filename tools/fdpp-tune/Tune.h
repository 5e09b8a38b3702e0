// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The parts of fdpp-tune: what to measure, on what, the measuring, the choice,
// the table.
#ifndef FDPP_TOOLS_TUNE_TUNE_H
#define FDPP_TOOLS_TUNE_TUNE_H

#include "TuneKernels.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace fdpp::tune {

/// Weights of a linear, [n, k].
struct Shape {
  int32_t n = 0, k = 0;
  int32_t dtype = 0; // index in kDtypes

  bool operator==(const Shape &) const = default;
  std::string text() const; // "576x576 bf16"
};

/// What is to be measured, and for which kernels.
struct Work {
  std::vector<Shape> shapes;
  std::string kernels;     // level; empty: the best of this machine
  int64_t weightBytes = 0; // that a step reads; 0 if not known
};

/// Of an engine's folder, or of a file with a line "N K DTYPE" for each shape.
Work readWork(const std::string &path);

/// The machine as a table records it.
struct Machine {
  std::string cpu, vendor, kernels;
  int32_t family = 0, model = 0, threads = 0;
  std::vector<std::string> features;
  int64_t l1d = 0, l2 = 0, l3 = 0; // bytes, of one cache
  double readGBs = 0;              // measured
  std::string library;             // that was measured; empty: none
};
Machine describeMachine(const std::string &kernels, int32_t threads);
/// The level of this processor's kernels.
std::string bestKernels();
/// The library of a level; it stays loaded.
const Kernels &loadKernels(const std::string &level);

/// A kernel variant; prefetch counts only where one tile holds all tokens. No
/// tokens: a library's.
struct Variant {
  int32_t tokens = 0, prefetch = 0;
  bool isLibrary() const { return tokens == 0; }
  bool operator==(const Variant &) const = default;
};
/// gemv, flat, large or library: what a variant is for `m` tokens.
const char *kindOf(Variant variant, int32_t m);

/// One variant's times for one M, in seconds a call, one for each round in
/// which it took part; those of all variants of a point begin with the same
/// rounds.
struct Samples {
  Variant variant;
  std::vector<double> seconds;
  bool dropped = false; // far behind: not measured any more

  double median() const;
};

/// One shape at one M; the first variant is the roofline's.
struct Point {
  int32_t shape = 0, m = 0; // index in Work::shapes
  std::vector<Samples> variants;
};

/// Every M that is measured.
const std::vector<int32_t> &measuredTokens();
/// The points of a work, without samples.
std::vector<Point> planPoints(const Work &work, const std::string &level,
                              bool library = false);
/// True if some point measures a library.
bool hasLibrary(const std::vector<Point> &points);

struct MeasureOptions {
  int32_t threads = 1;
  double budget = 120;           // seconds
  fdpp_sgemm_fn sgemm = nullptr; // where some point measures a library
  std::function<void(int32_t done, int32_t total)> progress;
};
/// Measures in rounds until the budget is spent: in a round every point once,
/// its variants in turn. Returns the number of rounds. The machine's read
/// ceiling is measured first.
int32_t measure(const Work &work, const Kernels &kernels,
                const MeasureOptions &options, Machine &machine,
                std::vector<Point> &points);

/// The chosen variant up to M = `to`, 0 in the last range.
struct Range {
  int32_t to = 0;
  const char *kind = "";
  Variant variant;
};
/// What was chosen for one shape.
struct Choice {
  std::vector<Range> ranges;
  std::vector<int32_t> chosen; // index of the variant, point by point
  int32_t m1 = 0, m2 = 0;
  double speedup = 1; // over the roofline's variants, geometric mean
};
/// `points` are those of one shape.
Choice choose(const std::vector<const Point *> &points);
/// Of points of shape `shape`.
std::vector<const Point *> pointsOf(const std::vector<Point> &points,
                                    int32_t shape);

/// What an older table has beside the shapes of a work.
struct Kept {
  std::vector<std::string> shapes; // as a table has them
  int64_t format = 0;
  std::string library;
};
/// Fails where the table is not of this machine and these kernels.
Kept readOthers(const std::string &path, const Work &work,
                const Machine &machine);

/// The table's text, the shapes of an older one first.
std::string writeTable(const Work &work, const Machine &machine,
                       const std::vector<Point> &points, int32_t rounds,
                       double seconds, const Kept &kept = {});

/// A table that was not measured: one variant for every shape and M.
std::string writeForced(const Work &work, const Machine &machine,
                        const Range &range);
/// The usual variant of a kind: gemv, flat or library.
Range usualRange(const std::string &kind, const std::string &level);

/// What an independent measurement says about a table's choices: for each shape
/// the geometric mean and the worst of (time of the table's variant) / (time of
/// the best one), and the same of the roofline's variants.
struct Verdict {
  double mean = 1, worst = 1, rooflineMean = 1, rooflineWorst = 1;
  int32_t worstM = 0;
};
/// The table's ranges for each shape of the work; it must have been measured
/// with kernels of `level`.
std::vector<std::vector<Range>>
readRanges(const std::string &path, const Work &work, const std::string &level);
/// Adds the variants that `ranges` names to the points that have them not.
void addVariants(const std::vector<std::vector<Range>> &ranges,
                 std::vector<Point> &points);
Verdict judge(const std::vector<const Point *> &points,
              const std::vector<Range> &ranges);

} // namespace fdpp::tune

#endif // FDPP_TOOLS_TUNE_TUNE_H
