// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where an engine's kernels run, and the memory that they read and write.
// test/runtime/DeviceTest.cpp is what every driver must pass.
#ifndef FDPP_RUNTIME_DEVICE_DEVICE_H
#define FDPP_RUNTIME_DEVICE_DEVICE_H

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace fdpp::runtime {

/// Points in time of a device's work.
class Stopwatch {
public:
  virtual ~Stopwatch() = default;
  /// The next point: when everything enqueued so far is done.
  virtual void mark() = 0;
  /// Behind the device's wait(): seconds from the first point to each. Forgets
  /// them.
  virtual std::vector<double> take() = 0;
};

/// Work is enqueued and done in its order; what says so waits for all of it.
/// Used by one thread at a time. Functions throw an Error that names what
/// failed.
class Device {
public:
  virtual ~Device() = default;

  /// "cpu", or the device's own name.
  virtual const std::string &name() const = 0;
  /// Its number among those of its driver, for fdpp_model_table::create.
  virtual int32_t index() const = 0;
  /// True if its memory is the host's: nothing has to be copied.
  virtual bool isHost() const = 0;
  /// For fdpp_step::stream.
  virtual void *stream() = 0;

  /// Zeroed memory; an Error of kind Memory names `what`.
  virtual void *allocate(uint64_t bytes, const char *what) = 0;
  virtual void release(void *memory, uint64_t bytes) noexcept = 0;
  /// Host memory that copies to and from the device are fast with.
  virtual void *allocateStaging(uint64_t bytes) = 0;
  virtual void releaseStaging(void *memory, uint64_t bytes) noexcept = 0;

  /// Host to device. `from` may be changed behind the next wait().
  virtual void upload(void *to, const void *from, uint64_t bytes) = 0;
  /// Device to host; `to` is there behind the next wait().
  virtual void download(void *to, const void *from, uint64_t bytes) = 0;
  /// Inside of the device; the ranges do not overlap.
  virtual void copy(void *to, const void *from, uint64_t bytes) = 0;
  /// Until everything before is done. Throws what failed of it.
  virtual void wait() = 0;

  virtual std::unique_ptr<Stopwatch> makeStopwatch() = 0;

  /// Bytes that could be allocated now.
  virtual uint64_t freeMemory() = 0;

  /// Reads `bytes` of memory that no cache holds, several times for at least
  /// 200 ms; the best rate in bytes a second. For devices that are not the
  /// host, whose own depends on the threads (ReadCeiling.h).
  virtual double readCeiling(uint64_t bytes) = 0;
};

/// The processors of this machine. Memory is zeroed by the kernel, page by page
/// when it is first touched.
Device &cpuDevice();

/// Memory of a device, or its staging memory, given back at the end.
class DeviceMemory {
public:
  DeviceMemory() = default;
  DeviceMemory(Device &device, uint64_t bytes, const char *what)
      : device(&device), base(bytes ? device.allocate(bytes, what) : nullptr),
        length(bytes) {}
  ~DeviceMemory() {
    if (base)
      device->release(base, length);
  }
  DeviceMemory(DeviceMemory &&other) noexcept
      : device(other.device), base(std::exchange(other.base, nullptr)),
        length(std::exchange(other.length, 0)) {}
  DeviceMemory &operator=(DeviceMemory &&other) noexcept {
    std::swap(device, other.device);
    std::swap(base, other.base);
    std::swap(length, other.length);
    return *this;
  }

  void *data() const { return base; }
  uint64_t size() const { return length; }

private:
  Device *device = nullptr;
  void *base = nullptr;
  uint64_t length = 0;
};

class StagingMemory {
public:
  StagingMemory(Device &device, uint64_t bytes)
      : device(device), base(device.allocateStaging(bytes)), length(bytes) {}
  ~StagingMemory() { device.releaseStaging(base, length); }
  StagingMemory(const StagingMemory &) = delete;

  void *data() const { return base; }
  uint64_t size() const { return length; }

private:
  Device &device;
  void *base;
  uint64_t length;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_DEVICE_DEVICE_H
