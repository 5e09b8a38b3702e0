// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-run on a terminal: a chat that streams, and what Ctrl-C does to it.
#include "ToyEngine.h"

#include <chrono>
#include <csignal>
#include <gmock/gmock.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

using testing::EndsWith;
using testing::HasSubstr;

namespace {

using Clock = std::chrono::steady_clock;

/// fdpp-run as the only program on a terminal of its own.
class Terminal {
public:
  explicit Terminal(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), FDPP_RUN);
    std::vector<char *> argv;
    for (std::string &argument : arguments)
      argv.push_back(argument.data());
    argv.push_back(nullptr);
    child = forkpty(&fd, nullptr, nullptr, nullptr);
    if (child == 0) {
      execv(argv[0], argv.data());
      _exit(127);
    }
  }
  ~Terminal() {
    if (child > 0) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    close(fd);
  }

  /// As if typed; \x03 is Ctrl-C and \x04 Ctrl-D.
  void type(const std::string &text) const {
    ASSERT_EQ(write(fd, text.data(), text.size()), ssize_t(text.size()));
  }

  /// Reads until the screen ends with `text`; false after 20 s or at the end.
  bool readUntil(const std::string &text) {
    while (!screen.ends_with(text))
      if (!readSome())
        return false;
    return true;
  }

  /// Reads what comes at once; false if nothing does for 20 s, or never will.
  bool readSome() {
    pollfd ready{fd, POLLIN, 0};
    if (poll(&ready, 1, 20000) != 1)
      return false;
    char buffer[256];
    ssize_t count = read(fd, buffer, sizeof(buffer));
    if (count <= 0)
      return false;
    screen.append(buffer, count);
    return true;
  }

  /// Waits for the end; the exit code, or -1.
  int exitCode() {
    while (readSome()) {
    }
    int status;
    waitpid(child, &status, 0);
    child = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string screen;

private:
  int fd = -1;
  pid_t child = -1;
};

struct TerminalTest : testing::Test {
  TerminalTest() { engine.addTokenizer(); }

  /// What --chat prints in a pipe, as a terminal shows it.
  std::string answerTo(const std::string &message) const {
    std::string line = std::string(FDPP_RUN) + " " + engine.folder() +
                       " --chat " + message + " -n 12 2>/dev/null </dev/null";
    std::string text, shown;
    FILE *pipe = popen(line.c_str(), "r");
    for (int c; (c = std::fgetc(pipe)) != EOF;)
      text += static_cast<char>(c);
    pclose(pipe);
    for (char c : text)
      shown += c == '\n' ? "\r\n" : std::string(1, c);
    return shown;
  }

  toy::Engine engine{"toy_slow"};
};

TEST_F(TerminalTest, AFolderAloneIsAChat) {
  Terminal terminal({engine.folder(), "-n", "12"});
  ASSERT_TRUE(terminal.readUntil("> ")) << terminal.screen;
  EXPECT_THAT(terminal.screen, HasSubstr("Ctrl-D"));
  terminal.screen.clear();
  terminal.type("hi\n");
  ASSERT_TRUE(terminal.readUntil("hi\r\n")) << terminal.screen; // the echo
  terminal.screen.clear();
  ASSERT_TRUE(terminal.readUntil("\r\n> ")) << terminal.screen;
  EXPECT_EQ(terminal.screen, answerTo("hi") + "> ");
  terminal.type("\x04");
  EXPECT_EQ(terminal.exitCode(), 0);
}

TEST_F(TerminalTest, TheAnswerStreams) {
  Terminal terminal({engine.folder(), "-n", "12"});
  ASSERT_TRUE(terminal.readUntil("> "));
  terminal.type("hi\n");
  ASSERT_TRUE(terminal.readUntil("hi\r\n"));
  terminal.screen.clear();
  // Twelve tokens of 20 ms: the first stands there long before the last.
  ASSERT_TRUE(terminal.readSome());
  Clock::time_point first = Clock::now();
  ASSERT_TRUE(terminal.readUntil("\r\n> ")) << terminal.screen;
  EXPECT_GT(Clock::now() - first, std::chrono::milliseconds(100));
}

TEST_F(TerminalTest, CtrlCEndsTheAnswerThenTheChat) {
  Terminal terminal({engine.folder()});
  ASSERT_TRUE(terminal.readUntil("> "));
  terminal.type("hi\n");
  ASSERT_TRUE(terminal.readUntil("hi\r\n"));
  terminal.screen.clear();
  ASSERT_TRUE(terminal.readSome());
  terminal.type("\x03");
  ASSERT_TRUE(terminal.readUntil("> ")) << terminal.screen;
  EXPECT_LT(terminal.screen.size(), answerTo("hi").size() + 4);
  terminal.type("\x03");
  EXPECT_EQ(terminal.exitCode(), 130);
}

TEST_F(TerminalTest, CtrlCEndsARunWithWhatItHas) {
  Terminal terminal({engine.folder(), "-p", "hi"});
  ASSERT_TRUE(terminal.readSome());
  terminal.type("\x03");
  EXPECT_EQ(terminal.exitCode(), 130);
  EXPECT_THAT(terminal.screen, testing::Not(HasSubstr("next:")));
}

} // namespace
