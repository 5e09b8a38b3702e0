// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What every driver of a device must pass. Drivers without a device here are
// skipped.
#include "Device.h"
#include "CudaDevice.h"
#include "Error.h"

#include <cstdint>
#include <gmock/gmock.h>
#include <numeric>
#include <vector>

using namespace fdpp::runtime;
using testing::HasSubstr;

namespace {

class DeviceTest : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (GetParam() == std::string("cpu"))
      return;
    try {
      opened = openCudaDevice(0);
    } catch (const Error &error) {
      GTEST_SKIP() << "skipped: no device (" << error.what() << ")";
    }
  }
  Device &device() { return opened ? *opened : cpuDevice(); }

  static std::vector<uint32_t> numbers(size_t count) {
    std::vector<uint32_t> list(count);
    std::iota(list.begin(), list.end(), 1u);
    return list;
  }
  /// What memory of the device holds.
  std::vector<uint32_t> read(const void *from, size_t count) {
    std::vector<uint32_t> list(count, 0xdeadbeef);
    device().download(list.data(), from, count * 4);
    device().wait();
    return list;
  }

  std::unique_ptr<Device> opened;
};

TEST_P(DeviceTest, HasAName) {
  EXPECT_NE(device().name(), "");
  EXPECT_EQ(device().index(), 0);
}

TEST_P(DeviceTest, MemoryIsZeroed) {
  for (size_t count : {1, 1000, 5000000}) {
    DeviceMemory memory(device(), count * 4, "a test");
    EXPECT_EQ(memory.size(), count * 4);
    EXPECT_EQ(read(memory.data(), count), std::vector<uint32_t>(count, 0));
  }
  EXPECT_EQ(DeviceMemory(device(), 0, "nothing").data(), nullptr);
}

TEST_P(DeviceTest, CopiesInOrder) {
  const size_t count = 3'000'000;
  std::vector<uint32_t> list = numbers(count), other(count, 7);
  DeviceMemory a(device(), count * 4, "a"), b(device(), count * 4, "b");
  device().upload(a.data(), list.data(), count * 4);
  device().copy(b.data(), a.data(), count * 4);
  device().upload(a.data(), other.data(), count * 4);
  EXPECT_EQ(read(b.data(), count), list);
  EXPECT_EQ(read(a.data(), count), other);
  // A part of it.
  device().copy(static_cast<uint32_t *>(a.data()) + 10,
                static_cast<uint32_t *>(b.data()) + 5, 8);
  EXPECT_THAT(read(static_cast<uint32_t *>(a.data()) + 9, 4),
              testing::ElementsAre(7, 6, 7, 7));
}

TEST_P(DeviceTest, StagingMemoryGoesBothWays) {
  StagingMemory staging(device(), 4096 * 4);
  auto *words = static_cast<uint32_t *>(staging.data());
  DeviceMemory memory(device(), 4096 * 4, "a test");
  std::iota(words, words + 4096, 3u);
  device().upload(memory.data(), words, 4096 * 4);
  device().wait();
  std::fill(words, words + 4096, 0u);
  device().download(words, memory.data(), 4096 * 4);
  device().wait();
  EXPECT_EQ(words[0], 3u);
  EXPECT_EQ(words[4095], 4098u);
}

TEST_P(DeviceTest, MovedMemoryIsGivenBackOnce) {
  DeviceMemory first(device(), 64, "a test");
  void *data = first.data();
  DeviceMemory second = std::move(first);
  EXPECT_EQ(first.data(), nullptr);
  EXPECT_EQ(second.data(), data);
  first = std::move(second);
  EXPECT_EQ(first.data(), data);
}

TEST_P(DeviceTest, TooMuchMemoryIsAnErrorThatNamesIt) {
  try {
    DeviceMemory memory(device(), uint64_t{1} << 56, "the cache of a test");
    ADD_FAILURE() << "64 PiB";
  } catch (const Error &error) {
    EXPECT_EQ(error.kind, ErrorKind::Memory);
    EXPECT_THAT(error.what(), HasSubstr("of the cache of a test"));
  }
}

TEST_P(DeviceTest, KnowsItsFreeMemory) {
  const uint64_t before = device().freeMemory(), bytes = uint64_t{256} << 20;
  EXPECT_GT(before, 0u);
  EXPECT_LT(before, uint64_t{1} << 50);
  if (device().isHost()) // where other programs come and go
    return;
  DeviceMemory memory(device(), bytes, "a test");
  EXPECT_LE(device().freeMemory(), before - bytes);
}

TEST_P(DeviceTest, ReadsAtARate) {
  if (device().isHost()) { // which ReadCeiling.h measures
    EXPECT_EQ(device().readCeiling(1u << 20), 0);
    return;
  }
  // Every GPU that runs engines has memory of more than 100 GB/s, none has 100
  // TB/s.
  double rate = device().readCeiling(1u << 30);
  EXPECT_GT(rate, 1e11);
  EXPECT_LT(rate, 1e14);
}

TEST_P(DeviceTest, AStopwatchMarksPointsOfTheWork) {
  std::unique_ptr<Stopwatch> watch = device().makeStopwatch();
  EXPECT_TRUE(watch->take().empty());
  const size_t count = 1 << 20;
  DeviceMemory memory(device(), count * 4, "a test");
  std::vector<uint32_t> sent = numbers(count);
  for (int round = 0; round < 2; ++round) {
    watch->mark();
    device().upload(memory.data(), sent.data(), count * 4);
    watch->mark();
    watch->mark();
    device().wait();
    std::vector<double> points = watch->take();
    ASSERT_EQ(points.size(), 3u);
    EXPECT_EQ(points[0], 0);
    EXPECT_GT(points[1], 0);
    EXPECT_LT(points[1], 10);
    EXPECT_GE(points[2], points[1]);
  }
}

INSTANTIATE_TEST_SUITE_P(Drivers, DeviceTest, testing::Values("cpu", "cuda"),
                         [](const auto &driver) {
                           return std::string(driver.param);
                         });

TEST(CudaDevice, ErrorsSayWhatToDo) {
  try {
    openCudaDevice(999);
    ADD_FAILURE() << "device 999";
  } catch (const Error &error) {
    EXPECT_EQ(error.kind, ErrorKind::User);
    EXPECT_THAT(error.what(), HasSubstr("no cuda device"));
  }
}

} // namespace
