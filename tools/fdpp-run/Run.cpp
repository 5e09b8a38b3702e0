// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Run.h"

#include "Json.h"
#include "Progress.h"

#include <algorithm>
#include <cstdio>
#include <optional>

namespace fdpp::tools {
namespace {

using Clock = std::chrono::steady_clock;

struct Answer {
  std::vector<int32_t> tokens;
  std::string text;
};

/// One run: its sequences, what they say, when the first token came.
struct Run {
  Run(const RunOptions &options, Clock::time_point start)
      : options(options), start(start) {}

  const RunOptions &options;
  const Clock::time_point start;
  std::vector<std::vector<int32_t>> prompts;
  std::vector<fdpp_sequence *> sequences;
  std::vector<std::vector<float>> logits; // of each prompt, if wanted
  std::vector<Answer> answers;
  std::optional<Progress> progress;
  double firstTokenMs = 0;

  bool streams() const { return !options.json && prompts.size() == 1; }
};

/// How many tokens a prompt brings at once before the rest comes singly.
int32_t prefillOf(const Run &run, size_t i) {
  auto length = static_cast<int32_t>(run.prompts[i].size());
  return run.options.prefill == 0 ? length
                                  : std::min(run.options.prefill, length);
}

/// Feeds all prompts so that all end with the same step, whose logits then
/// stand for every sequence: a prompt with a shorter rest begins later.
void feed(Run &run, const Session &session, int32_t vocab) {
  int32_t steps = 0;
  std::vector<int32_t> rest;
  for (size_t i = 0; i < run.prompts.size(); ++i) {
    rest.push_back(static_cast<int32_t>(run.prompts[i].size()) -
                   prefillOf(run, i));
    steps = std::max(steps, rest[i]);
    if (!run.options.logits.empty())
      run.logits[i].resize(run.prompts[i].size() * vocab);
  }
  for (int32_t step = 0; step <= steps; ++step) {
    std::vector<fdpp_step_item> items;
    for (size_t i = 0; i < run.prompts.size(); ++i) {
      int32_t turn = step - (steps - rest[i]);
      if (turn < 0)
        continue;
      int32_t at = turn == 0 ? 0 : prefillOf(run, i) + turn - 1;
      auto item = sized<fdpp_step_item>();
      item.sequence = run.sequences[i];
      item.tokens = run.prompts[i].data() + at;
      item.count = turn == 0 ? prefillOf(run, i) : 1;
      item.logits = FDPP_LOGITS_LAST;
      if (!run.logits[i].empty())
        item.all_logits = run.logits[i].data() + int64_t{at} * vocab;
      items.push_back(item);
    }
    if (interrupted())
      throw Failure(kInterrupted, "interrupted");
    check(fdpp_session_step(session.get(), items.data(), items.size()));
  }
}

int32_t onToken(void *ctx, size_t index, int32_t token, const char *text,
                size_t bytes) {
  Run &run = *static_cast<Run *>(ctx);
  if (run.firstTokenMs == 0)
    run.firstTokenMs =
        std::chrono::duration<double, std::milli>(Clock::now() - run.start)
            .count();
  run.progress.reset(); // before text reaches the terminal
  if (token >= 0)
    run.answers[index].tokens.push_back(token);
  run.answers[index].text.append(text, bytes);
  if (run.streams()) {
    std::fwrite(text, 1, bytes, stdout);
    std::fflush(stdout);
  }
  return interrupted();
}

std::vector<fdpp_generate_item> generate(Run &run, const Session &session) {
  std::vector<fdpp_generate_item> items;
  for (fdpp_sequence *sequence : run.sequences) {
    auto item = sized<fdpp_generate_item>();
    item.sequence = sequence;
    item.max_new = run.options.newTokens(run.options.hasChat);
    item.sampling = &run.options.sampling;
    items.push_back(item);
  }
  check(
      fdpp_generate(session.get(), items.data(), items.size(), onToken, &run));
  return items;
}

void printText(const Run &run, const fdpp_engine_info &info) {
  if (run.options.maxNew == 0) // -n 0: nothing was asked for
    return;
  for (const Answer &answer : run.answers) {
    std::string line = answer.text;
    if (!info.has_tokenizer)
      for (int32_t token : answer.tokens)
        line += (line.empty() ? "" : ",") + std::to_string(token);
    if (!run.streams() || !info.has_tokenizer)
      std::fwrite(line.data(), 1, line.size(), stdout);
    if (line.empty() || line.back() != '\n')
      std::fputc('\n', stdout);
  }
}

void printJson(const Run &run, const std::vector<fdpp_generate_item> &items,
               const std::string &stats) {
  static const char *const kReasons[] = {"none", "token", "length", "context",
                                         "callback"};
  std::string results;
  for (size_t i = 0; i < run.answers.size(); ++i) {
    JsonObjectWriter result;
    result.add("prompt", run.prompts[i])
        .add("tokens", run.answers[i].tokens)
        .add("text", run.answers[i].text)
        .add("stop", kReasons[items[i].reason]);
    results += (results.empty() ? "" : ",\n  ") + result.text();
  }
  std::printf("{\"results\": [\n  %s],\n \"stats\": %s}\n", results.c_str(),
              stats.c_str());
}

void saveLogits(const Run &run, int32_t vocab) {
  std::vector<float> all;
  int64_t rows = 0;
  for (size_t i = 0; i < run.prompts.size(); ++i) {
    all.insert(all.end(), run.logits[i].begin(), run.logits[i].end());
    rows += static_cast<int64_t>(run.prompts[i].size());
  }
  writeNpy(run.options.logits, all, rows, vocab);
}

} // namespace

int runPrompts(const RunOptions &options, const Engine &engine,
               Clock::time_point start) {
  fdpp_engine_info info = infoOf(engine);
  Run run(options, start);
  run.prompts = readPrompts(options, engine);
  run.logits.resize(run.prompts.size());
  run.answers.resize(run.prompts.size());
  InterruptGuard guard;
  run.progress.emplace("prefill");
  fdpp_session_options wish = options.session;
  wish.sequences = static_cast<int32_t>(run.prompts.size());
  Session session = createSession(engine, wish);
  for (size_t i = 0; i < run.prompts.size(); ++i)
    run.sequences.push_back(createSequence(session, i));
  auto onProgress = [](void *ctx, int32_t done, int32_t total) -> int32_t {
    auto &progress = static_cast<Run *>(ctx)->progress;
    if (progress)
      progress->update(done, total);
    return interrupted();
  };
  fdpp_session_set_progress(session.get(), onProgress, &run);
  feed(run, session, info.vocab_size);
  if (!options.logits.empty())
    saveLogits(run, info.vocab_size);
  std::vector<fdpp_generate_item> items = generate(run, session);
  run.progress.reset();

  fdpp_stats stats = statsOf(session);
  RowCounts recomputed = RowCounts::of(session, info);
  if (options.json)
    printJson(run, items, statsAsJson(stats, recomputed, run.firstTokenMs));
  else
    printText(run, info);
  std::fflush(stdout); // what goes to stderr comes after the results
  if (interrupted())
    return kInterrupted;
  if (options.stats)
    printStats(stats, recomputed, run.firstTokenMs);
  return 0;
}

} // namespace fdpp::tools
