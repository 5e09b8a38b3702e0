// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the machine allows, measured in the same run as the kernels: the read
// ceiling and the FMA peak. A share of either is comparable between runs; a
// time is not.
#ifndef FDPP_BENCHMARKS_KERNELS_MACHINE_H
#define FDPP_BENCHMARKS_KERNELS_MACHINE_H

#include "kernels/cpu/matrix_linear.h"
#include "kernels/cpu/team.h"
#include "kernels/cpu/tile.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#include <sys/mman.h>
#endif

namespace fdpp::bench {

inline double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

/// As an engine has them: weights are a mapped file in small pages, its caches
/// are in huge ones.
enum class Pages { Small, Huge };

/// Uninitialised memory.
template <class E> class Buffer {
public:
  explicit Buffer(int64_t count, Pages pages = Pages::Small)
      : count(count), memory(static_cast<E *>(
                          ::operator new(size_t(count) * sizeof(E), align))) {
#ifdef __linux__
    if (pages == Pages::Huge)
      madvise(memory, size_t(count) * sizeof(E), MADV_HUGEPAGE);
#endif
  }
  ~Buffer() { ::operator delete(memory, align); }
  Buffer(const Buffer &) = delete;
  E *data() { return memory; }
  int64_t size() const { return count; }

private:
  static constexpr std::align_val_t align{2 << 20};
  int64_t count;
  E *memory;
};

/// Keeps the calling thread on the index-th processor it may use: two threads
/// of a team on one core would measure the scheduler.
inline void pin(int index) {
#ifdef __linux__
  cpu_set_t allowed, one;
  sched_getaffinity(0, sizeof allowed, &allowed);
  index %= CPU_COUNT(&allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed) && index-- == 0) {
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      sched_setaffinity(0, sizeof one, &one);
      return;
    }
#endif
}

/// Runs body(team) once on each of `threads` threads.
template <class Body> void on_team(int threads, Body body) {
  cpu::TeamState state;
  std::vector<std::thread> pool;
  for (int i = 0; i < threads; ++i)
    pool.emplace_back([&, i] {
      pin(i);
      cpu::Team team(state, i, threads);
      body(team);
    });
  for (std::thread &thread : pool)
    thread.join();
}

/// Seconds of the fastest of `repeats` runs of body(team, repeat), measured
/// between barriers after one warm-up.
template <class Body> double fastest(int threads, int repeats, Body body) {
  double best = 1e30;
  on_team(threads, [&](cpu::Team &team) {
    for (int i = -1; i < repeats; ++i) {
      team.barrier();
      double start = now();
      body(team, i + 1);
      team.barrier();
      if (team.index == 0 && i >= 0)
        best = std::min(best, now() - start);
    }
  });
  return best;
}

/// Bytes a second of a read-only sum, the better of one and of four streams a
/// thread. One sample reads a window of 16 MiB, the next one the following
/// window: as long as the kernels' samples are, and never cached.
template <int Streams> double read_streams(int threads, Buffer<float> &buffer) {
  constexpr int window = 1 << 22, line = cpu::lanes;
  int windows = int(buffer.size() / window);
  double seconds = fastest(threads, windows, [&](cpu::Team &team, int repeat) {
    const float *from = buffer.data() + int64_t(repeat % windows) * window;
    // Stretches of 16 KiB a stream, one after another.
    constexpr int stretch = 256 * line, step = Streams * stretch;
    cpu::Range mine = team.share(window / step);
    cpu::f32x16 sums[4] = {};
    for (int64_t i = mine.begin; i < mine.end; ++i)
      for (int j = 0; j < stretch; j += line * 4 / Streams)
        for (int s = 0; s < 4; ++s) {
          const float *at =
              from + i * step + s % Streams * stretch + j + s / Streams * line;
          __builtin_prefetch(at + 1024 / Streams);
          sums[s] += cpu::load(at);
        }
    volatile float keep =
        cpu::reduce_add(sums[0] + sums[1] + sums[2] + sums[3]);
    (void)keep;
  });
  return double(window) * 4 / seconds;
}

inline double read_ceiling(int threads, Buffer<float> &buffer) {
  return std::max(read_streams<1>(threads, buffer),
                  read_streams<4>(threads, buffer));
}

