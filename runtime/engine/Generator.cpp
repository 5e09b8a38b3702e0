// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Generator.h"

#include "Error.h"

#include <algorithm>
#include <chrono>

namespace fdpp::runtime {

Generator::Generator(Session &session, const std::vector<int32_t> &stopTokens,
                     const text::Tokenizer *tokenizer)
    : session(session), stopTokens(stopTokens), tokenizer(tokenizer) {}

void Generator::run(std::vector<GenerateItem> &work, TokenFn callback,
                    void *context) {
  items = &work;
  onToken = callback;
  ctx = context;
  next.assign(work.size(), -1);
  decoders.clear();
  decoders.resize(work.size());

  std::vector<StepItem> step;
  step.reserve(work.size());
  for (size_t i = 0; i < work.size(); ++i) {
    GenerateItem &item = work[i];
    checkSampler(item.sampling);
    if (tokenizer)
      decoders[i].emplace(*tokenizer, /*SkipSpecial=*/true);
    if (item.count > 0)
      step.push_back({item.sequence, item.tokens, item.count, true});
    else if (!session.hasLogits(item.sequence))
      userError("item " + std::to_string(i) +
                " has no prompt and no logits of a step to go on from");
  }
  // An item without a prompt goes on from logits that the next step replaces.
  for (size_t i = 0; i < work.size(); ++i)
    if (work[i].count == 0)
      advance(i);
  if (!step.empty())
    session.step(step.data(), static_cast<int32_t>(step.size()));
  for (size_t i = 0; i < work.size(); ++i)
    if (work[i].count > 0)
      advance(i);

  while (true) {
    step.clear();
    for (size_t i = 0; i < work.size(); ++i)
      if (work[i].reason == StopReason::None)
        step.push_back({work[i].sequence, &next[i], 1, true});
    if (step.empty())
      return;
    session.step(step.data(), static_cast<int32_t>(step.size()));
    for (size_t i = 0; i < work.size(); ++i)
      if (work[i].reason == StopReason::None)
        advance(i);
  }
}

void Generator::advance(size_t index) {
  GenerateItem &item = (*items)[index];
  if (item.maxNew == 0)
    return finish(index, StopReason::Length);
  int32_t token = next[index] = sample(item);
  ++item.generated;
  bool stops = !item.ignoreStop &&
               std::find(stopTokens.begin(), stopTokens.end(), token) !=
                   stopTokens.end();
  auto &decoder = decoders[index];
  if (!report(index, token, decoder ? decoder->push(token) : std::string()))
    return finish(index, StopReason::Callback);
  if (stops)
    return finish(index, StopReason::Token);
  if (item.maxNew > 0 && item.generated == item.maxNew)
    return finish(index, StopReason::Length);
  if (item.sequence->length() == session.options().context)
    return finish(index, StopReason::Context);
}

int32_t Generator::sample(const GenerateItem &item) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point start = Clock::now();
  int32_t token = session.sample(*item.sequence, item.sampling);
  session.stats().sampleMs +=
      std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  return token;
}

bool Generator::report(size_t index, int32_t token, const std::string &text) {
  return !onToken || onToken(ctx, index, token, text.data(), text.size()) == 0;
}

void Generator::finish(size_t index, StopReason reason) {
  (*items)[index].reason = reason;
  if (!decoders[index])
    return;
  std::string rest = decoders[index]->flush();
  if (!rest.empty())
    report(index, -1, rest);
}

} // namespace fdpp::runtime
