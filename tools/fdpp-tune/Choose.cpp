// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which variants are worth measuring, and which of them are chosen.
#include "Client.h"
#include "Tune.h"

#include "kernels/common/tuning.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace fdpp::tune {
namespace {

/// What is not this much faster than the roofline's variant is not chosen: a
/// difference within the noise must not make an engine depend on the day.
constexpr double kWorthwhile = 0.98;
/// And it must be faster in this share of the rounds.
constexpr double kSure = 0.8;
/// A library needs a package and room for what it reads and gives: it must beat
/// the own variants by more than this.
constexpr double kLibraryWorthwhile = 0.95;
/// Of variants as close as this the one of the M before is taken.
constexpr double kAlike = 0.006;

void add(Point &point, Variant variant) {
  for (const Samples &samples : point.variants)
    if (samples.variant == variant)
      return;
  point.variants.push_back({variant, {}, false});
}

/// The variants for `m` tokens, the roofline's first. Tiles of the matrix unit
/// have one size.
void addCandidates(Point &point, int32_t m, const KernelLevel &level,
                   bool matrixUnit) {
  const int32_t widest = level.widest_tile, most = level.most_tile;
  const UsualTile usual = usual_tile(level, m);
  add(point, {usual.tokens, usual.prefetch});
  // One tile, by how much is on its way.
  if (m <= most)
    for (int32_t prefetch : {1024, 2048, 4096, 8192})
      add(point, {m > level.flat_tile ? m : usual.tokens, prefetch});
  if (matrixUnit)
    return;
  // Tiles of one token: does a row in registers pay for several tokens?
  if (m > 1 && m <= 4)
    add(point, {1, 0});
  // Several tiles: of half the tokens, and of all heights that are not low.
  if (m > 2 && m <= 2 * most)
    add(point, {(m + 1) / 2, 0});
  for (int32_t tile = (widest + 1) / 2; tile <= most; ++tile)
    if (tile < m && (m <= 32 || tile >= widest - 2))
      add(point, {tile, 0});
}

/// Time / time of the roofline's variant, round by round.
Samples ratiosOf(const Samples &samples, const Samples &roofline) {
  Samples ratios;
  for (size_t i = 0; i < samples.seconds.size(); ++i)
    ratios.seconds.push_back(samples.seconds[i] / roofline.seconds[i]);
  return ratios;
}

/// The median of that.
double ratioOf(const Samples &samples, const Samples &roofline) {
  return ratiosOf(samples, roofline).median();
}

bool isSurelyFaster(const Samples &samples, const Samples &roofline) {
  std::vector<double> ratios = ratiosOf(samples, roofline).seconds;
  auto faster = std::count_if(ratios.begin(), ratios.end(),
                              [](double ratio) { return ratio < 1; });
  return !samples.dropped && double(faster) >= kSure * double(ratios.size());
}

/// Index of the library's variant if it beats the best own one, whose ratio to
/// the roofline's is `least`; else 0.
size_t chooseLibrary(const Point &point, const std::vector<double> &ratios,
                     double least) {
  for (size_t i = 1; i < ratios.size(); ++i)
    if (point.variants[i].variant.isLibrary() &&
        ratios[i] < kLibraryWorthwhile * least)
      return i;
  return 0;
}

/// Index of the variant that is taken for a point.
size_t chooseAt(const Point &point, const Variant *before) {
  const Samples &roofline = point.variants.front();
  size_t best = 0;
  double least = kWorthwhile, leastOwn = 1;
  std::vector<double> ratios;
  for (const Samples &samples : point.variants)
    ratios.push_back(
        isSurelyFaster(samples, roofline) ? ratioOf(samples, roofline) : 1e30);
  for (size_t i = 1; i < ratios.size(); ++i) {
    if (point.variants[i].variant.isLibrary())
      continue;
    leastOwn = std::min(leastOwn, ratios[i]);
    if (ratios[i] < least)
      best = i, least = ratios[i];
  }
  if (size_t library = chooseLibrary(point, ratios, leastOwn))
    return library;
  if (best == 0)
    return 0;
  for (size_t i = 1; before && !before->isLibrary() && i < ratios.size(); ++i)
    if (point.variants[i].variant == *before && ratios[i] < least + kAlike)
      return i;
  return best;
}

} // namespace

const char *kindOf(Variant variant, int32_t m) {
  if (variant.isLibrary())
    return "library";
  if (variant.tokens == 1)
    return "gemv";
  return m <= variant.tokens ? "flat" : "large";
}

Range usualRange(const std::string &kind, const std::string &level) {
  if (kind == "gemv")
    return {0, "gemv", {1, usual_prefetch}};
  if (kind == "library")
    return {0, "library", {}};
  if (const KernelLevel *known = kernel_level(level); known && kind == "flat")
    return {0, "flat", {known->widest_tile, usual_prefetch}};
  tools::fail("--always: no kind is called '" + kind +
              "'; give gemv, flat or library");
}

