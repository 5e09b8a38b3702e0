// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/Interrupt.h"

#include <atomic>
#include <csignal>
#include <cstring>
#include <initializer_list>
#include <sys/wait.h>
#include <unistd.h>

static constexpr int kInternalError = 70, kInterrupted = 130;
static char unfinished[4096];
static char stage[128];
// While held, an interrupt only leaves its mark.
static std::atomic<bool> held, interrupted;

// What follows only calls what POSIX allows in a signal handler.

/// By another process: removing folders is not allowed in this one. Again
/// where another thread has just put a file into it.
static void removeUnfinished() {
  if (unfinished[0] == '\0')
    return;
  for (int times = 0; times < 5 && access(unfinished, F_OK) == 0; ++times) {
    pid_t child = fork();
    if (child == 0) {
      execl("/bin/rm", "rm", "-rf", "--", unfinished, nullptr);
      _exit(1);
    }
    if (child > 0)
      waitpid(child, nullptr, 0);
  }
}

static void say(const char *text) {
  (void)!write(STDERR_FILENO, text, std::strlen(text));
}

static void handleInterrupt(int) {
  if (held) {
    interrupted = true;
    return;
  }
  removeUnfinished();
  say("\nfdpp-compile: interrupted\n");
  _exit(kInterrupted);
}

static const char *nameOf(int signal) {
  switch (signal) {
  case SIGSEGV:
    return "segmentation fault";
  case SIGBUS:
    return "bus error";
  case SIGFPE:
    return "arithmetic fault";
  case SIGILL:
    return "illegal instruction";
  default:
    return "aborted";
  }
}

/// A crash inside of a pass does not come here: the pass manager catches it and
/// writes a reproducer.
static void handleCrash(int signal) {
  removeUnfinished();
  if (isatty(STDERR_FILENO)) // where a line of progress may stand
    say("\n");
  say("fdpp-compile: internal error: ");
  say(nameOf(signal));
  if (stage[0] != '\0') {
    say(" while ");
    say(stage);
  }
  say("; report it with the command and the graph\n");
  _exit(kInternalError);
}

static void install(void (*handler)(int), std::initializer_list<int> signals) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (int signal : signals)
    sigaddset(&action.sa_mask, signal);
  for (int signal : signals)
    sigaction(signal, &action, nullptr);
}

void mlir::fdpp::installInterruptHandler() {
  install(handleInterrupt, {SIGINT, SIGTERM});
  // A stack of its own, for when the other one is full.
  static char memory[1 << 16];
  stack_t stack = {};
  stack.ss_sp = memory;
  stack.ss_size = sizeof(memory);
  sigaltstack(&stack, nullptr);
  install(handleCrash, {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT});
  // A limit on file sizes is an error of a write, not the end.
  signal(SIGXFSZ, SIG_IGN);
}

void mlir::fdpp::noteStage(llvm::StringRef name) {
  name = name.take_front(sizeof(stage) - 1);
  std::memcpy(stage, name.data(), name.size());
  stage[name.size()] = '\0';
}

mlir::fdpp::HeldInterrupts::HeldInterrupts() { held = true; }

mlir::fdpp::HeldInterrupts::~HeldInterrupts() {
  held = false;
  if (interrupted)
    handleInterrupt(SIGINT);
}

void mlir::fdpp::removeOnInterrupt(llvm::StringRef folder) {
  unfinished[0] = '\0';
  if (folder.size() >= sizeof(unfinished))
    return;
  // The first byte last: the handler never sees half a name.
  if (folder.empty())
    return;
  std::memcpy(unfinished + 1, folder.data() + 1, folder.size() - 1);
  unfinished[folder.size()] = '\0';
  unfinished[0] = folder[0];
}
