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
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <limits>
#include <sched.h>
#include <thread>
#include <utility>

using namespace fdpp::runtime;

namespace {

TEST(ThreadTeamTest, EveryThreadRunsOnceEachTime) {
  for (int32_t size : {1, 2, 3, 8}) {
    ThreadTeam team(size, TeamWidth::All);
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
  ThreadTeam team(3, TeamWidth::All);
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
  ThreadTeam team(4, TeamWidth::All);
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
  ThreadTeam team(2, TeamWidth::All);
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
  ThreadTeam team(4, TeamWidth::All);
  team.parallel([](void *, int32_t, int32_t) {}, nullptr);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  double cpu = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  EXPECT_LT(cpu, 0.02); // of 4 x 0.5 s
}

TEST(ThreadTeamTest, MoreThreadsThanCoresStillFinishSoon) {
  auto start = std::chrono::steady_clock::now();
  ThreadTeam team(physicalCores() * 8, TeamWidth::All);
  std::atomic<int64_t> runs{0};
  for (int i = 0; i < 200; ++i)
    team.parallel([](void *ctx, int32_t,
                     int32_t) { ++*static_cast<std::atomic<int64_t> *>(ctx); },
                  &runs);
  EXPECT_EQ(runs, int64_t{200} * team.size());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

/// Runs `body` on the first CPU of this thread's affinity mask alone.
template <class Body> void onOneCpu(Body body) {
  cpu_set_t all, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &all))
      CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  body();
  ASSERT_EQ(sched_setaffinity(0, sizeof(all), &all), 0);
}

/// How many threads of a team take part.
int32_t widthOf(ThreadTeam &team) {
  std::atomic<int32_t> width{0}, ran{0};
  std::pair counts(&width, &ran);
  team.parallel(
      [](void *ctx, int32_t, int32_t count) {
        auto [width, ran] = *static_cast<decltype(counts) *>(ctx);
        *width = count;
        ++*ran;
      },
      &counts);
  EXPECT_EQ(width, ran);
  return width;
}

TEST(ThreadTeamTest, AsManyWorkAsThereAreProcessors) {
  const int32_t all = processorsFor(cgroupQuota());
  ThreadTeam team(all + 2), every(all + 2, TeamWidth::All);
  EXPECT_EQ(widthOf(team), all);
  EXPECT_EQ(widthOf(every), all + 2);
  onOneCpu([&] { // as `taskset -p` does to a process that runs
    EXPECT_EQ(widthOf(team), 1);
    EXPECT_EQ(widthOf(every), all + 2);
  });
  EXPECT_EQ(widthOf(team), all);
  EXPECT_EQ(team.size(), all + 2);
  setenv("FDPP_ALL_THREADS", "1", 1);
  ThreadTeam asked(all + 2);
  unsetenv("FDPP_ALL_THREADS");
  EXPECT_EQ(widthOf(asked), all + 2);
}

/// Files as the kernel shows them, below a folder of their own.
struct KernelFiles {
  toy::TemporaryFolder folder;
  void put(const std::string &path, const std::string &text) const {
    std::filesystem::path file = folder.path() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  double quota() const { return cgroupQuota(folder.path()); }
};

constexpr double kNoQuota = std::numeric_limits<double>::infinity();

TEST(CpuTopologyTest, QuotasOfCgroupVersion1) {
  KernelFiles files;
  EXPECT_EQ(files.quota(), kNoQuota);
  files.put("/proc/self/mountinfo",
            "30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
            "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
            "32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup "
            "cgroup rw,cpu,cpuacct\n");
  files.put("/proc/self/cgroup",
            "4:memory:/other\n3:cpu,cpuacct:/user.slice/job\n");
  const std::string root = "/sys/fs/cgroup/cpu,cpuacct";
  files.put(root + "/user.slice/job/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(files.quota(), kNoQuota);
  files.put(root + "/user.slice/job/cpu.cfs_quota_us", "250000\n");
  files.put(root + "/user.slice/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(files.quota(), 2.5);
  files.put(root + "/user.slice/cpu.cfs_quota_us", "75000\n");
  files.put(root + "/user.slice/cpu.cfs_period_us", "50000\n");
  EXPECT_EQ(files.quota(), 1.5) << "the tightest level counts";
}

TEST(CpuTopologyTest, QuotasOfCgroupVersion2) {
  KernelFiles files;
  files.put("/proc/self/mountinfo",
            "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
  files.put("/proc/self/cgroup", "0::/system.slice/job.service\n");
  const std::string job = "/sys/fs/cgroup/system.slice/job.service";
  files.put(job + "/cpu.max", "max 100000\n");
  EXPECT_EQ(files.quota(), kNoQuota);
  files.put(job + "/cpu.max", "400000 100000\n");
  EXPECT_EQ(files.quota(), 4);
  files.put("/sys/fs/cgroup/system.slice/cpu.max", "50000 100000\n");
  EXPECT_EQ(files.quota(), 0.5);
}

TEST(CpuTopologyTest, QuotasInsideAContainer) {
  // Docker on version 1: the mount shows the container's own subtree, while
  // /proc/self/cgroup names the path outside.
  KernelFiles files;
  files.put("/proc/self/mountinfo",
            "32 30 0:28 /docker/0123 /sys/fs/cgroup/cpu ro - cgroup cgroup "
            "rw,cpu\n");
  files.put("/proc/self/cgroup", "3:cpu:/docker/0123\n");
  files.put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
  files.put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(files.quota(), 3);
  // On version 2 with a namespace of its own.
  KernelFiles newer;
  newer.put("/proc/self/mountinfo",
            "30 24 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  newer.put("/proc/self/cgroup", "0::/\n");
  newer.put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(newer.quota(), 1.5);
}

TEST(CpuTopologyTest, ThreadsOfACoreAreOneCore) {
  KernelFiles files;
  auto put = [&](int cpu, const char *name, const char *siblings) {
    files.put("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                  "/topology/" + name,
              siblings);
  };
  for (int cpu : {0, 2})
    put(cpu, "core_cpus_list", "0,2\n");
  for (int cpu : {1, 3})
    put(cpu, "thread_siblings_list", "1,3\n"); // before Linux 5.3
  EXPECT_EQ(coresOf({0, 1, 2, 3}, files.folder.path()), 2);
  EXPECT_EQ(coresOf({0, 2}, files.folder.path()), 1);
  EXPECT_EQ(coresOf({0, 8, 9}, files.folder.path()), 3) << "none known of two";
}

TEST(CpuTopologyTest, DefaultsFollowTheAffinityMask) {
  onOneCpu([] {
    EXPECT_EQ(physicalCores(), 1);
    EXPECT_EQ(defaultThreads(), 1);
    EXPECT_EQ(processorsFor(kNoQuota), 1);
  });
  EXPECT_GE(defaultThreads(), 1);
  EXPECT_LE(physicalCores(), processorsFor(kNoQuota));
  EXPECT_EQ(processorsFor(0.5), 1);
  EXPECT_EQ(processorsFor(1.0), 1);
  EXPECT_EQ(processorsFor(1.5), std::min(2, processorsFor(kNoQuota)));
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
