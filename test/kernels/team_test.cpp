// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "support.h"

#include <gtest/gtest.h>

#include <chrono>

using namespace fdpp;
using namespace fdpp::test;

namespace {

/// After each barrier every thread must see what all wrote before it.
void expect_ordered(int threads, int rounds) {
  std::vector<int> value(size_t(threads) * 64, -1);
  std::atomic<int> wrong{0};
  on_team(threads, [&](cpu::Team &team) {
    for (int round = 0; round < rounds; ++round) {
      value[size_t(team.index) * 64] = round;
      team.barrier();
      for (int i = 0; i < threads; ++i)
        wrong += value[size_t(i) * 64] != round;
      team.barrier();
    }
  });
  EXPECT_EQ(0, wrong.load());
}

TEST(Team, BarrierOrdersWrites) {
  for (int threads = 1; threads <= 4; ++threads)
    expect_ordered(threads, 2000);
}

TEST(Team, ManyMoreThreadsThanProcessorsFinish) {
  expect_ordered(int(std::thread::hardware_concurrency()) * 4 + 1, 100);
}

TEST(Team, SleepersWake) {
  std::atomic<int> wrong{0};
  int value = 0;
  on_team(3, [&](cpu::Team &team) {
    for (int round = 1; round <= 10; ++round) {
      if (team.index == round % 3) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        value = round;
      }
      team.barrier();
      wrong += value != round;
      team.barrier();
    }
  });
  EXPECT_EQ(0, wrong.load());
}

TEST(Team, TicketsAreTakenOnceAndStartAgain) {
  std::vector<std::atomic<int>> taken(500);
  on_team(4, [&](cpu::Team &team) {
    for (int round = 0; round < 5; ++round) {
      for (int i = team.take(); i < 500; i = team.take())
        ++taken[size_t(i)];
      team.barrier();
    }
  });
  for (const std::atomic<int> &count : taken)
    EXPECT_EQ(5, count.load());
}

TEST(Team, AllThreadsSeeAFlagOfTheirRound) {
  on_team(4, [&](cpu::Team &team) {
    for (int round = 0; round < 2000; ++round) {
      bool flag = round % 7 == 2 || round % 11 < 2;
      if (flag && team.index == round % 4)
        team.raise();
      team.barrier();
      EXPECT_EQ(flag, team.raised()) << round;
    }
  });
}

TEST(Team, SharesCoverAndDifferByOne) {
  for (int count = 1; count < 20; ++count)
    for (int items = 0; items < 100; ++items) {
      int next = 0;
      for (int i = 0; i < count; ++i) {
        cpu::Range range = cpu::Team::share(items, i, count);
        EXPECT_EQ(next, range.begin);
        EXPECT_LE(range.end - range.begin, items / count + 1);
        EXPECT_GE(range.end - range.begin, items / count);
        next = range.end;
      }
      EXPECT_EQ(items, next);
    }
}

} // namespace
