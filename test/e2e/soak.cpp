// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-soak ENGINE STEPS [SEED] [--batch-invariant] [--mix-up]
//
// Steps of a batch that changes all the time: sequences come with prompts of
// some length, wait, go on and end, as they do in a server. Each one that ended
// is run again alone, fed with the tokens it gave: where its own choice
// differs, the two logits must be as close as rounding makes them, and with
// --batch-invariant all logits of decode steps must be the same bits. At the
// end no page is lost and memory has not grown.
//
// --mix-up gives two sequences each other's tokens from step 50 on, which has
// to be noticed. Prints one line; fails at the first thing that is wrong.
#include "Client.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>

using namespace fdpp::tools;

namespace {

/// Fewer steps do not show whether memory grows.
constexpr int kStepsToJudge = 1000;
constexpr int kSequences = 12, kLongestPrompt = 40, kLongest = 90;

/// A sequence's prompt and the tokens it gave; of each of them the logits'
/// bits.
struct Story {
  std::vector<int32_t> prompt, given;
  std::vector<uint64_t> bits;
};

struct Running {
  fdpp_sequence *sequence;
  Story story;
  size_t end; // tokens it is to have
};

uint64_t bitsOf(const float *logits, int32_t count) {
  uint64_t hash = 14695981039346656037u; // FNV-1a over words
  for (int32_t i = 0; i < count; ++i) {
    uint32_t word;
    std::memcpy(&word, logits + i, sizeof word);
    hash = (hash ^ word) * 1099511628211u;
  }
  return hash;
}

/// Resident memory in KiB, mapped files not counted.
long residentKib() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with("RssAnon:"))
      return std::atol(line.c_str() + 8);
  fail("/proc/self/status says nothing of RssAnon");
}

class Soak {
public:
  Soak(const std::string &folder, uint64_t seed, bool invariant)
      : engine(openEngine(folder, /*verify=*/false)), info(infoOf(engine)),
        invariant(invariant), options(optionsFor(kSequences)),
        session(createSession(engine, options)),
        alone(createSession(engine, optionsFor(1))), random(seed) {
    std::string dtype = info.weight_dtype;
    roundoff = dtype == "bf16" ? 0x1p-9 : dtype == "f16" ? 0x1p-12 : 0x1p-20;
  }

  void step() {
    while (running.size() < kSequences && chance(0.3))
      start();
    std::vector<fdpp_step_item> items;
    std::vector<Running *> chosen;
    for (Running &one : running)
      if (chance(0.7)) {
        auto item = sized<fdpp_step_item>();
        item.sequence = one.sequence;
        bool begins = one.story.given.empty();
        item.tokens =
            begins ? one.story.prompt.data() : &one.story.given.back();
        item.count = begins ? int32_t(one.story.prompt.size()) : 1;
        item.logits = FDPP_LOGITS_LAST;
        items.push_back(item);
        chosen.push_back(&one);
      }
    if (items.empty())
      return;
    check(fdpp_session_step(session.get(), items.data(), items.size()));
    for (Running *one : chosen)
      choose(one->sequence, one->story);
    if (mixUp && chosen.size() > 1)
      std::swap(chosen[0]->story.given.back(), chosen[1]->story.given.back());
    for (size_t i = running.size(); i-- > 0;)
      if (running[i].story.prompt.size() + running[i].story.given.size() >=
          running[i].end)
        end(i);
  }

  void finish() {
    while (!running.empty())
      end(running.size() - 1);
    fdpp_stats stats = statsOf(session);
    if (stats.free_pages != stats.total_pages)
      fail(std::to_string(stats.total_pages - stats.free_pages) +
           " pages are lost");
  }

  /// Of the device, if that is not the host; else 0.
  uint64_t deviceMemory() const {
    return std::string(info.target) == "cpu"
               ? 0
               : planOf(engine, options).available_memory;
  }

  uint64_t stories = 0, tokens = 0, close = 0;
  bool mixUp = false;

private:
  Engine engine;
  fdpp_engine_info info;
  const bool invariant;
  fdpp_session_options options;
  Session session, alone;
  std::mt19937_64 random;
  std::vector<Running> running;
  double roundoff;
  uint64_t started = 0;

  fdpp_session_options optionsFor(int32_t sequences) const {
    auto result = sized<fdpp_session_options>();
    result.context = std::min(info.max_context, kLongest);
    result.sequences = sequences;
    result.threads = 2;
    result.batch_invariant = invariant;
    return result;
  }

