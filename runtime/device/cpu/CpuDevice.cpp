// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CpuTopology.h"
#include "Device.h"
#include "Region.h"

#include <chrono>
#include <cstring>

namespace fdpp::runtime {
namespace {

/// Work is done when it is enqueued.
class CpuStopwatch : public Stopwatch {
public:
  void mark() override { points.push_back(Clock::now()); }
  std::vector<double> take() override {
    std::vector<double> seconds;
    for (Clock::time_point point : points)
      seconds.push_back(
          std::chrono::duration<double>(point - points.front()).count());
    points.clear();
    return seconds;
  }

private:
  using Clock = std::chrono::steady_clock;
  std::vector<Clock::time_point> points;
};

class CpuDevice : public Device {
public:
  const std::string &name() const override { return called; }
  int32_t index() const override { return 0; }
  bool isHost() const override { return true; }
  void *stream() override { return nullptr; }

  void *allocate(uint64_t bytes, const char *what) override {
    return Region(bytes, what).release();
  }
  void release(void *memory, uint64_t bytes) noexcept override {
    Region::adopt(memory, bytes);
  }
  void *allocateStaging(uint64_t bytes) override {
    return allocate(bytes, "staging");
  }
  void releaseStaging(void *memory, uint64_t bytes) noexcept override {
    release(memory, bytes);
  }

  void upload(void *to, const void *from, uint64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void download(void *to, const void *from, uint64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void copy(void *to, const void *from, uint64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void wait() override {}
  std::unique_ptr<Stopwatch> makeStopwatch() override {
    return std::make_unique<CpuStopwatch>();
  }
  uint64_t freeMemory() override { return availableMemory(); }
  double readCeiling(uint64_t) override { return 0; }

private:
  const std::string called = "cpu";
};

} // namespace

Device &cpuDevice() {
  // Never destroyed: sessions may outlive the end of main().
  static Device *device = new CpuDevice;
  return *device;
}

} // namespace fdpp::runtime