bool hasLibrary(const std::vector<Point> &points) {
  for (const Point &point : points)
    for (const Samples &samples : point.variants)
      if (samples.variant.isLibrary())
        return true;
  return false;
}

std::vector<Point> planPoints(const Work &work, const std::string &level,
                              bool library) {
  std::vector<Point> points;
  for (size_t shape = 0; shape < work.shapes.size(); ++shape) {
    bool matrixUnit =
        level == "amx" &&
        std::string_view(kDtypes[work.shapes[shape].dtype]) == "bf16";
    // Types that the matrix unit does not multiply take AVX-512's path.
    std::string_view name = level;
    if (level == "amx" && !matrixUnit)
      name = "avx512";
    for (int32_t m : measuredTokens()) {
      Point point{int32_t(shape), m, {}};
      addCandidates(point, m, *kernel_level(name), matrixUnit);
      if (library)
        add(point, {});
      points.push_back(std::move(point));
    }
  }
  return points;
}

std::vector<const Point *> pointsOf(const std::vector<Point> &points,
                                    int32_t shape) {
  std::vector<const Point *> result;
  for (const Point &point : points)
    if (point.shape == shape)
      result.push_back(&point);
  return result;
}

namespace {

/// Continues the last range to `to`, or begins another.
void extend(std::vector<Range> &ranges, int32_t to, Variant variant) {
  const char *kind = kindOf(variant, to);
  if (!ranges.empty() && ranges.back().variant == variant &&
      !std::strcmp(ranges.back().kind, kind))
    ranges.back().to = to;
  else
    ranges.push_back({to, kind, variant});
}

/// M1: where the leading ranges of gemv end; M2: where the last one ends in
/// which a single tile is best.
void findThresholds(Choice &choice, int32_t most) {
  bool leading = true;
  for (const Range &range : choice.ranges) {
    int32_t to = range.to > 0 ? range.to : most;
    leading = leading && !std::strcmp(range.kind, "gemv");
    if (leading)
      choice.m1 = to;
    if (leading || !std::strcmp(range.kind, "flat"))
      choice.m2 = to;
  }
}

} // namespace

Choice choose(const std::vector<const Point *> &points) {
  Choice choice;
  double logs = 0;
  Variant before;
  int32_t lastM = 0;
  for (const Point *point : points) {
    size_t best = chooseAt(*point, lastM > 0 ? &before : nullptr);
    const Samples &samples = point->variants[best];
    const Samples &roofline = point->variants.front();
    choice.chosen.push_back(int32_t(best));
    logs += std::log(ratioOf(samples, roofline));
    // How tiles divide M decides: what won at two numbers of tokens need not
    // win at one between them, unless it is the same.
    if (point->m > lastM + 1 && !(lastM > 0 && before == samples.variant))
      extend(choice.ranges, point->m - 1, roofline.variant);
    extend(choice.ranges, point->m, samples.variant);
    before = samples.variant;
    lastM = point->m;
  }
  const Variant &beyond = points.back()->variants.front().variant;
  if (before == beyond)
    choice.ranges.back().to = 0;
  else
    choice.ranges.push_back({0, kindOf(beyond, lastM + 1), beyond});
  findThresholds(choice, lastM);
  choice.speedup = std::exp(-logs / double(points.size()));
  return choice;
}

void addVariants(const std::vector<std::vector<Range>> &ranges,
                 std::vector<Point> &points) {
  for (Point &point : points)
    for (const Range &range : ranges[point.shape])
      if (range.to == 0 || point.m <= range.to) {
        add(point, range.variant);
        break;
      }
}

Verdict judge(const std::vector<const Point *> &points,
              const std::vector<Range> &ranges) {
  Verdict verdict;
  double logs = 0, rooflineLogs = 0;
  for (const Point *point : points) {
    const Range *range = &ranges.front();
    while (range->to != 0 && point->m > range->to)
      ++range;
    double best = 1e30, chosen = 0;
    for (const Samples &samples : point->variants) {
      double ratio = ratioOf(samples, point->variants.front());
      best = std::min(best, ratio);
      if (samples.variant == range->variant)
        chosen = ratio;
    }
    logs += std::log(chosen / best);
    rooflineLogs += std::log(1 / best);
    verdict.rooflineWorst = std::max(verdict.rooflineWorst, 1 / best);
    if (chosen / best > verdict.worst)
      verdict.worst = chosen / best, verdict.worstM = point->m;
  }
  verdict.mean = std::exp(logs / double(points.size()));
  verdict.rooflineMean = std::exp(rooflineLogs / double(points.size()));
  return verdict;
}

} // namespace fdpp::tune
