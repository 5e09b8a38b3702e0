// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Times of variants. Variants of a point take turns within milliseconds, and
// rounds over all points are spread over the whole budget, so that what a
// neighbour takes away hits all of them alike. Weights rotate through more
// memory than the caches hold, as those of a step do.
#include "Client.h"
#include "ReadCeiling.h"
#include "Region.h"
#include "ThreadTeam.h"
#include "Tune.h"

#include "kernels/common/packing.h"
#include "kernels/common/scratch.h"
#include "kernels/common/tuning.h"
#include "kernels/cpu/team.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>

namespace fdpp::tune {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSample = 0.8e-3; // seconds that a sample lasts at least
constexpr int32_t kMostRounds = 120, kRoundsBeforeDrop = 3;
/// Of every three rounds only one measures more tokens than this: there the
/// variants differ little and take most of the time.
constexpr int32_t kManyTokens = 64;
/// A variant is dropped when even its best is this much behind the leader.
constexpr double kFarBehind = 1.12;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Words both halves of which are numbers of about 1 in every dtype: no
/// subnormal, no NaN, so that arithmetic takes as long as it does for weights.
void fill(char *memory, int64_t bytes) {
  std::mt19937 engine(1);
  std::vector<uint32_t> some(65537);
  for (uint32_t &word : some)
    word = (engine() & 0x83ff83ff) | 0x3c003c00;
  const int64_t block = int64_t(some.size()) * 4;
  for (int64_t i = 0; i < bytes; i += block)
    std::memcpy(memory + i, some.data(), size_t(std::min(block, bytes - i)));
}

/// Memory that all points share.
class Arena {
public:
  Arena(const Work &work, const Kernels &kernels, const Machine &machine,
        bool library) {
    int64_t largest = 0, x = 0, out = 0, most = measuredTokens().back();
    int64_t scratch = library ? library_scratch_bytes(machine.threads) : 0;
    for (const Shape &shape : work.shapes) {
      largest =
          std::max(largest, kernels.packedBytes(shape.dtype, shape.n, shape.k));
      x = std::max(x, most * shape.k * 4);
      out = std::max(out, most * panels_of(shape.n) * panel_rows * 4);
      scratch = std::max(
          scratch, linear_scratch_bytes(int(most), shape.k, machine.threads));
    }
    // A model smaller than the caches runs from them: so do its linears here.
    int64_t caches = 4 * (machine.l3 > 0 ? machine.l3 : int64_t{64} << 20);
    if (work.weightBytes > 0)
      caches = std::min(caches, work.weightBytes);
    bytes = std::max(largest, caches);
    // Small pages, as a mapped file has: where they end matters to prefetching.
    memory = runtime::Region(uint64_t(bytes), "weights", runtime::Pages::Small);
    weights = static_cast<char *>(memory.data());
    fill(weights, bytes);
    char *at = nullptr;
    inputs = allocate(x, at);
    values = reinterpret_cast<float *>(at);
    std::mt19937 engine(2);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < x / 4; ++i)
      values[i] = i < 65537 ? normal(engine) : values[i - 65537];
    results = allocate(out, at);
    out_ = reinterpret_cast<float *>(at);
    std::memset(at, 0, size_t(out));
    packed = allocate(scratch, scratch_);
    if (!library)
      return;
    rounded = allocate(x, at);
    rows = reinterpret_cast<float *>(at);
    products = allocate(out, at);
    sums = reinterpret_cast<float *>(at);
  }

  Job job(const Shape &shape, const Kernels &kernels) const {
    Job job = {};
    job.dtype = shape.dtype;
    job.n = shape.n;
    job.k = shape.k;
    job.copyBytes = kernels.packedBytes(shape.dtype, shape.n, shape.k);
    job.copies = std::max<int64_t>(1, bytes / job.copyBytes);
    job.weights = weights;
    job.x = values;
    job.out = out_;
    job.scratch = scratch_;
    job.rows = rows;
    job.sums = sums;
    return job;
  }

private:
  using Memory = std::vector<char>;
  /// 64-aligned.
  static Memory allocate(int64_t bytes, char *&begin) {
    Memory memory(size_t(bytes) + 64);
    begin = memory.data() +
            (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    return memory;
  }

  runtime::Region memory;
  Memory inputs, results, packed, rounded, products;
  int64_t bytes = 0;
  char *weights = nullptr, *scratch_ = nullptr;
  float *values = nullptr, *out_ = nullptr;
  float *rows = nullptr, *sums = nullptr; // of a library
};

class Meter {
public:
  Meter(const Work &work, const Kernels &kernels, runtime::ThreadTeam &team,
        const Machine &machine, fdpp_sgemm_fn sgemm)
      : work(work), kernels(kernels), team(team), sgemm(sgemm),
        arena(work, kernels, machine, sgemm != nullptr) {}

