// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where a step's time goes, kernel by kernel: as a table, JSON or a trace.
#ifndef FDPP_TOOLS_FDPP_BENCH_PROFILE_H
#define FDPP_TOOLS_FDPP_BENCH_PROFILE_H

#include "Client.h"

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

namespace fdpp::tools {

/// The kernels of one name in all layers, over some steps.
struct KernelSum {
  std::string name;
  uint64_t calls = 0, bytes = 0;
  double ms = 0;
};

/// The kernels of the steps of one row, run once.
class Profile {
public:
  /// Listens to the session's steps as long as `body` runs.
  template <class Body> void listen(const Session &session, Body body) {
    check(fdpp_session_set_profile(session.get(), note, this));
    body();
    check(fdpp_session_set_profile(session.get(), nullptr, nullptr));
  }

  bool empty() const { return calls.empty(); }
  /// In the order in which they first ran.
  std::vector<KernelSum> sums() const;

  /// `ceiling`: bytes a second, 0: not measured.
  std::string markdown(const std::string &row, double ceiling) const;
  /// [{"name": ..., "calls": ..., "ms": ..., "bytes": ...}], of a mean step.
  std::string json() const;
  /// Events of Chrome's trace format, on a line of their own called `row`; each
  /// is followed by a comma.
  std::string traceEvents(const std::string &row, int number) const;

private:
  struct Call {
    std::string name;
    int32_t layer, step;
    double start, ms; // start: since the first step's begin
    uint64_t bytes;
  };

  static void note(void *self, const fdpp_kernel_time *kernel);

  std::vector<Call> calls;
  int32_t steps = 0;
  double begin = 0; // of the step
};

/// A file of traceEvents. Throws a Failure where it cannot be written, which is
/// tried before anything is measured.
class TraceFile {
public:
  explicit TraceFile(const std::string &path);
  void write(const std::string &events);

private:
  const std::string path;
  std::ofstream file;
};

} // namespace fdpp::tools

#endif // FDPP_TOOLS_FDPP_BENCH_PROFILE_H
