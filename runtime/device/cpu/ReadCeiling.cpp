// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ReadCeiling.h"

#include <algorithm>
#include <atomic>
#include <chrono>

namespace fdpp::runtime {
namespace {

constexpr uint64_t kBlock = 4096;     // bytes read between two prefetch rounds
constexpr uint64_t kAhead = 2 * 1024; // bytes the prefetch runs ahead

struct Job {
  uint64_t *words;
  uint64_t blocks;
  std::atomic<uint64_t> sum{0};
};

struct Range {
  uint64_t begin, end; // blocks
};

Range share(uint64_t blocks, int32_t index, int32_t count) {
  return {blocks * index / count, blocks * (index + 1) / count};
}

void fill(void *ctx, int32_t index, int32_t count) {
  Job &job = *static_cast<Job *>(ctx);
  Range range = share(job.blocks, index, count);
  for (uint64_t i = range.begin * kBlock / 8; i < range.end * kBlock / 8; ++i)
    job.words[i] = i * 0x9E3779B97F4A7C15;
}

/// Four sums keep enough loads in flight; the compiler vectorises the block.
uint64_t readBlock(const uint64_t *words) {
  uint64_t a = 0, b = 0, c = 0, d = 0;
  for (uint64_t i = 0; i < kBlock / 8; i += 32) {
    for (uint64_t line = 0; line < 32; line += 8)
      __builtin_prefetch(words + i + line + kAhead / 8);
    for (uint64_t j = 0; j < 8; ++j) {
      a += words[i + j];
      b += words[i + 8 + j];
      c += words[i + 16 + j];
      d += words[i + 24 + j];
    }
  }
  return a + b + c + d;
}

void readAll(void *ctx, int32_t index, int32_t count) {
  Job &job = *static_cast<Job *>(ctx);
  Range range = share(job.blocks, index, count);
  uint64_t sum = 0;
  for (uint64_t block = range.begin; block < range.end; ++block)
    sum += readBlock(job.words + block * kBlock / 8);
  job.sum += sum;
}

} // namespace

ReadCeiling::ReadCeiling(uint64_t bytes)
    : memory(std::max<uint64_t>(bytes, 1 << 20) / kBlock * kBlock,
             "the read ceiling's buffer", Pages::Small) {}

double ReadCeiling::measure(ThreadTeam &team) {
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  Job job{static_cast<uint64_t *>(memory.data()), memory.size() / kBlock};
  if (!filled)
    team.parallel(fill, &job); // each thread touches its own share first
  filled = true;
  double best = 0;
  Clock::time_point begin = Clock::now();
  for (int pass = 0; pass < 3 || Seconds(Clock::now() - begin).count() < 0.2;
       ++pass) {
    Clock::time_point start = Clock::now();
    team.parallel(readAll, &job);
    double seconds = Seconds(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(memory.size()) / seconds);
  }
  sum += job.sum;
  return best;
}

} // namespace fdpp::runtime
