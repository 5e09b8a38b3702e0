// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The CPU device: thread team, topology, features.
#include "CpuFeatures.h"
#include "CpuTopology.h"
#include "ReadCeiling.h"
#include "ThreadTeam.h"
#include "ToyEngine.h"

#include <atomic>
#include <chrono>
#include <climits>
#include <ctime>
#include <fstream>
#include <gtest/gtest.h>
#include <numeric>

using namespace fdpp::runtime;

namespace {

TEST(ThreadTeamTest, EveryThreadRunsOnceEachTime) {
  for (int32_t size : {1, 2, 3, 8}) {
    ThreadTeam team(size);
    ASSERT_EQ(team.size(), size);
    std::vector<int64_t> hits(size); // plain: the team must order them
    for (int round = 0; round < 200; ++round)
      team.parallel(
          [](void *ctx, int32_t index, int32_t count) {
            auto &hits = *static_cast<std::vector<int64_t> *>(ctx);
            ASSERT_EQ(count, static_cast<int32_t>(hits.size()));
            ++hits[index];
          },
          &hits);
    for (int64_t count : hits)
      EXPECT_EQ(count, 200);
  }
}

TEST(ThreadTeamTest, TheExecutorIsTheTeam) {
  ThreadTeam team(3);
  const fdpp_executor &executor = team.executor();
  EXPECT_EQ(executor.struct_size, sizeof(fdpp_executor));
  EXPECT_EQ(executor.threads, 3);
  std::atomic<int32_t> sum{0};
  executor.parallel(
      executor.self,
      [](void *ctx, int32_t index, int32_t) {
        *static_cast<std::atomic<int32_t> *>(ctx) += 1 + index;
      },
      &sum);
  EXPECT_EQ(sum, 6);
}

TEST(ThreadTeamTest, WorkIsSeenAfterALongPause) {
  // Long enough that every worker sleeps in the kernel.
  ThreadTeam team(4);
  std::atomic<int32_t> runs{0};
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    team.parallel([](void *ctx, int32_t,
                     int32_t) { ++*static_cast<std::atomic<int32_t> *>(ctx); },
                  &runs);
  }
  EXPECT_EQ(runs, 20);
}

TEST(ThreadTeamTest, TheCallerSleepsTooWhenOthersTakeLong) {
  ThreadTeam team(2);
  std::clock_t before = std::clock();
  team.parallel(
      [](void *, int32_t index, int32_t) {
        if (index == 1)
          std::this_thread::sleep_for(std::chrono::milliseconds(300));
      },
      nullptr);
  double cpu = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  EXPECT_LT(cpu, 0.1);
}

TEST(ThreadTeamTest, AnIdleTeamUsesNoCpu) {
  ThreadTeam team(4);
  team.parallel([](void *, int32_t, int32_t) {}, nullptr);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  double cpu = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  EXPECT_LT(cpu, 0.02); // of 4 x 0.5 s
}

TEST(ThreadTeamTest, MoreThreadsThanCoresStillFinishSoon) {
  auto start = std::chrono::steady_clock::now();
  ThreadTeam team(physicalCores() * 8);
  std::atomic<int64_t> runs{0};
  for (int i = 0; i < 200; ++i)
    team.parallel([](void *ctx, int32_t,
                     int32_t) { ++*static_cast<std::atomic<int64_t> *>(ctx); },
                  &runs);
  EXPECT_EQ(runs, int64_t{200} * team.size());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(CpuTopologyTest, QuotasOfBothCgroupVersionsAreRead) {
  toy::TemporaryFolder folder;
  auto put = [&](const std::string &name, const std::string &text) {
    std::ofstream(folder.path() + "/" + name) << text;
  };
  EXPECT_EQ(quotaOf(folder.path()), INT_MAX);
  put("cpu.cfs_quota_us", "250000\n");
  put("cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quotaOf(folder.path()), 2);
  put("cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(quotaOf(folder.path()), INT_MAX);
  put("cpu.max", "max 100000\n");
  EXPECT_EQ(quotaOf(folder.path()), INT_MAX);
  put("cpu.max", "400000 100000\n");
  EXPECT_EQ(quotaOf(folder.path()), 4);
  put("cpu.max", "50000 100000\n"); // half a CPU: one thread
  EXPECT_EQ(quotaOf(folder.path()), 1);
}

TEST(CpuTopologyTest, DefaultsFollowTheAffinityMask) {
  cpu_set_t all, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &all))
      CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(physicalCores(), 1);
  EXPECT_EQ(defaultThreads(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(all), &all), 0);
  EXPECT_GE(defaultThreads(), 1);
  EXPECT_LE(physicalCores(), CPU_COUNT(&all));
}

TEST(CpuTopologyTest, AvailableMemoryIsPlausible) {
  EXPECT_GT(availableMemory(), uint64_t{16} << 20);
  EXPECT_LT(availableMemory(), uint64_t{1} << 50);
}

#if defined(__x86_64__)
TEST(CpuFeaturesTest, AgreeWithTheCompilersOwnCheck) {
  __builtin_cpu_init();
  auto same = [](const char *name, bool present) {
    EXPECT_EQ(cpuFeature(name) == FeatureState::Present, present) << name;
  };
  same("sse2", __builtin_cpu_supports("sse2"));
  same("sse4.1", __builtin_cpu_supports("sse4.1"));
  same("sse4.2", __builtin_cpu_supports("sse4.2"));
  same("popcnt", __builtin_cpu_supports("popcnt"));
  same("avx", __builtin_cpu_supports("avx"));
  same("avx2", __builtin_cpu_supports("avx2"));
  same("fma", __builtin_cpu_supports("fma"));
  same("f16c", __builtin_cpu_supports("f16c"));
  same("bmi", __builtin_cpu_supports("bmi"));
  same("bmi2", __builtin_cpu_supports("bmi2"));
  same("avx512f", __builtin_cpu_supports("avx512f"));
  same("avx512bw", __builtin_cpu_supports("avx512bw"));
  same("avx512vl", __builtin_cpu_supports("avx512vl"));
  same("avx512dq", __builtin_cpu_supports("avx512dq"));
  same("avx512bf16", __builtin_cpu_supports("avx512bf16"));
  same("avx512vnni", __builtin_cpu_supports("avx512vnni"));
  same("gfni", __builtin_cpu_supports("gfni"));
  same("amx-bf16", __builtin_cpu_supports("amx-bf16"));
  EXPECT_EQ(cpuFeature("warp-drive"), FeatureState::Unknown);
}
#endif

TEST(ReadCeilingTest, MoreWorkTakesLonger) {
  ThreadTeam team(2);
  ReadCeiling ceiling(1 << 26);
  EXPECT_GT(ceiling.measure(team), 1e8);
}

} // namespace