  /// Seconds of one call.
  double sample(const Point &point, Variant variant) {
    const Shape &shape = work.shapes[point.shape];
    job = arena.job(shape, kernels);
    job.tokens = point.m;
    job.tile = variant.tokens;
    job.prefetch = variant.prefetch;
    job.sgemm = sgemm;
    double bytes = double(job.copyBytes), flops = bytes * point.m;
    double guess =
        std::max(bytes / 15e9, flops / 80e9) / std::max(1, team.size());
    job.calls = int32_t(std::clamp(kSample / guess, 1.0, 1000.0));
    job.first = next % job.copies;
    next += job.calls;
    team.parallel(
        [](void *self, int32_t index, int32_t count) {
          static_cast<Meter *>(self)->run(index, count);
        },
        this);
    return seconds / job.calls;
  }

private:
  void run(int32_t index, int32_t count) {
    cpu::Team threads(state, index, count);
    threads.barrier();
    Clock::time_point start = Clock::now();
    kernels.run(job, &state, index, count);
    if (index == 0)
      seconds = secondsSince(start);
  }

  const Work &work;
  const Kernels &kernels;
  runtime::ThreadTeam &team;
  fdpp_sgemm_fn sgemm;
  Arena arena;
  cpu::TeamState state;
  Job job = {};
  int64_t next = 0;
  double seconds = 0;
};

/// Lets go of variants that cannot win any more; the first is what others are
/// compared with and stays.
void drop(Point &point) {
  double best = 1e30;
  for (const Samples &samples : point.variants)
    best = std::min(best, samples.median());
  for (size_t i = 1; i < point.variants.size(); ++i) {
    Samples &samples = point.variants[i];
    double fastest =
        *std::min_element(samples.seconds.begin(), samples.seconds.end());
    samples.dropped = fastest > kFarBehind * best;
  }
}

} // namespace

double Samples::median() const {
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  size_t half = sorted.size() / 2;
  return sorted.size() % 2 ? sorted[half]
                           : (sorted[half - 1] + sorted[half]) / 2;
}

const std::vector<int32_t> &measuredTokens() {
  static const std::vector<int32_t> tokens = {
      1,  2,  3,  4,  5,  6,  7,  8,  9,   10,  11,  12,  13,
      14, 15, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512};
  return tokens;
}

int32_t measure(const Work &work, const Kernels &kernels,
                const MeasureOptions &options, Machine &machine,
                std::vector<Point> &points) {
  const Clock::time_point start = Clock::now();
  runtime::ThreadTeam team(options.threads);
  machine.readGBs = runtime::ReadCeiling(uint64_t{1} << 30).measure(team) / 1e9;
  Meter meter(work, kernels, team, machine, options.sgemm);
  int32_t rounds = 0;
  double longest = 0; // of a round, lately
  for (; rounds < kMostRounds; ++rounds) {
    if (rounds > 0 && secondsSince(start) + longest > options.budget)
      break;
    const Clock::time_point begin = Clock::now();
    for (size_t p = 0; p < points.size(); ++p) {
      Point &point = points[p];
      if (point.m > kManyTokens && rounds % 3 != 0)
        continue;
      size_t count = point.variants.size();
      for (size_t i = 0; i < count; ++i) {
        // Who comes first changes from round to round.
        Samples &samples = point.variants[(i + size_t(rounds)) % count];
        if (!samples.dropped)
          samples.seconds.push_back(meter.sample(point, samples.variant));
      }
      if (point.variants.front().seconds.size() == kRoundsBeforeDrop)
        drop(point);
      // By time: how long a round takes is known only when it is over.
      double spent = std::min(1.0, secondsSince(start) / options.budget);
      options.progress(int32_t(100 * spent), 100);
    }
    longest = std::max(longest * 0.8, secondsSince(begin));
  }
  return rounds;
}

} // namespace fdpp::tune
