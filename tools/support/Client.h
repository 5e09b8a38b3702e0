// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The C API as the command-line tools use it: handles that close themselves,
// failures as exceptions, exit codes.
#ifndef FDPP_TOOLS_SUPPORT_CLIENT_H
#define FDPP_TOOLS_SUPPORT_CLIENT_H

#include "fdpp-runtime/fdpp.h"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace fdpp::tools {

constexpr int kUserError = 1, kInternalError = 70, kInterrupted = 130;

/// One lower-case line and the exit code it leads to.
class Failure : public std::runtime_error {
public:
  Failure(int exitCode, const std::string &message)
      : std::runtime_error(message), exitCode(exitCode) {}
  const int exitCode;
};

[[noreturn]] inline void fail(const std::string &message) {
  throw Failure(kUserError, message);
}

/// Throws what a call of the C API left behind.
void check(fdpp_result result);

/// A struct of the C API, zero but for its size.
template <typename T> T sized() {
  T value = {};
  value.struct_size = sizeof(T);
  return value;
}

using Engine = std::unique_ptr<fdpp_engine, void (*)(fdpp_engine *)>;
using Session = std::unique_ptr<fdpp_session, void (*)(fdpp_session *)>;

Engine openEngine(const std::string &folder, bool verify);
Session createSession(const Engine &engine,
                      const fdpp_session_options &options);
fdpp_engine_info infoOf(const Engine &engine);
fdpp_plan planOf(const Engine &engine, const fdpp_session_options &options);
fdpp_stats statsOf(const Session &session);
fdpp_sequence *createSequence(const Session &session, uint64_t id);
std::vector<int32_t> tokenize(const Engine &engine, const std::string &text,
                              bool addSpecial);
std::string detokenize(const Engine &engine,
                       const std::vector<int32_t> &tokens);
struct Message {
  std::string role, text;
};
std::string applyChat(const Engine &engine,
                      const std::vector<Message> &messages);

/// The bytes of a file or pipe, "-" is stdin; `what` names it in a failure.
std::string readFile(const std::string &path, const std::string &what);

/// Runs a tool's main: turns failures into one line on stderr, which begins
/// with the tool's name, and an exit code; notices a full disk on stdout.
int runTool(const char *name, const std::function<int()> &body);

/// While one lives, the first Ctrl-C makes interrupted() true and running calls
/// end soon. The second ends the process at once with 130.
class InterruptGuard {
public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard &) = delete;
  InterruptGuard &operator=(const InterruptGuard &) = delete;
};

/// From now on Ctrl-C ends the process with 130, but for the guards.
void exitOnInterrupt();
bool interrupted();

} // namespace fdpp::tools

#endif // FDPP_TOOLS_SUPPORT_CLIENT_H
