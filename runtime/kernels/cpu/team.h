// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The threads of one step. Every kernel is called by every thread of the team
// with the same arguments and returns behind a barrier: what it wrote is then
// visible to all, so kernels need no synchronisation between them.
#ifndef FDPP_KERNELS_CPU_TEAM_H
#define FDPP_KERNELS_CPU_TEAM_H

#include "kernels/common/listener.h"

#include <atomic>
#include <cstdint>

#ifdef __linux__
#include <climits>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <thread>
#endif

namespace fdpp::cpu {

/// What the team shares; lives in the workspace, 64-byte aligned. Each word has
/// a cache line of its own.
struct TeamState {
  /// Counts barriers passed; threads wait for it to change.
  alignas(64) std::atomic<uint32_t> epoch{0};
  /// Threads that reached the current barrier.
  alignas(64) std::atomic<int32_t> arrived{0};
  /// Threads that sleep, or are about to, until `epoch` changes.
  alignas(64) std::atomic<int32_t> sleepers{0};
  /// Next piece of dynamically shared work; 0 behind every barrier.
  alignas(64) std::atomic<int32_t> ticket{0};
  /// How often some thread raised a flag, in turns of two.
  alignas(64) std::atomic<uint32_t> raised[2] = {0, 0};
};

struct Range {
  int begin, end;
  bool empty() const { return begin >= end; }
};

/// One thread's view of the team.
class Team {
public:
  const int index;
  const int count;

  Team(TeamState &shared, int index, int count, KernelListener listener = {})
      : index(index), count(count), state(shared), listener(listener) {}

  /// A kernel of the step has returned.
  void done(const char *kernel, int layer) const {
    if (index == 0)
      listener.tell(kernel, layer);
  }

  /// Returns when every thread of the team has called it.
  void barrier() {
    if (count == 1) {
      state.ticket.store(0, std::memory_order_relaxed);
      return;
    }
    uint32_t epoch = state.epoch.load(std::memory_order_relaxed);
    if (state.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 < count)
      return wait(epoch);
    state.arrived.store(0, std::memory_order_relaxed);
    state.ticket.store(0, std::memory_order_relaxed);
    // Sequentially consistent with the sleeper's increment and check: either
    // it sees the new epoch or its increment is seen here.
    state.epoch.store(epoch + 1, std::memory_order_seq_cst);
    if (state.sleepers.load(std::memory_order_seq_cst) > 0)
      wake();
  }

  /// This thread's share of [0, items), shares differing by one at most.
  Range share(int items) const { return share(items, index, count); }

  static Range share(int items, int index, int count) {
    return {int(int64_t(items) * index / count),
            int(int64_t(items) * (index + 1) / count)};
  }

  /// Takes the next `items` of the dynamically shared work and returns the
  /// first. Between two barriers only one loop may draw tickets.
  int take(int items = 1) {
    return state.ticket.fetch_add(items, std::memory_order_relaxed);
  }

  /// Lets the next call of raised() behind a barrier be true.
  void raise() { state.raised[turn].fetch_add(1, std::memory_order_relaxed); }

  /// The same on all threads: whether any has called raise() since the call
  /// before. They call it equally often, between two barriers once. It needs no
  /// barrier behind it: who is ahead raises the other flag, and is not two
  /// ahead without one.
  bool raised() {
    uint32_t now = state.raised[turn].load(std::memory_order_relaxed);
    bool result = now != seen[turn];
    seen[turn] = now;
    turn ^= 1;
    return result;
  }

private:
  // A pause takes 20 to 50 ns: 50 to 100 us, and a few.
  static constexpr int most_patience = 2000, least_patience = 32;

  TeamState &state;
  const KernelListener listener;
  int patience = most_patience; // pauses before this thread sleeps
  int turn = 0;
  uint32_t seen[2] = {0, 0}; // of the counts in `state`

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
  }

  /// Polls for a while, many times what a balanced kernel needs, then sleeps,
  /// so that a team larger than the free processors does not burn the time of
  /// the thread it waits for. Who polled in vain polls half as long the next
  /// time: where other work shares the processors, most waits are long ones.
  __attribute__((noinline)) void wait(uint32_t epoch) {
    for (int spin = 0; spin < patience; ++spin) {
      if (state.epoch.load(std::memory_order_acquire) != epoch) {
        patience = patience < most_patience / 2 ? 2 * patience : most_patience;
        return;
      }
      pause();
    }
    patience = patience > 2 * least_patience ? patience / 2 : least_patience;
    state.sleepers.fetch_add(1, std::memory_order_seq_cst);
    while (state.epoch.load(std::memory_order_seq_cst) == epoch)
      sleep(epoch);
    state.sleepers.fetch_sub(1, std::memory_order_relaxed);
  }

#ifdef __linux__
  void sleep(uint32_t epoch) {
    syscall(SYS_futex, &state.epoch, FUTEX_WAIT_PRIVATE, epoch, nullptr,
            nullptr, 0);
  }
  void wake() {
    syscall(SYS_futex, &state.epoch, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr,
            nullptr, 0);
  }
#else
  void sleep(uint32_t) { std::this_thread::yield(); }
  void wake() {}
#endif
};

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_TEAM_H
