// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ReadCeiling.h"

#include <algorithm>
#include <atomic>
#include <chrono>

namespace fdpp::runtime {
namespace {

constexpr uint64_t kBlock = 64 << 10; // bytes a stream reads at a stretch
constexpr uint64_t kAhead = 4096;     // bytes prefetched, over all streams
constexpr uint64_t kStreams = 4;      // of a thread, at most
constexpr uint64_t kWindows = 8;      // parts of the memory, read in turn
constexpr uint64_t kLeast = 8 << 20;  // bytes of all; they are multiples of it

struct Range {
  uint64_t begin, end; // blocks
};

struct Job {
  uint64_t *words;
  Range blocks;
  std::atomic<uint64_t> sum{0};
};

/// A thread's part of the blocks, in whole groups of kStreams.
Range share(Range blocks, int32_t index, int32_t count) {
  uint64_t groups = (blocks.end - blocks.begin) / kStreams;
  return {blocks.begin + groups * index / count * kStreams,
          blocks.begin + groups * (index + 1) / count * kStreams};
}

void fill(void *ctx, int32_t index, int32_t count) {
  Job &job = *static_cast<Job *>(ctx);
  Range range = share(job.blocks, index, count);
  for (uint64_t i = range.begin * kBlock / 8; i < range.end * kBlock / 8; ++i)
    job.words[i] = i * 0x9E3779B97F4A7C15;
}

/// Adds `streams` neighbouring blocks side by side, line by line, and fetches
/// ahead, at their ends what comes behind them.
template <uint64_t Streams>
void readBlocks(const uint64_t *words, uint64_t (&sums)[8]) {
  constexpr uint64_t block = kBlock / 8, ahead = kAhead / Streams / 8;
  for (uint64_t i = 0; i < block; i += 8) {
    uint64_t next =
        i + ahead < block ? i + ahead : i + ahead + (Streams - 1) * block;
    for (uint64_t s = 0; s < Streams; ++s) {
      const uint64_t *stream = words + s * block;
      __builtin_prefetch(stream + next);
      for (uint64_t j = 0; j < 8; ++j)
        sums[j] += stream[i + j];
    }
  }
}

template <uint64_t Streams>
void readAll(void *ctx, int32_t index, int32_t count) {
  Job &job = *static_cast<Job *>(ctx);
  Range range = share(job.blocks, index, count);
  uint64_t sums[8] = {};
  for (uint64_t block = range.begin; block < range.end; block += Streams)
    readBlocks<Streams>(job.words + block * kBlock / 8, sums);
  for (uint64_t sum : sums)
    job.sum += sum;
}

} // namespace

ReadCeiling::ReadCeiling(uint64_t bytes)
    : memory(std::max(bytes, kLeast) / kLeast * kLeast,
             "the read ceiling's buffer", Pages::Small) {}

double ReadCeiling::measure(ThreadTeam &team) {
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  uint64_t blocks = memory.size() / kBlock;
  Job job{static_cast<uint64_t *>(memory.data()), {0, blocks}};
  if (!filled)
    team.parallel(fill, &job); // each thread touches its own share first
  filled = true;
  double best = 0;
  Clock::time_point begin = Clock::now();
  for (uint64_t pass = 0;
       pass < 2 * kWindows || Seconds(Clock::now() - begin).count() < 0.2;
       ++pass) {
    uint64_t window = pass % kWindows;
    job.blocks = {blocks * window / kWindows, blocks * (window + 1) / kWindows};
    bool many = pass / kWindows % 2 == 0;
    Clock::time_point start = Clock::now();
    team.parallel(many ? readAll<kStreams> : readAll<1>, &job);
    double seconds = Seconds(Clock::now() - start).count();
    auto bytes =
        static_cast<double>((job.blocks.end - job.blocks.begin) * kBlock);
    best = std::max(best, bytes / seconds);
  }
  sum += job.sum;
  return best;
}

} // namespace fdpp::runtime
