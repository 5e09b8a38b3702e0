// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/Interrupt.h"

#include <csignal>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

static constexpr int kInterrupted = 130;
static char unfinished[4096];

/// Only calls what POSIX allows in a signal handler, hence the other process.
static void handle(int) {
  if (unfinished[0] != '\0') {
    pid_t child = fork();
    if (child == 0) {
      execl("/bin/rm", "rm", "-rf", "--", unfinished, nullptr);
      _exit(1);
    }
    if (child > 0)
      waitpid(child, nullptr, 0);
  }
  static constexpr char message[] = "\nfdpp-compile: interrupted\n";
  (void)!write(STDERR_FILENO, message, sizeof(message) - 1);
  _exit(kInterrupted);
}

void mlir::fdpp::installInterruptHandler() {
  struct sigaction action = {};
  action.sa_handler = handle;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGINT);
  sigaddset(&action.sa_mask, SIGTERM);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A limit on file sizes is an error of a write, not the end.
  signal(SIGXFSZ, SIG_IGN);
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
