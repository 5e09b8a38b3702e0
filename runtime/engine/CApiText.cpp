// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp.h: text and generation.
#include "CApiSupport.h"

#include "Generator.h"

#include <span>

using namespace fdpp::runtime;

namespace {

/// Copies what fits and tells the whole size.
template <typename Source, typename T>
void give(const Source &source, T *out, size_t capacity, size_t *count) {
  need(count && (out || capacity == 0), "the output");
  std::copy_n(source.data(), std::min(capacity, source.size()), out);
  *count = source.size();
}

GenerateItem readItem(const fdpp_session *session,
                      const fdpp_generate_item *given) {
  fdpp_generate_item known = readStruct(given);
  need(known.sequence, "sequence");
  need(known.tokens || known.count == 0, "tokens");
  if (known.sequence->session != session)
    userError("an item names a sequence of another session");
  GenerateItem item;
  item.sequence = known.sequence->sequence;
  item.tokens = known.tokens;
  item.count = known.count;
  item.maxNew = known.max_new;
  item.ignoreStop = known.ignore_stop != 0;
  item.sampling = readSampling(known.sampling);
  return item;
}

} // namespace

extern "C" {

fdpp_result fdpp_tokenize(const fdpp_engine *engine, const char *text,
                          size_t bytes, int32_t add_special, int32_t *tokens,
                          size_t capacity, size_t *count) {
  return guarded([&] {
    need(engine && (text || bytes == 0), "engine and text");
    auto ids =
        engine->engine->tokenizer().encode({text, bytes}, add_special != 0);
    if (!ids)
      userError(ids.error());
    give(*ids, tokens, capacity, count);
  });
}

fdpp_result fdpp_detokenize(const fdpp_engine *engine, const int32_t *tokens,
                            size_t count, int32_t skip_special, char *text,
                            size_t capacity, size_t *bytes) {
  return guarded([&] {
    need(engine && (tokens || count == 0), "engine and tokens");
    std::string decoded =
        engine->engine->tokenizer().decode({tokens, count}, skip_special != 0);
    give(decoded, text, capacity, bytes);
  });
}

fdpp_result fdpp_apply_chat(const fdpp_engine *engine,
                            const fdpp_message *messages, size_t count,
                            int32_t open_answer, char *text, size_t capacity,
                            size_t *bytes) {
  return guarded([&] {
    need(engine && (messages || count == 0), "engine and messages");
    std::vector<fdpp::text::ChatMessage> turns;
    for (size_t i = 0; i < count; ++i) {
      fdpp_message message = readStruct(element(messages, i));
      need(message.role && (message.text || message.bytes == 0),
           "role and text of a message");
      turns.push_back({message.role, std::string(message.text, message.bytes)});
    }
    auto rendered = engine->engine->chat().render(turns, open_answer != 0);
    if (!rendered)
      userError(rendered.error());
    give(*rendered, text, capacity, bytes);
  });
}

fdpp_result fdpp_generate(fdpp_session *session, fdpp_generate_item *items,
                          size_t count, fdpp_token_fn on_token, void *ctx) {
  std::vector<GenerateItem> work;
  fdpp_result result = guarded([&] {
    need(session && (items || count == 0), "session and items");
    for (size_t i = 0; i < count; ++i)
      work.push_back(readItem(session, element(items, i)));
    const Engine &engine = *session->engine;
    Generator generator(session->session, engine.stopTokens(),
                        engine.hasTokenizer() ? &engine.tokenizer() : nullptr);
    generator.run(work, on_token, ctx);
  });
  // Also after a failure: what was generated until then was reported.
  for (size_t i = 0; i < work.size(); ++i) {
    fdpp_generate_item *item = element(items, i);
    if (item->struct_size < sizeof(fdpp_generate_item))
      continue;
    item->generated = work[i].generated;
    item->reason = static_cast<int32_t>(work[i].reason);
  }
  return result;
}

} // extern "C"
