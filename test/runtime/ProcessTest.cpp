// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sessions that share a process or are forked into another, and idle ones.
#include "Engine.h"
#include "Error.h"
#include "ToyEngine.h"
#include "ToyFormula.h"

#include <chrono>
#include <functional>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace fdpp::runtime;
using testing::HasSubstr;

namespace {

/// Steps tokens one by one and compares each row of logits with the formula.
bool continues(Session &session, Sequence *sequence, int32_t count) {
  std::vector<int32_t> all = sequence->tokens();
  for (int32_t i = 0; i < count; ++i) {
    auto token = static_cast<int32_t>((7 * all.size() + i) % toy::kVocab);
    StepItem item{sequence, &token, 1, true};
    session.step(&item, 1);
    all.push_back(token);
    const float *logits = session.logits(sequence);
    if (!logits ||
        std::vector<float>(logits, logits + toy::kVocab) != toy::reference(all))
      return false;
  }
  return true;
}

/// Runs `body` in a forked process, which is killed if it hangs; true if it
/// returned true there.
bool inChild(const std::function<bool()> &body) {
  pid_t child = fork();
  if (child == 0) {
    alarm(30);
    bool ok = false;
    try {
      ok = body();
    } catch (const std::exception &error) {
      std::fprintf(stderr, "in the child: %s\n", error.what());
    }
    _exit(ok ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct ProcessTest : testing::Test {
  static void SetUpTestSuite() { setenv("FDPP_ALL_THREADS", "1", 1); }
  static void TearDownTestSuite() { unsetenv("FDPP_ALL_THREADS"); }
  toy::Engine folder;
  Engine engine{folder.folder(), false};
  SessionOptions options{.threads = 3, .context = 64, .sequences = 2};
};
using ForkTest = ProcessTest;

TEST_F(ForkTest, ASessionGoesOnInTheChildAndInTheParent) {
  Session session(engine.view(), options);
  Sequence *sequence = session.createSequence(0);
  ASSERT_TRUE(continues(session, sequence, 5));
  for (int round = 0; round < 3; ++round)
    EXPECT_TRUE(inChild([&] {
      // A child of the child too.
      return continues(session, sequence, 5) &&
             inChild([&] { return continues(session, sequence, 5); });
    }));
  EXPECT_TRUE(continues(session, sequence, 5));
}

TEST_F(ForkTest, TheChildMakesAndDropsSessions) {
  auto session = std::make_unique<Session>(engine.view(), options);
  EXPECT_TRUE(inChild([&] {
    session.reset(); // without its threads
    Session own(engine.view(), options);
    return continues(own, own.createSequence(0), 5);
  }));
  EXPECT_TRUE(continues(*session, session->createSequence(0), 5));
}

TEST_F(ForkTest, TheChildOpensTheEngineAgain) {
  folder.addTokenizer();
  folder.write();
  Engine whole(folder.folder(), false);
  EXPECT_TRUE(inChild([&] {
    Engine again(folder.folder(), true);
    return bool(whole.tokenizer().encode("a", false)) && again.hasChat();
  }));
}

TEST_F(ForkTest, ASessionForkedInTheMiddleOfAStepSaysSo) {
  toy::Engine slowFolder("toy_slow"); // 20 ms a step
  Engine slow(slowFolder.folder(), false);
  Session session(slow.view(), options);
  Sequence *sequence = session.createSequence(0);
  std::atomic<bool> begun{false};
  std::vector<int32_t> tokens(60, 1); // eight model steps
  std::thread other([&] {
    begun = true;
    StepItem item{sequence, tokens.data(), 60, true};
    session.step(&item, 1);
  });
  while (!begun)
    std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(40));
  EXPECT_TRUE(inChild([&] {
    StepItem item{sequence, tokens.data(), 1, true};
    try {
      session.step(&item, 1);
    } catch (const Error &error) {
      return std::string(error.what()) ==
             "the session was in a step when this process was forked; make "
             "another session here";
    }
    return false;
  }));
  StepItem item{sequence, tokens.data(), 1, true};
  try {
    session.step(&item, 1);
    ADD_FAILURE() << "two steps at once";
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("in a step already"));
  }
  other.join();
  EXPECT_EQ(sequence->length(), 60);
}

TEST_F(ProcessTest, TwoEnginesInTwoThreads) {
  toy::Engine otherFolder;
  Engine otherEngine(otherFolder.folder(), false);
  std::atomic<int32_t> right{0};
  auto use = [&](const Engine &mine) {
    for (int round = 0; round < 5; ++round) {
      Session session(mine.view(), options);
      right += continues(session, session.createSequence(0), 40);
    }
  };
  std::thread first(use, std::cref(engine)),
      second(use, std::cref(otherEngine)), third(use, std::cref(engine));
  first.join();
  second.join();
  third.join();
  EXPECT_EQ(right, 15);
}

TEST_F(ProcessTest, TheTokenizerIsLoadedOnceAskedFor) {
  folder.addTokenizer();
  folder.write();
  Engine whole(folder.folder(), false);
  std::vector<const void *> found(4);
  std::vector<std::thread> threads;
  for (const void *&slot : found)
    threads.emplace_back([&] { slot = &whole.tokenizer(); });
  for (std::thread &thread : threads)
    thread.join();
  for (const void *slot : found)
    EXPECT_EQ(slot, &whole.tokenizer());
}

double cpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval &time) {
    return static_cast<double>(time.tv_sec) +
           static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

TEST_F(ProcessTest, AfterAStepTheTeamSleeps) {
  Session session(engine.view(), options);
  Sequence *sequence = session.createSequence(0);
  double least = 1;
  for (int round = 0; round < 5; ++round) { // the best: others may interfere
    ASSERT_TRUE(continues(session, sequence, 3));
    double before = cpuSeconds();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    least = std::min(least, cpuSeconds() - before);
  }
  // Two waiting threads that spin for 200 us each, and what it takes to sleep.
  EXPECT_LT(least, 2 * 200e-6 + 1e-3);
}

} // namespace
