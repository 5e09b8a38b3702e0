// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_SUPPORT_PROGRESS_H
#define FDPP_TOOLS_SUPPORT_PROGRESS_H

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace fdpp::tools {

/// A line on the terminal that says what is going on and for how long, from
/// half a second on; gone when the object is. Without a terminal on stderr it
/// does nothing.
class Progress {
public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  void update(int32_t newDone, int32_t newTotal) {
    done = newDone;
    total = newTotal;
  }

private:
  void run();

  const std::string what;
  std::atomic<int32_t> done{0}, total{0};
  std::mutex lock;
  std::condition_variable wake;
  bool stop = false;
  std::thread ticker;
};

} // namespace fdpp::tools

#endif // FDPP_TOOLS_SUPPORT_PROGRESS_H
