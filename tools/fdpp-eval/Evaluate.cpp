// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Evaluate.h"

#include "Progress.h"

#include <algorithm>
#include <chrono>

namespace fdpp::eval {

using namespace fdpp::tools;

namespace {

/// Tokens whose logits are held at once.
constexpr int32_t kChunk = 128;

class Evaluator {
public:
  Evaluator(const Engine &engine, const std::vector<Window> &windows,
            const Wish &wish)
      : engine(engine), windows(windows), wish(wish),
        vocab(infoOf(engine).vocab_size) {}

  Evaluation run();

private:
  void runWindow(const Session &session, size_t index, Progress &progress);
  void score(std::span<const float> logits, int32_t target);
  Difference difference();

  const Engine &engine;
  const std::vector<Window> &windows;
  const Wish &wish;
  const int32_t vocab;
  std::vector<float> logits, logProbs;
  GroupedMean nll, change, sameTop, kl;
  std::vector<double> divergences;
  int64_t row = 0;        // of the reference
  int32_t doneTokens = 0; // of all windows, for the progress
};

/// The row of logits that predicts the next scored token.
void Evaluator::score(std::span<const float> values, int32_t target) {
  RowScore found = scoreRow(values, target);
  if (!found.finite)
    fail(
        "the engine gives logits that are no finite numbers, at scored token " +
        std::to_string(row + 1));
  nll.add(found.nll);
  if (wish.writer)
    wish.writer->add(found.nll, found.top, values, found.logSumExp);
  if (ReferenceReader *reference = wish.reference) {
    change.add(found.nll - reference->nll(row));
    sameTop.add(found.top == reference->top(row));
    if (reference->vocab() > 0) {
      reference->nextRow(logProbs);
      divergences.push_back(divergence(logProbs, values, found.logSumExp));
      kl.add(divergences.back());
    }
  }
  ++row;
}

void Evaluator::runWindow(const Session &session, size_t index,
                          Progress &progress) {
  const Window &window = windows[index];
  auto last = static_cast<int32_t>(window.tokens.size()) - 1;
  fdpp_sequence *sequence = createSequence(session, index);
  for (int32_t at = 0; at < last; at += kChunk) {
    auto item = sized<fdpp_step_item>();
    item.sequence = sequence;
    item.tokens = window.tokens.data() + at;
    item.count = std::min(kChunk, last - at);
    item.all_logits = logits.data();
    check(fdpp_session_step(session.get(), &item, 1));
    for (int32_t i = 0; i < item.count; ++i)
      if (at + i + 1 > last - window.scored)
        score({logits.data() + int64_t{i} * vocab, static_cast<size_t>(vocab)},
              window.tokens[at + i + 1]);
    doneTokens += item.count;
    progress.update(doneTokens, static_cast<int32_t>(windows.size()) * last);
    if (interrupted())
      throw Failure(kInterrupted, "interrupted");
  }
  fdpp_sequence_destroy(sequence);
  for (GroupedMean *mean : {&nll, &change, &sameTop, &kl})
    mean->endGroup();
}

Difference Evaluator::difference() {
  Difference result;
  result.nll = change.estimate();
  result.sameTop = sameTop.estimate();
  if (divergences.empty())
    return result;
  result.kl = kl.estimate();
  std::ranges::sort(divergences);
  auto quantile = [&](double share) {
    return divergences[static_cast<size_t>(
        share * static_cast<double>(divergences.size() - 1))];
  };
  result.klMedian = quantile(0.5);
  result.kl99 = quantile(0.99);
  result.klMax = divergences.back();
  return result;
}

Evaluation Evaluator::run() {
  auto start = std::chrono::steady_clock::now();
  auto options = sized<fdpp_session_options>();
  options.threads = wish.threads;
  for (const Window &window : windows)
    options.context =
        std::max(options.context, static_cast<int32_t>(window.tokens.size()));
  logits.resize(int64_t{kChunk} * vocab);
  logProbs.resize(vocab);
  Session session = createSession(engine, options);
  {
    Progress progress("evaluating");
    for (size_t index = 0; index < windows.size(); ++index)
      runWindow(session, index, progress);
  }
  std::chrono::duration<double> taken =
      std::chrono::steady_clock::now() - start;
  Evaluation result;
  result.windows = static_cast<int64_t>(windows.size());
  result.scored = row;
  result.nll = nll.estimate();
  result.seconds = taken.count();
  if (wish.reference)
    result.difference = difference();
  return result;
}

} // namespace

Evaluation evaluate(const Engine &engine, const std::vector<Window> &windows,
                    const Wish &wish) {
  return Evaluator(engine, windows, wish).run();
}

} // namespace fdpp::eval