  bool chance(double probability) {
    return std::bernoulli_distribution(probability)(random);
  }
  int32_t upTo(int32_t most) {
    return std::uniform_int_distribution<int32_t>(1, most)(random);
  }

  void start() {
    Running one;
    one.sequence = createSequence(session, started++);
    for (int32_t i = upTo(kLongestPrompt); i > 0; --i)
      one.story.prompt.push_back(upTo(info.vocab_size) - 1);
    one.end = one.story.prompt.size() +
              size_t(upTo(options.context - 1 - kLongestPrompt));
    running.push_back(std::move(one));
  }

  void choose(fdpp_sequence *sequence, Story &story) {
    auto greedy = sized<fdpp_sampling>();
    int32_t token = -1;
    check(fdpp_sequence_sample(sequence, &greedy, &token));
    story.given.push_back(token);
    story.bits.push_back(
        invariant ? bitsOf(fdpp_sequence_logits(sequence), info.vocab_size)
                  : 0);
  }

  void end(size_t i) {
    fdpp_sequence_destroy(running[i].sequence);
    Story story = std::move(running[i].story);
    running.erase(running.begin() + long(i));
    compare(story);
    ++stories;
    tokens += story.given.size();
  }

  /// The same sequence alone, fed with the same tokens.
  void compare(const Story &story) {
    fdpp_sequence *sequence = createSequence(alone, 0);
    for (size_t i = 0; i < story.given.size(); ++i) {
      auto item = sized<fdpp_step_item>();
      item.sequence = sequence;
      item.tokens = i == 0 ? story.prompt.data() : &story.given[i - 1];
      item.count = i == 0 ? int32_t(story.prompt.size()) : 1;
      item.logits = FDPP_LOGITS_LAST;
      check(fdpp_session_step(alone.get(), &item, 1));
      compareLogits(fdpp_sequence_logits(sequence), story, i);
    }
    fdpp_sequence_destroy(sequence);
  }

  void compareLogits(const float *logits, const Story &story, size_t i) {
    const float *most = std::max_element(logits, logits + info.vocab_size);
    auto where = [&] {
      return "token " + std::to_string(i) + " behind a prompt of " +
             std::to_string(story.prompt.size());
    };
    if (invariant && bitsOf(logits, info.vocab_size) != story.bits[i])
      fail(where() + ": not the bits it has alone");
    if (most - logits == story.given[i])
      return;
    double margin = double(*most) - logits[story.given[i]];
    double scale = 0;
    for (int32_t v = 0; v < info.vocab_size; ++v)
      scale = std::max(scale, std::fabs(double(logits[v])));
    if (!(margin <= 8 * roundoff * scale))
      fail(where() + ": " + std::to_string(story.given[i]) +
           " in the batch, alone " + std::to_string(most - logits) +
           ", which is ahead by " + std::to_string(margin));
    ++close;
  }
};

int run(int argc, char **argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  bool invariant = std::erase(words, "--batch-invariant") > 0;
  bool mixUp = std::erase(words, "--mix-up") > 0;
  if (words.size() < 2 || words.size() > 3)
    fail("usage: fdpp-soak ENGINE STEPS [SEED] [--batch-invariant] "
         "[--mix-up]");
  const int steps = std::atoi(words[1].c_str());
  Soak soak(words[0], words.size() > 2 ? std::stoull(words[2]) : 1, invariant);
  long resident = 0;
  uint64_t device = 0;
  for (int i = 0; i < steps; ++i) {
    if (i == steps / 5) // all that is allocated once has been
      resident = residentKib(), device = soak.deviceMemory();
    soak.mixUp = mixUp && i >= 50;
    soak.step();
  }
  soak.finish();
  long grown = residentKib() - resident;
  if (steps >= kStepsToJudge && grown > 2048)
    fail("memory has grown by " + std::to_string(grown) + " KiB");
  if (steps >= kStepsToJudge && soak.deviceMemory() + (8u << 20) < device)
    fail("the device's memory has become less by " +
         std::to_string((device - soak.deviceMemory()) >> 20) + " MiB");
  std::printf(
      "%d steps, %llu sequences, %llu tokens, %llu of them close calls; "
      "memory %+ld KiB\n",
      steps, (unsigned long long)soak.stories, (unsigned long long)soak.tokens,
      (unsigned long long)soak.close, grown);
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  return runTool("fdpp-soak", [&] { return run(argc, argv); });
}
