// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_DEVICE_CPU_THREADTEAM_H
#define FDPP_RUNTIME_DEVICE_CPU_THREADTEAM_H

#include "fdpp-runtime/model_abi.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <pthread.h>
#include <sys/types.h>

namespace fdpp::runtime {

/// How many threads of a team work at a time.
enum class TeamWidth {
  /// As many as this process may use processors when the work begins: more
  /// would only wait for each other. $FDPP_ALL_THREADS lifts the limit, for
  /// tests that want more threads than there are processors.
  Processors,
  All
};

/// A team of threads that runs one function together.
///
/// The caller of `parallel` is thread 0; the others wait between calls. A
/// waiting thread spins for at most 200 us, so that the next step of a decode
/// loop finds it awake, then sleeps in the kernel: an idle team uses no CPU.
/// One `parallel` at a time; the object is not to be shared by callers.
///
/// A process forked from the one that made the team has none of its threads;
/// the team starts them again there when it is first used.
class ThreadTeam {
public:
  /// Throws a memory error if the system has not that many threads.
  explicit ThreadTeam(int32_t threads, TeamWidth width = TeamWidth::Processors);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam &) = delete;
  ThreadTeam &operator=(const ThreadTeam &) = delete;

  /// Threads it was made with; the most that work at a time.
  int32_t size() const { return table.threads; }

  /// Runs fn(ctx, index, count) once on each of `count` threads, size() of them
  /// or as many as `TeamWidth` says, and returns when all have.
  void parallel(fdpp_parallel_fn fn, void *ctx);

  /// The same, as the step ABI wants it; valid as long as the team.
  const fdpp_executor &executor() const { return table; }

private:
  /// A thread and the rounds of work it was called to: a word of its own, so
  /// that those left out of a round sleep through it.
  struct alignas(64) Worker {
    std::atomic<int32_t> round{0};
    ThreadTeam *team = nullptr;
    int32_t index = 0;
    pthread_t thread = {};
  };

  void start();
  void stop();
  void work(Worker &self);
  void call(Worker &worker);

  // The work of the current round: written before a worker's `round` is raised.
  fdpp_parallel_fn task = nullptr;
  void *context = nullptr;
  int32_t count = 1;
  bool ended = false;

  alignas(64) std::atomic<int32_t> busy{0};
  std::unique_ptr<Worker[]> workers; // size() - 1, the first `started` run
  int32_t started = 0;
  pid_t owner = 0; // the process that has the threads
  bool capped = true;
  double quota; // CPUs the cgroup leaves, read once: it is several files
  fdpp_executor table;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_CPU_THREADTEAM_H
