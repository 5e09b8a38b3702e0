// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_GENERATOR_H
#define FDPP_RUNTIME_ENGINE_GENERATOR_H

#include "Engine.h"
#include "Session.h"
#include "text/Tokenizer.h"

#include <optional>
#include <vector>

namespace fdpp::runtime {

enum class StopReason { None, Token, Length, Context, Callback };

struct GenerateItem {
  Sequence *sequence = nullptr;
  const int32_t *tokens = nullptr; // the prompt
  int32_t count = 0;               // 0: the sequence's logits stand
  int32_t maxNew = -1;             // below 0: no limit
  bool ignoreStop = false;
  SamplerParams sampling;
  int32_t generated = 0;                // out
  StopReason reason = StopReason::None; // out
};

/// As fdpp_token_fn of the C API.
using TokenFn = int32_t (*)(void *ctx, size_t index, int32_t token,
                            const char *text, size_t bytes);

/// Prefills and decodes several sequences together until each has stopped.
class Generator {
public:
  /// Without a tokenizer the callback gets ids and no text.
  Generator(Session &session, const std::vector<int32_t> &stopTokens,
            const text::Tokenizer *tokenizer);

  void run(std::vector<GenerateItem> &items, TokenFn onToken, void *ctx);

private:
  /// Samples the next token of an item and decides whether it goes on.
  void advance(size_t index);
  int32_t sample(const GenerateItem &item);
  bool report(size_t index, int32_t token, const std::string &text);
  void finish(size_t index, StopReason reason);

  Session &session;
  const std::vector<int32_t> &stopTokens;
  const text::Tokenizer *tokenizer;

  std::vector<GenerateItem> *items = nullptr;
  std::vector<int32_t> next; // the token each item feeds to the next step
  std::vector<std::optional<text::StreamDecoder>> decoders;
  TokenFn onToken = nullptr;
  void *ctx = nullptr;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_GENERATOR_H
