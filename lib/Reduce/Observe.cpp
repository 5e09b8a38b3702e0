// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a pipeline does to a module, seen from outside: a pass under suspicion
// may crash or never end, so it runs in a child process on its copy of memory.

#include "fdpp/Reduce/Reduce.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <csignal>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace mlir;
using namespace mlir::fdpp;

/// "%12 of tensor<64xf32>" becomes "%# of tensor<#xf#>".
static std::string withoutNumbers(StringRef text) {
  std::string out;
  for (char c : text.split('\n').first)
    if (!llvm::isDigit(c))
      out += c;
    else if (out.empty() || out.back() != '#')
      out += '#';
  return out;
}

/// What the child has to say: the first error, or nothing.
static std::string runPasses(ModuleOp module, StringRef pipeline) {
  std::string first;
  MLIRContext *context = module.getContext();
  ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
    if (first.empty() && diagnostic.getSeverity() == DiagnosticSeverity::Error)
      first = "error: " + withoutNumbers(diagnostic.str());
  });
  FailureOr<OpPassManager> passes = parsePassPipeline(pipeline, llvm::nulls());
  if (failed(passes))
    return "";
  PassManager manager(context);
  static_cast<OpPassManager &>(manager) = std::move(*passes);
  if (succeeded(manager.run(module)))
    return "";
  return first.empty() ? "error: without a message" : first;
}

/// Leaves in the child as few traces as possible: the default reaction to a
/// crash, no stack dump, an end after `seconds`.
[[noreturn]] static void beChild(const Reproducer &reproducer, int pipe,
                                 unsigned seconds) {
  for (int signal :
       {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGALRM})
    std::signal(signal, SIG_DFL);
  int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  dup2(null, STDERR_FILENO);
  alarm(seconds);
  std::string said = runPasses(*reproducer.module, reproducer.pipeline());
  size_t done = 0;
  while (done < said.size()) {
    ssize_t wrote = write(pipe, said.data() + done, said.size() - done);
    if (wrote <= 0)
      break;
    done += wrote;
  }
  _exit(0);
}

static std::string readAll(int pipe) {
  std::string text;
  char part[1024];
  for (;;) {
    ssize_t got = read(pipe, part, sizeof(part));
    if (got > 0)
      text.append(part, got);
    else if (got == 0 || errno != EINTR)
      return text;
  }
}

std::string mlir::fdpp::observeFailure(const Reproducer &reproducer,
                                       unsigned seconds) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    llvm::report_fatal_error("cannot create a pipe");
  pid_t child = fork();
  if (child < 0)
    llvm::report_fatal_error("cannot start a process");
  if (child == 0)
    beChild(reproducer, ends[1], seconds);
  close(ends[1]);
  std::string said = readAll(ends[0]);
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    continue;
  if (WIFSIGNALED(status))
    return "signal " + std::to_string(WTERMSIG(status));
  return said;
}
