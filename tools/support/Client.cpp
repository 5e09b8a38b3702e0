// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Client.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <unistd.h>

namespace fdpp::tools {

void check(fdpp_result result) {
  switch (result) {
  case FDPP_OK:
    return;
  case FDPP_CANCELLED:
    throw Failure(kInterrupted, "interrupted");
  case FDPP_ERROR_INTERNAL:
    throw Failure(kInternalError, fdpp_last_error());
  default:
    throw Failure(kUserError, fdpp_last_error());
  }
}

Engine openEngine(const std::string &folder, bool verify) {
  auto options = sized<fdpp_engine_options>();
  options.verify = verify;
  fdpp_engine *engine = nullptr;
  check(fdpp_engine_open(folder.c_str(), &options, &engine));
  return {engine, fdpp_engine_close};
}

Session createSession(const Engine &engine,
                      const fdpp_session_options &options) {
  fdpp_session *session = nullptr;
  check(fdpp_session_create(engine.get(), &options, &session));
  return {session, fdpp_session_destroy};
}

fdpp_engine_info infoOf(const Engine &engine) {
  auto info = sized<fdpp_engine_info>();
  check(fdpp_engine_get_info(engine.get(), &info));
  return info;
}

fdpp_plan planOf(const Engine &engine, const fdpp_session_options &options) {
  auto plan = sized<fdpp_plan>();
  check(fdpp_engine_plan(engine.get(), &options, &plan));
  return plan;
}

fdpp_stats statsOf(const Session &session) {
  auto stats = sized<fdpp_stats>();
  check(fdpp_session_get_stats(session.get(), &stats));
  return stats;
}

fdpp_sequence *createSequence(const Session &session, uint64_t id) {
  fdpp_sequence *sequence = nullptr;
  check(fdpp_sequence_create(session.get(), id, &sequence));
  return sequence;
}

std::vector<int32_t> tokenize(const Engine &engine, const std::string &text,
                              bool addSpecial) {
  // No text makes more tokens than bytes, beside a few special ones.
  std::vector<int32_t> tokens(text.size() + 16);
  size_t count = 0;
  check(fdpp_tokenize(engine.get(), text.data(), text.size(), addSpecial,
                      tokens.data(), tokens.size(), &count));
  if (count > tokens.size()) {
    tokens.resize(count);
    check(fdpp_tokenize(engine.get(), text.data(), text.size(), addSpecial,
                        tokens.data(), tokens.size(), &count));
  }
  tokens.resize(count);
  return tokens;
}

std::string detokenize(const Engine &engine,
                       const std::vector<int32_t> &tokens) {
  size_t bytes = 0;
  check(fdpp_detokenize(engine.get(), tokens.data(), tokens.size(), 1, nullptr,
                        0, &bytes));
  std::string text(bytes, '\0');
  check(fdpp_detokenize(engine.get(), tokens.data(), tokens.size(), 1,
                        text.data(), bytes, &bytes));
  return text;
}

std::string applyChat(const Engine &engine,
                      const std::vector<Message> &messages) {
  std::vector<fdpp_message> turns;
  for (const Message &message : messages) {
    auto turn = sized<fdpp_message>();
    turn.role = message.role.c_str();
    turn.text = message.text.data();
    turn.bytes = message.text.size();
    turns.push_back(turn);
  }
  size_t bytes = 0;
  check(fdpp_apply_chat(engine.get(), turns.data(), turns.size(), 1, nullptr, 0,
                        &bytes));
  std::string text(bytes, '\0');
  size_t written = 0;
  check(fdpp_apply_chat(engine.get(), turns.data(), turns.size(), 1,
                        text.data(), bytes, &written));
  text.resize(std::min(bytes, written)); // the date inside may have changed
  return text;
}

std::string readFile(const std::string &path, const std::string &what) {
  std::unique_ptr<FILE, int (*)(FILE *)> file(
      std::fopen(path == "-" ? "/dev/stdin" : path.c_str(), "rb"), std::fclose);
  std::string text, part(1 << 16, '\0');
  while (size_t count =
             file ? std::fread(part.data(), 1, part.size(), file.get()) : 0)
    text.append(part, 0, count);
  if (!file || std::ferror(file.get()))
    fail(path + ": cannot read " + what + " (" + std::strerror(errno) + ")");
  return text;
}

int runTool(const char *name, const std::function<int()> &body) {
  auto report = [&](const char *message, int code) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s: %s\n", name, message);
    return code;
  };
  try {
    int code = body();
    if (std::fflush(stdout) != 0 || std::ferror(stdout))
      return report(
          (std::string("cannot write the output: ") + std::strerror(errno))
              .c_str(),
          kUserError);
    return code;
  } catch (const Failure &failure) {
    return report(failure.what(), failure.exitCode);
  } catch (const std::bad_alloc &) {
    return report("out of memory; ask for less at once", kUserError);
  } catch (const std::exception &error) {
    return report(error.what(), kInternalError);
  }
}

static volatile std::sig_atomic_t guarded = 0, interrupts = 0;

void exitOnInterrupt() {
  struct sigaction action = {};
  action.sa_handler = [](int) {
    interrupts = interrupts + 1;
    if (!guarded || interrupts > 1)
      _exit(kInterrupted);
  };
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

InterruptGuard::InterruptGuard() {
  interrupts = 0;
  guarded = 1;
}
InterruptGuard::~InterruptGuard() { guarded = 0; }

bool interrupted() { return interrupts != 0; }

} // namespace fdpp::tools
