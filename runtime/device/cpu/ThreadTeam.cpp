// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ThreadTeam.h"

#include <chrono>

namespace fdpp::runtime {
namespace {

constexpr std::chrono::microseconds kSpin{200};

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Waits until `value` is no longer `old`: spins, then sleeps.
void await(const std::atomic<int32_t> &value, int32_t old) {
  using Clock = std::chrono::steady_clock;
  if (value.load(std::memory_order_acquire) != old)
    return;
  const Clock::time_point end = Clock::now() + kSpin;
  do {
    // The clock costs as much as many pauses: look at it now and then.
    for (int i = 0; i < 32; ++i) {
      if (value.load(std::memory_order_acquire) != old)
        return;
      relax();
    }
  } while (Clock::now() < end);
  value.wait(old, std::memory_order_acquire);
}

} // namespace

ThreadTeam::ThreadTeam(int32_t threads) {
  table = {sizeof(fdpp_executor), threads, this,
           [](void *self, fdpp_parallel_fn fn, void *ctx) {
             static_cast<ThreadTeam *>(self)->parallel(fn, ctx);
           }};
  workers.reserve(threads - 1);
  try {
    for (int32_t index = 1; index < threads; ++index)
      workers.emplace_back(&ThreadTeam::work, this, index);
  } catch (...) { // the system has no more threads: let go of those begun
    join();
    throw;
  }
}

ThreadTeam::~ThreadTeam() { join(); }

void ThreadTeam::join() {
  stop = true;
  round.fetch_add(1, std::memory_order_release);
  round.notify_all();
  for (std::thread &worker : workers)
    worker.join();
}

void ThreadTeam::parallel(fdpp_parallel_fn fn, void *ctx) {
  if (workers.empty())
    return fn(ctx, 0, 1);
  task = fn;
  context = ctx;
  busy.store(size() - 1, std::memory_order_relaxed);
  round.fetch_add(1, std::memory_order_release);
  round.notify_all();
  fn(ctx, 0, size());
  for (int32_t left; (left = busy.load(std::memory_order_acquire)) != 0;)
    await(busy, left);
}

void ThreadTeam::work(int32_t index) {
  int32_t seen = 0;
  while (true) {
    await(round, seen);
    ++seen;
    if (stop)
      return;
    task(context, index, size());
    if (busy.fetch_sub(1, std::memory_order_acq_rel) == 1)
      busy.notify_one();
  }
}

} // namespace fdpp::runtime
