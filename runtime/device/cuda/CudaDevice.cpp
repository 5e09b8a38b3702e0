// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CudaDevice.h"

#include "CudaDriver.h"
#include "CudaReadCeiling.h"
#include "Error.h"

namespace fdpp::runtime {
namespace {

std::string gib(uint64_t bytes) {
  std::string tenths = std::to_string((bytes * 10 + (1u << 29)) >> 30);
  if (tenths.size() == 1)
    tenths = "0" + tenths;
  return tenths.insert(tenths.size() - 1, ".") + " GiB";
}

CudaPointer address(const void *pointer) {
  return reinterpret_cast<CudaPointer>(pointer);
}

void checkCuda(CudaResult result, const std::string &device, const char *what) {
  if (result == 0)
    return;
  const char *text = nullptr;
  cudaDriver().getErrorString(result, &text);
  throw Error(ErrorKind::Internal, device + " cannot " + what + ": " +
                                       (text ? text : "unknown error"));
}

/// Events of a stream, kept for the next round.
class CudaStopwatch : public Stopwatch {
public:
  CudaStopwatch(Device &device, CudaStream *queue)
      : device(device), queue(queue) {}
  ~CudaStopwatch() override {
    for (CudaEvent *event : events)
      driver.eventDestroy(event);
  }

  void mark() override {
    if (used == events.size()) {
      events.push_back(nullptr);
      check(driver.eventCreate(&events.back(), 0), "make an event");
    }
    check(driver.eventRecord(events[used++], queue), "note a time");
  }
  std::vector<double> take() override {
    std::vector<double> seconds;
    for (size_t i = 0; i < used; ++i) {
      float ms = 0;
      check(driver.eventElapsedTime(&ms, events.front(), events[i]),
            "tell a time");
      seconds.push_back(ms / 1e3);
    }
    used = 0;
    return seconds;
  }

private:
  void check(CudaResult result, const char *what) const {
    checkCuda(result, device.name(), what);
  }

  const CudaDriver &driver = cudaDriver();
  Device &device;
  CudaStream *queue;
  std::vector<CudaEvent *> events;
  size_t used = 0;
};

class CudaDevice : public Device {
public:
  explicit CudaDevice(int32_t index) : driver(cudaDriver()), number(index) {
    char text[256] = "";
    check(driver.deviceGetName(text, sizeof text, index), "be found");
    called = text;
    check(driver.primaryContextRetain(&context, index), "be opened");
    try {
      enter();
      check(driver.streamCreate(&queue, kCudaStreamNonBlocking),
            "make a stream");
    } catch (...) {
      driver.primaryContextRelease(number);
      throw;
    }
  }
  ~CudaDevice() override {
    driver.contextSetCurrent(context);
    driver.streamDestroy(queue);
    driver.primaryContextRelease(number);
  }

  const std::string &name() const override { return called; }
  int32_t index() const override { return number; }
  bool isHost() const override { return false; }
  void *stream() override {
    enter(); // the model launches in this thread
    return queue;
  }

  void *allocate(uint64_t bytes, const char *what) override {
    enter();
    CudaPointer place = 0;
    CudaResult result = driver.memAlloc(&place, bytes);
    if (result == kCudaOutOfMemory) {
      auto [free, total] = memory();
      throw Error(ErrorKind::Memory,
                  called + ": no memory for " + gib(bytes) + " of " + what +
                      ", " + gib(free) + " of " + gib(total) +
                      " are free; ask for a smaller context or fewer "
                      "sequences");
    }
    check(result, "give memory");
    check(driver.memset(place, 0, bytes, queue), "clear memory");
    return reinterpret_cast<void *>(place);
  }
  void release(void *memory, uint64_t) noexcept override {
    driver.contextSetCurrent(context);
    driver.memFree(address(memory));
  }
  void *allocateStaging(uint64_t bytes) override {
    enter();
    void *memory = nullptr;
    check(driver.memAllocHost(&memory, bytes), "pin memory of the host");
    return memory;
  }
  void releaseStaging(void *memory, uint64_t) noexcept override {
    driver.contextSetCurrent(context);
    driver.memFreeHost(memory);
  }

