// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Run.h"

#include "Progress.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <optional>

namespace fdpp::tools {
namespace {

class Chat {
public:
  Chat(const RunOptions &options, const Engine &engine)
      : options(options), engine(engine),
        session(createSession(engine, options.session)),
        sequence(createSequence(session, 0)) {}

  /// Answers one message; the answer streams to stdout.
  void answer(const std::string &text);
  const Session &owner() const { return session; }

private:
  std::vector<int32_t> prompt();
  static int32_t onToken(void *ctx, size_t index, int32_t token,
                         const char *text, size_t bytes);

  const RunOptions &options;
  const Engine &engine;
  const Session session;
  fdpp_sequence *const sequence;
  std::vector<Message> messages;
  std::optional<Progress> progress;
  std::string answered;
};

/// The conversation as tokens, without those the cache holds already. While it
/// leaves no room for an answer, its oldest exchange is forgotten.
std::vector<int32_t> Chat::prompt() {
  const auto room =
      static_cast<size_t>(planOf(engine, options.session).context);
  std::vector<int32_t> tokens;
  while (true) {
    tokens = tokenize(engine, applyChat(engine, messages), false);
    if (tokens.size() < room)
      break;
    size_t first = messages.front().role == "system";
    if (messages.size() - first < 3) {
      messages.pop_back();
      fail("the message does not fit the context of " + std::to_string(room) +
           " tokens; shorten it or start with a larger -c");
    }
    messages.erase(messages.begin() + first, messages.begin() + first + 2);
    std::fprintf(stderr, "(the context is full: the oldest exchange is "
                         "forgotten)\n");
  }
  const int32_t *known = fdpp_sequence_tokens(sequence);
  // The last token must run again: its logits begin the answer.
  size_t most =
      std::min<size_t>(fdpp_sequence_length(sequence), tokens.size() - 1);
  auto common =
      std::mismatch(known, known + most, tokens.begin()).first - known;
  check(fdpp_sequence_truncate(sequence, static_cast<int32_t>(common)));
  tokens.erase(tokens.begin(), tokens.begin() + common);
  return tokens;
}

int32_t Chat::onToken(void *ctx, size_t, int32_t, const char *text,
                      size_t bytes) {
  Chat &chat = *static_cast<Chat *>(ctx);
  chat.progress.reset();
  chat.answered.append(text, bytes);
  std::fwrite(text, 1, bytes, stdout);
  std::fflush(stdout);
  return interrupted();
}

void Chat::answer(const std::string &text) {
  messages.push_back({"user", text});
  std::vector<int32_t> tokens = prompt();
  auto item = sized<fdpp_generate_item>();
  item.sequence = sequence;
  item.tokens = tokens.data();
  item.count = static_cast<int32_t>(tokens.size());
  item.max_new = options.newTokens(/*chatting=*/true);
  item.sampling = &options.sampling;
  answered.clear();
  InterruptGuard guard;
  progress.emplace("thinking");
  fdpp_result result = fdpp_generate(session.get(), &item, 1, onToken, this);
  progress.reset();
  if (result != FDPP_OK)
    messages.pop_back();
  check(result);
  std::fputc('\n', stdout);
  messages.push_back({"assistant", answered});
}

} // namespace

int runChat(const RunOptions &options, const Engine &engine) {
  fdpp_engine_info info = infoOf(engine);
  applyChat(engine, {{"user", "hello"}}); // says at once if chat cannot work
  Chat chat(options, engine);
  std::fprintf(stderr, "%s; Ctrl-C ends an answer, Ctrl-D the chat\n",
               *info.name ? info.name : options.folder.c_str());
  for (std::string line;;) {
    std::fputs("> ", stdout);
    std::fflush(stdout);
    if (!std::getline(std::cin, line)) {
      std::fputc('\n', stdout);
      return 0;
    }
    if (line.find_first_not_of(" \t") == std::string::npos)
      continue;
    try {
      chat.answer(line);
    } catch (const Failure &failure) {
      if (failure.exitCode != kUserError)
        throw;
      std::fprintf(stderr, "%s\n", failure.what());
    }
    if (options.stats) {
      printStats(statsOf(chat.owner()), RowCounts::of(chat.owner(), info), 0);
      fdpp_session_reset_stats(chat.owner().get());
    }
  }
}

} // namespace fdpp::tools
