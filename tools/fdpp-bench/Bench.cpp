// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is measured, and how. One row: bring the sequences to their depth, run
// once to warm up, then time the repetitions; the read ceiling is sampled
// before and after.
#include "Bench.h"

#include "Progress.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <numeric>
#include <random>

namespace fdpp::tools {
namespace {

/// Memory the ceiling is read from: more than any cache holds.
constexpr uint64_t kCeilingBytes = uint64_t{1} << 30;

int32_t most(const std::vector<int32_t> &values) {
  return *std::max_element(values.begin(), values.end());
}

fdpp_session_options sessionOptions(const BenchOptions &options,
                                    const fdpp_engine_info &info) {
  auto result = sized<fdpp_session_options>();
  result.threads = options.threads;
  int64_t context =
      int64_t{most(options.depths)} +
      std::max({most(options.prompts), most(options.generated), int32_t{1}});
  if (context > info.max_context)
    fail("the rows need a context of " + std::to_string(context) +
         ", but the model allows " + std::to_string(info.max_context) +
         "; lower -d, -p or -n");
  result.context = static_cast<int32_t>(context);
  result.sequences = most(options.sequences);
  result.batch_invariant = options.batchInvariant;
  return result;
}

Setting describe(const BenchOptions &options, const Engine &engine,
                 const fdpp_session_options &wish) {
  fdpp_engine_info info = infoOf(engine);
  auto device = sized<fdpp_device_info>();
  check(fdpp_device_get(0, &device));
  Setting setting;
  setting.folder = options.folder;
  setting.name = *info.name ? info.name : options.folder;
  setting.dtype = info.weight_dtype;
  setting.target = info.target;
  setting.arch = info.arch;
  setting.cpu = device.name;
  setting.weightBytes = info.weight_bytes;
  setting.parameters = info.parameters;
  setting.threads = planOf(engine, wish).threads;
  return setting;
}

} // namespace

std::string Test::name() const {
  std::string text =
      prompt ? "pp" + std::to_string(prompt) : "tg" + std::to_string(generated);
  return depth ? text + " @ d" + std::to_string(depth) : text;
}

double mean(const std::vector<double> &values) {
  return std::accumulate(values.begin(), values.end(), 0.0) /
         static_cast<double>(values.size());
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t half = values.size() / 2;
  return values.size() % 2 ? values[half]
                           : (values[half - 1] + values[half]) / 2;
}

double deviation(const std::vector<double> &values) {
  if (values.size() < 2)
    return 0;
  double center = mean(values), sum = 0;
  for (double value : values)
    sum += (value - center) * (value - center);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

std::vector<double> Result::tokensPerSecond() const {
  double tokens =
      static_cast<double>(test.prompt + test.generated) * test.sequences;
  std::vector<double> rates;
  for (double value : seconds)
    rates.push_back(tokens / value);
  return rates;
}

double Result::msPerStep() const { return median(seconds) * 1000 / steps; }

double Result::share() const {
  double rate = bytesPerStep / (msPerStep() / 1000);
  return rate / ceiling();
}

std::string Result::redone() const {
  if (phiRows == 0)
    return "-";
  char text[32];
  std::snprintf(text, sizeof(text), "%.3f",
                100 * static_cast<double>(recomputedRows) /
                    static_cast<double>(phiRows));
  return text;
}

Bench::Bench(const BenchOptions &options, const Engine &engine)
    : options(options),
      common(
          describe(options, engine, sessionOptions(options, infoOf(engine)))),
      info(infoOf(engine)), vocab(info.vocab_size),
      session(createSession(engine, sessionOptions(options, infoOf(engine)))) {
  std::mt19937 random(1);
  tokens.resize(most(options.depths) + most(options.prompts) + 1);
  for (int32_t &token : tokens)
    token = static_cast<int32_t>(random() % static_cast<uint32_t>(vocab));
  fdpp_session_set_progress(
      session.get(),
      [](void *, int32_t, int32_t) -> int32_t { return interrupted(); },
      nullptr);
}

Bench::~Bench() = default;

std::vector<Test> Bench::tests() const {
  std::vector<Test> list;
  for (int32_t depth : options.depths)
    for (int32_t count : options.sequences) {
      for (int32_t prompt : options.prompts)
        if (prompt > 0)
          list.push_back({prompt, 0, depth, count});
      for (int32_t generated : options.generated)
        if (generated > 0)
          list.push_back({0, generated, depth, count});
    }
  if (list.empty())
    fail("no rows to measure; give -p or -n above 0");
  return list;
}

double Bench::ceiling() {
  if (options.noCeiling)
    return 0;
  double rate = 0;
  check(fdpp_session_read_ceiling(session.get(), kCeilingBytes, &rate));
  return rate;
}

/// Makes the row's sequences and fills them to its depth.
void Bench::prepare(const Test &test) {
  for (fdpp_sequence *sequence : sequences)
    fdpp_sequence_destroy(sequence);
  sequences.clear();
  for (int32_t i = 0; i < test.sequences; ++i)
    sequences.push_back(createSequence(session, i));
  if (options.randomCache) {
    for (size_t i = 0; test.depth > 0 && i < sequences.size(); ++i)
      check(fdpp_sequence_fill(sequences[i], test.depth, i));
    return;
  }
  std::vector<fdpp_step_item> items;
  for (fdpp_sequence *sequence : sequences) {
    auto item = sized<fdpp_step_item>();
    item.sequence = sequence;
    item.tokens = tokens.data();
    item.count = test.depth;
    items.push_back(item);
  }
  if (test.depth > 0)
    check(fdpp_session_step(session.get(), items.data(), items.size()));
}

/// One repetition, in seconds. Decoding includes sampling (greedy) and the
/// host's work.
double Bench::once(const Test &test) {
  using Clock = std::chrono::steady_clock;
  std::vector<fdpp_generate_item> items;
  for (fdpp_sequence *sequence : sequences) {
    check(fdpp_sequence_truncate(sequence, test.depth));
    auto item = sized<fdpp_generate_item>();
    item.sequence = sequence;
    item.tokens = tokens.data() + test.depth;
    item.count = test.prompt ? test.prompt : 1;
    item.max_new = test.generated;
    item.ignore_stop = 1;
    items.push_back(item);
  }
  auto stop = [](void *, size_t, int32_t, const char *, size_t) -> int32_t {
    return interrupted();
  };
  Clock::time_point start = Clock::now();
  check(
      fdpp_generate(session.get(), items.data(), items.size(), stop, nullptr));
  double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (interrupted())
    throw Failure(kInterrupted, "interrupted");
  return seconds;
}

Result Bench::run(const Test &test) {
  std::string label =
      test.name() + ", " + std::to_string(test.sequences) + " sequences";
  Progress progress(label);
  InterruptGuard guard;
  Result result;
  result.test = test;
  result.time = std::time(nullptr);
  // What followed the last row precedes this one.
  result.ceilingBefore = lastCeiling > 0 ? lastCeiling : ceiling();
  prepare(test);
  once(test);
  fdpp_session_reset_stats(session.get());
  for (int32_t i = 0; i < options.repetitions; ++i) {
    progress.update(i, options.repetitions);
    result.seconds.push_back(once(test));
  }
  fdpp_stats stats = statsOf(session);
  auto steps = static_cast<double>(stats.prefill_steps + stats.decode_steps);
  result.steps = steps / options.repetitions;
  result.sampleMs = stats.sample_ms / steps;
  result.bytesPerStep =
      static_cast<double>(stats.weight_bytes + stats.cache_bytes) / steps;
  result.phiRows = stats.phi_rows;
  result.recomputedRows = stats.recomputed_rows;
  result.exactHeads = stats.exact_heads;
  result.recomputed = RowCounts::of(session, info);
  if (options.profile)
    result.profile.listen(session, [&] { once(test); });
  result.ceilingAfter = lastCeiling = ceiling();
  return result;
}

} // namespace fdpp::tools