  void upload(void *to, const void *from, uint64_t bytes) override {
    enter();
    check(driver.copyToDevice(address(to), from, bytes, queue), "be written");
  }
  void download(void *to, const void *from, uint64_t bytes) override {
    enter();
    check(driver.copyToHost(to, address(from), bytes, queue), "be read");
  }
  void copy(void *to, const void *from, uint64_t bytes) override {
    enter();
    check(driver.copyInside(address(to), address(from), bytes, queue),
          "copy its memory");
  }
  void wait() override {
    enter();
    check(driver.streamSynchronize(queue), "finish its work");
  }

  std::unique_ptr<Stopwatch> makeStopwatch() override {
    enter();
    return std::make_unique<CudaStopwatch>(*this, queue);
  }

  uint64_t freeMemory() override {
    enter();
    return memory().first;
  }

  double readCeiling(uint64_t bytes) override {
    DeviceMemory memory(*this, bytes, "memory to read");
    wait();
    int processors = 0;
    check(driver.deviceGetAttribute(&processors, kCudaProcessors, number),
          "tell its processors");
    CudaResult error = 0;
    double rate = cudaReadCeiling(address(memory.data()), bytes, processors,
                                  queue, error);
    check(error, "measure what it reads");
    return rate;
  }

private:
  /// Free, and in all.
  std::pair<uint64_t, uint64_t> memory() const {
    size_t free = 0, total = 0;
    check(driver.memGetInfo(&free, &total), "tell its memory");
    return {free, total};
  }

  void enter() { check(driver.contextSetCurrent(context), "be entered"); }

  void check(CudaResult result, const char *what) const {
    checkCuda(result,
              called.empty() ? "cuda device " + std::to_string(number) : called,
              what);
  }

  const CudaDriver &driver;
  const int32_t number;
  std::string called;
  CudaContext *context = nullptr;
  CudaStream *queue = nullptr;
};

} // namespace

int32_t cudaDeviceCount() noexcept {
  try {
    int count = 0;
    return cudaDriver().deviceGetCount(&count) == 0 ? count : 0;
  } catch (...) {
    return 0;
  }
}

CudaDeviceInfo describeCudaDevice(int32_t index) {
  const CudaDriver &driver = cudaDriver();
  CudaDeviceInfo info;
  char text[256] = "";
  int major = 0, minor = 0;
  size_t total = 0;
  driver.deviceGetName(text, sizeof text, index);
  driver.deviceGetAttribute(&info.processors, kCudaProcessors, index);
  driver.deviceGetAttribute(&major, kCudaComputeMajor, index);
  driver.deviceGetAttribute(&minor, kCudaComputeMinor, index);
  driver.deviceTotalMem(&total, index);
  info.name = text;
  info.arch = "sm_" + std::to_string(major * 10 + minor);
  info.memory = total;
  return info;
}

std::unique_ptr<Device> openCudaDevice(int32_t index) {
  int count = 0;
  if (cudaDriver().deviceGetCount(&count) != 0 || index < 0 || index >= count)
    userError("no cuda device " + std::to_string(index) + ": there are " +
              std::to_string(count));
  return std::make_unique<CudaDevice>(index);
}

void checkCudaArch(const Device &device, const std::string &rebuild) {
  int major = 0, minor = 0;
  cudaDriver().deviceGetAttribute(&major, kCudaComputeMajor, device.index());
  cudaDriver().deviceGetAttribute(&minor, kCudaComputeMinor, device.index());
  if (major < 8)
    userError(device.name() + ": an sm_" + std::to_string(major * 10 + minor) +
              " gpu, engines need sm_80 or newer; " + rebuild);
}

} // namespace fdpp::runtime
