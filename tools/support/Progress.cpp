// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Progress.h"

#include <chrono>
#include <cstdio>
#include <unistd.h>

namespace fdpp::tools {

Progress::Progress(std::string what) : what(std::move(what)) {
  if (isatty(STDERR_FILENO))
    ticker = std::thread(&Progress::run, this);
}

Progress::~Progress() {
  if (!ticker.joinable())
    return;
  {
    std::lock_guard guard(lock);
    stop = true;
  }
  wake.notify_one();
  ticker.join();
}

void Progress::run() {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  std::unique_lock guard(lock);
  auto stopped = [this] { return stop; };
  if (wake.wait_for(guard, std::chrono::milliseconds(500), stopped))
    return;
  do {
    double seconds =
        std::chrono::duration<double>(Clock::now() - start).count();
    if (total > 0)
      std::fprintf(stderr, "\r\033[K%s: %d of %d, %.1f s", what.c_str(),
                   done.load(), total.load(), seconds);
    else
      std::fprintf(stderr, "\r\033[K%s: %.1f s", what.c_str(), seconds);
  } while (!wake.wait_for(guard, std::chrono::milliseconds(200), stopped));
  std::fprintf(stderr, "\r\033[K");
}

} // namespace fdpp::tools
