// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ThreadTeam.h"

#include "CpuTopology.h"
#include "Error.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>

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

ThreadTeam::ThreadTeam(int32_t threads, TeamWidth width)
    : capped(width == TeamWidth::Processors &&
             !std::getenv("FDPP_ALL_THREADS")),
      quota(cgroupQuota()) {
  table = {sizeof(fdpp_executor), threads, this,
           [](void *self, fdpp_parallel_fn fn, void *ctx) {
             static_cast<ThreadTeam *>(self)->parallel(fn, ctx);
           }};
  start();
}

ThreadTeam::~ThreadTeam() {
  if (owner == getpid())
    stop();
}

void ThreadTeam::start() {
  owner = getpid();
  started = 0;
  workers = std::make_unique<Worker[]>(size() - 1);
  for (; started < size() - 1; ++started) {
    Worker &worker = workers[started];
    worker.team = this;
    worker.index = started + 1;
    int error = pthread_create(
        &worker.thread, nullptr,
        [](void *self) -> void * {
          auto &worker = *static_cast<Worker *>(self);
          worker.team->work(worker);
          return nullptr;
        },
        &worker);
    if (error != 0) { // let go of those begun
      std::string text = "cannot start " + std::to_string(size()) +
                         " threads (" + std::strerror(error) +
                         "); ask for fewer";
      stop();
      ended = false;
      owner = 0; // the next use tries again
      throw Error(ErrorKind::Memory, text);
    }
  }
}

void ThreadTeam::stop() {
  ended = true;
  for (int32_t i = 0; i < started; ++i)
    call(workers[i]);
  for (int32_t i = 0; i < started; ++i)
    pthread_join(workers[i].thread, nullptr);
}

void ThreadTeam::call(Worker &worker) {
  worker.round.fetch_add(1, std::memory_order_release);
  worker.round.notify_one();
}

void ThreadTeam::parallel(fdpp_parallel_fn fn, void *ctx) {
  // What a forked process inherits of a thread is memory; nothing there may be
  // joined or detached.
  if (owner != getpid())
    start();
  task = fn;
  context = ctx;
  count = size();
  if (capped && count > 1)
    count = std::min(count, processorsFor(quota));
  if (count == 1)
    return fn(ctx, 0, 1);
  busy.store(count - 1, std::memory_order_relaxed);
  for (int32_t i = 0; i < count - 1; ++i)
    call(workers[i]);
  fn(ctx, 0, count);
  for (int32_t left; (left = busy.load(std::memory_order_acquire)) != 0;)
    await(busy, left);
}

void ThreadTeam::work(Worker &self) {
  for (int32_t seen = 0;; ++seen) {
    await(self.round, seen);
    if (ended)
      return;
    task(context, self.index, count);
    if (busy.fetch_sub(1, std::memory_order_acq_rel) == 1)
      busy.notify_one();
  }
}

} // namespace fdpp::runtime