/// Bytes a second of the same where blocks of `bytes` lie in random order in
/// huge pages; of each block the next one is fetched into L2 meanwhile, every
/// `stride`-th line, 0: nothing.
inline double read_blocks(int threads, Buffer<float> &buffer, int64_t bytes,
                          int stride) {
  const int64_t block = bytes / int64_t(sizeof(float));
  std::vector<int64_t> order(size_t(buffer.size() / block));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  int count = int(order.size());
  double seconds = fastest(threads, 3, [&](cpu::Team &team, int) {
    constexpr int line = cpu::lanes;
    cpu::Range mine = team.share(count);
    cpu::f32x16 sums[4] = {};
    for (int i = mine.begin; i < mine.end; ++i) {
      const float *at = buffer.data() + order[size_t(i)] * block;
      const float *next =
          buffer.data() + order[size_t(i + 1 < count ? i + 1 : 0)] * block;
      for (int64_t j = 0; j < block; j += 4 * line) {
        for (int k = 0; stride > 0 && k < 4; k += stride)
          __builtin_prefetch(next + j + k * line, 0, 2);
        for (int k = 0; k < 4; ++k)
          sums[k] += cpu::load(at + j + k * line);
      }
    }
    volatile float keep =
        cpu::reduce_add(sums[0] + sums[1] + sums[2] + sums[3]);
    (void)keep;
  });
  return double(count) * double(bytes) / seconds;
}

/// Floating-point operations a second of independent FMA chains in registers.
inline double fma_peak(int threads) {
  constexpr int rounds = 1000000, chains = cpu::fits(12, 1) ? 12 : 6;
  double seconds = fastest(threads, 40, [&](cpu::Team &, int) {
    cpu::f32x16 sums[chains] = {};
    cpu::f32x16 a = cpu::splat(1.0f), b = cpu::splat(1e-9f);
    for (int i = 0; i < rounds / chains; ++i) {
      __asm__ volatile("" : "+m"(*(char *)&threads)); // one round is one round
#pragma clang loop unroll(full)
      for (int j = 0; j < chains; ++j)
        sums[j] = cpu::fma(sums[j], a, b);
    }
    cpu::f32x16 total = {};
    for (int j = 0; j < chains; ++j)
      total += sums[j];
    volatile float keep = cpu::reduce_add(total);
    (void)keep;
  });
  return 2.0 * cpu::lanes * (rounds / chains * chains) * threads / seconds;
}

#ifdef FDPP_BF16_DOT
/// The same of bf16 dot products.
inline double dot_peak(int threads) {
  constexpr int rounds = 1000000, chains = cpu::fits(12, 1) ? 12 : 6;
  double seconds = fastest(threads, 40, [&](cpu::Team &, int) {
    cpu::f32x16 sums[chains] = {};
    cpu::u32x16 a = cpu::u32x16(0x3f803f80u);
    for (int i = 0; i < rounds / chains; ++i)
#pragma clang loop unroll(full)
      for (int j = 0; j < chains; ++j)
        sums[j] = cpu::dot_pairs(sums[j], a, 0x2f802f80u);
    cpu::f32x16 total = {};
    for (int j = 0; j < chains; ++j)
      total += sums[j];
    volatile float keep = cpu::reduce_add(total);
    (void)keep;
  });
  return 4.0 * cpu::lanes * (rounds / chains * chains) * threads / seconds;
}
#endif

/// The same of multiplications on the matrix unit.
inline double matrix_peak(int threads) {
  constexpr int rounds = 100000;
  alignas(64) static const bf16 ones[cpu::matrix::step_elements] = {};
  double seconds = fastest(threads, 40, [&](cpu::Team &, int) {
    cpu::matrix::configure_for(cpu::matrix::most_tokens);
    for (int i = 0; i < rounds; ++i)
      cpu::matrix::step<2, 2>(ones, 0, ones, ones);
    cpu::matrix::release();
  });
  return 4.0 * 2 * 16 * 16 * 32 * rounds * threads / seconds;
}

} // namespace fdpp::bench

#endif // FDPP_BENCHMARKS_KERNELS_MACHINE_H
