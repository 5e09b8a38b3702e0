// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_DEVICE_CPU_THREADTEAM_H
#define FDPP_RUNTIME_DEVICE_CPU_THREADTEAM_H

#include "fdpp-runtime/model_abi.h"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace fdpp::runtime {

/// A fixed team of threads that runs one function together.
///
/// The caller of `parallel` is thread 0; the others wait between calls. A
/// waiting thread spins for at most 200 us, so that the next step of a decode
/// loop finds it awake, then sleeps in the kernel: an idle team uses no CPU.
/// One `parallel` at a time; the object is not to be shared by callers.
class ThreadTeam {
public:
  explicit ThreadTeam(int32_t threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam &) = delete;
  ThreadTeam &operator=(const ThreadTeam &) = delete;

  int32_t size() const { return static_cast<int32_t>(workers.size()) + 1; }

  /// Runs fn(ctx, index, size()) once on each thread and returns when all have.
  void parallel(fdpp_parallel_fn fn, void *ctx);

  /// The same, as the step ABI wants it; valid as long as the team.
  const fdpp_executor &executor() const { return table; }

private:
  void work(int32_t index);
  void join();

  // The work of the current round: written before `round` is raised.
  fdpp_parallel_fn task = nullptr;
  void *context = nullptr;
  bool stop = false;

  alignas(64) std::atomic<int32_t> round{0};
  alignas(64) std::atomic<int32_t> busy{0};
  std::vector<std::thread> workers;
  fdpp_executor table;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_CPU_THREADTEAM_H
