// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Steps over the toy model: splits, ragged batches, entries, pages, sharing.
#include "Engine.h"
#include "Error.h"
#include "ToyEngine.h"
#include "ToyFormula.h"

#include <array>
#include <functional>
#include <gmock/gmock.h>
#include <numeric>
#include <random>

using namespace fdpp::runtime;

namespace {

std::vector<int32_t> randomTokens(int32_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t &token : tokens)
    token = static_cast<int32_t>(random() % toy::kVocab);
  return tokens;
}

std::vector<float> last(const Session &session, const Sequence *sequence) {
  const float *logits = session.logits(sequence);
  EXPECT_NE(logits, nullptr);
  return logits ? std::vector<float>(logits, logits + toy::kVocab)
                : std::vector<float>();
}

std::vector<int32_t> prefix(const std::vector<int32_t> &tokens, size_t n) {
  return {tokens.begin(), tokens.begin() + n};
}

ErrorKind kindOf(const std::function<void()> &run,
                 std::string *text = nullptr) {
  try {
    run();
  } catch (const Error &error) {
    if (text)
      *text = error.what();
    return error.kind;
  }
  ADD_FAILURE() << "no error";
  return ErrorKind::Internal;
}

struct SessionTest : testing::Test {
  toy::Engine folder;
  Engine engine{folder.folder(), true};
  SessionOptions options{.threads = 2, .context = 64, .sequences = 8};
};

TEST_F(SessionTest, EverySplitOfPrefillGivesTheSameLogits) {
  std::vector<int32_t> tokens = randomTokens(29, 1);
  Session session(engine.view(), options);
  for (int32_t first = 1; first < 29; ++first)
    for (int32_t second : {1, 3, 28}) {
      Sequence *sequence = session.createSequence(0);
      for (int32_t at = 0; at < 29;) {
        int32_t count = std::min(at == 0 ? first : second, 29 - at);
        StepItem item{sequence, tokens.data() + at, count, true};
        session.step(&item, 1);
        at += count;
        ASSERT_EQ(last(session, sequence), toy::reference(prefix(tokens, at)))
            << "first " << first << " then " << second << " at " << at;
      }
      session.destroySequence(sequence);
    }
  EXPECT_EQ(session.pages().freePages(), session.pages().pages());
}

TEST_F(SessionTest, AllLogitsOfAPromptLongerThanAStep) {
  std::vector<int32_t> tokens = randomTokens(30, 2);
  Session session(engine.view(), options);
  Sequence *sequence = session.createSequence(0);
  std::vector<float> all(30 * toy::kVocab, -1);
  StepItem item{sequence, tokens.data(), 30, true, all.data()};
  session.step(&item, 1);
  for (int32_t t = 0; t < 30; ++t)
    ASSERT_EQ(std::vector<float>(all.begin() + t * toy::kVocab,
                                 all.begin() + (t + 1) * toy::kVocab),
              toy::reference(prefix(tokens, t + 1)))
        << t;
  EXPECT_EQ(last(session, sequence), toy::reference(tokens));
}

TEST_F(SessionTest, RaggedBatchesOfManySequences) {
  // More sequences, rows and tokens than one model step takes, in random mixes
  // of decoding, prefilling and asking for all logits.
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    Session session(engine.view(), options);
    std::vector<Sequence *> sequences;
    std::vector<std::vector<int32_t>> texts;
    for (int32_t s = 0; s < 8; ++s) {
      sequences.push_back(session.createSequence(s));
      texts.push_back(randomTokens(60, 100 * round + s));
    }
    for (int call = 0; call < 6; ++call) {
      std::vector<StepItem> items;
      std::vector<std::vector<float>> all(8);
      for (int32_t s = 0; s < 8; ++s) {
        int32_t count = std::array{0, 1, 1, 2, 9}[random() % 5];
        if (count == 0)
          continue;
        int32_t length = sequences[s]->length();
        if (random() % 3 == 0)
          all[s].resize(count * toy::kVocab);
        items.push_back({sequences[s], texts[s].data() + length, count,
                         random() % 4 != 0,
                         all[s].empty() ? nullptr : all[s].data()});
      }
      if (items.empty())
        continue;
      session.step(items.data(), static_cast<int32_t>(items.size()));
      for (const StepItem &item : items) {
        auto s = static_cast<size_t>(item.sequence->id());
        auto now = static_cast<size_t>(item.sequence->length());
        if (item.lastLogits)
          EXPECT_EQ(last(session, item.sequence),
                    toy::reference(prefix(texts[s], now)));
        else
          EXPECT_EQ(session.logits(item.sequence), nullptr);
        for (int32_t t = 0; item.allLogits && t < item.count; ++t)
          ASSERT_EQ(std::vector<float>(all[s].begin() + t * toy::kVocab,
                                       all[s].begin() + (t + 1) * toy::kVocab),
                    toy::reference(prefix(texts[s], now - item.count + t + 1)));
      }
    }
  }
}

TEST_F(SessionTest, AModelWithoutSomeEntriesStillDoesEverything) {
  for (int32_t entries = 1; entries < 8; ++entries) {
    toy::Engine own("toy_entries_" + std::to_string(entries));
    own.manifest["limits"]["entries"] = nlohmann::json::array();
    const char *names[] = {"prefill", "decode", "mixed"};
    for (int32_t e = 0; e < 3; ++e)
      if (entries >> e & 1)
        own.manifest["limits"]["entries"].push_back(names[e]);
    own.write();
    Engine loaded(own.folder(), false);
    Session session(loaded.view(), options);
    Sequence *a = session.createSequence(0), *b = session.createSequence(1);
    std::vector<int32_t> first = randomTokens(20, 4), second{7};
    StepItem items[] = {{a, first.data(), 20, true},
                        {b, second.data(), 1, true}};
    session.step(items, 2);
    EXPECT_EQ(last(session, a), toy::reference(first)) << entries;
    EXPECT_EQ(last(session, b), toy::reference(second)) << entries;
  }
}

TEST_F(SessionTest, APromptLongerThanTheContextIsRefused) {
  options.context = 16;
  Session session(engine.view(), options);
  Sequence *sequence = session.createSequence(0);
  std::vector<int32_t> tokens = randomTokens(17, 5);
  StepItem item{sequence, tokens.data(), 17, true};
  std::string text;
  EXPECT_EQ(kindOf([&] { session.step(&item, 1); }, &text), ErrorKind::Context);
  EXPECT_THAT(text, testing::HasSubstr("17 tokens do not fit"));
  EXPECT_EQ(sequence->length(), 0);
  item.count = 16;
  session.step(&item, 1);
  EXPECT_EQ(last(session, sequence), toy::reference(prefix(tokens, 16)));
}

TEST_F(SessionTest, WithoutAFreePageTheStepIsRefusedAndNothingIsLost) {
  options.pages = 5;
  Session session(engine.view(), options);
  Sequence *a = session.createSequence(0), *b = session.createSequence(1);
  std::vector<int32_t> first = randomTokens(21, 6), second = randomTokens(9, 7);
  StepItem items[] = {{a, first.data(), 12, true}, {b, second.data(), 9, true}};
  std::string text;
  EXPECT_EQ(kindOf([&] { session.step(items, 2); }, &text), ErrorKind::NoPage);
  EXPECT_THAT(text, testing::HasSubstr("needs 6 pages"));
  EXPECT_EQ(session.pages().freePages(), 5);
  EXPECT_EQ(a->length(), 0);

  session.step(items, 1);
  StepItem more{a, first.data() + 12, 9, true};
  EXPECT_EQ(kindOf([&] { session.step(&more, 1); }), ErrorKind::NoPage);
  // What stood before the refusal still stands, and goes on.
  EXPECT_EQ(last(session, a), toy::reference(prefix(first, 12)));
  more.count = 8;
  session.step(&more, 1);
  EXPECT_EQ(last(session, a), toy::reference(prefix(first, 20)));
  session.destroySequence(a);
  EXPECT_EQ(session.pages().freePages(), 5);
  session.step(items + 1, 1);
  EXPECT_EQ(last(session, b), toy::reference(second));
}

TEST_F(SessionTest, ForksSharePagesUntilTheyAppend) {
  Session session(engine.view(), options);
  Sequence *a = session.createSequence(0);
  std::vector<int32_t> tokens = randomTokens(10, 8);
  StepItem item{a, tokens.data(), 10, true};
  session.step(&item, 1);
  int32_t before = session.pages().freePages();
  Sequence *b = session.fork(a, 1);
  EXPECT_EQ(session.pages().freePages(), before);
  // Both append to the shared last page: one of them gets a copy of it.
  std::vector<int32_t> left = tokens, right = tokens;
  for (int32_t i = 0; i < 6; ++i) {
    left.push_back(i);
    right.push_back(100 + i);
    StepItem items[] = {{a, &left.back(), 1, true},
                        {b, &right.back(), 1, true}};
    session.step(items, 2);
    EXPECT_EQ(last(session, a), toy::reference(left));
    EXPECT_EQ(last(session, b), toy::reference(right));
  }
  session.destroySequence(a);
  right.push_back(3);
  StepItem again{b, &right.back(), 1, true};
  session.step(&again, 1);
  EXPECT_EQ(last(session, b), toy::reference(right));
  session.destroySequence(b);
  EXPECT_EQ(session.pages().freePages(), session.pages().pages());
}

TEST_F(SessionTest, TruncatedSequencesGoOnAsIfNothingHadFollowed) {
  Session session(engine.view(), options);
  Sequence *a = session.createSequence(0);
  std::vector<int32_t> tokens = randomTokens(30, 9);
  StepItem item{a, tokens.data(), 30, true};
  session.step(&item, 1);
  Sequence *b = session.fork(a, 1);
  a->truncate(13);
  std::vector<int32_t> text = prefix(tokens, 13);
  text.push_back(42);
  StepItem next{a, &text.back(), 1, true};
  session.step(&next, 1);
  EXPECT_EQ(last(session, a), toy::reference(text));
  int32_t one = 1;
  std::vector<int32_t> other = tokens;
  other.push_back(one);
  StepItem more{b, &one, 1, true};
  session.step(&more, 1);
  EXPECT_EQ(last(session, b), toy::reference(other));
}

TEST_F(SessionTest, WrongArgumentsAreRefused) {
  Session session(engine.view(), options), stranger(engine.view(), options);
  Sequence *a = session.createSequence(0);
  Sequence *foreign = stranger.createSequence(0);
  int32_t good = 1, bad = toy::kVocab;
  auto refused = [&](std::vector<StepItem> items) {
    return kindOf([&] {
             session.step(items.data(), static_cast<int32_t>(items.size()));
           }) == ErrorKind::User;
  };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({{a, &good, 0, true}}));
  EXPECT_TRUE(refused({{a, &bad, 1, true}}));
  EXPECT_TRUE(refused({{foreign, &good, 1, true}}));
  EXPECT_TRUE(refused({{a, &good, 1, true}, {a, &good, 1, true}}));
  EXPECT_EQ(a->length(), 0);
  SessionOptions tooLong{.context = toy::kMaxContext + 1};
  EXPECT_EQ(kindOf([&] { Session s(engine.view(), tooLong); }),
            ErrorKind::User);
}

TEST_F(SessionTest, ProgressCancelsBetweenSteps) {
  Session session(engine.view(), options);
  Sequence *a = session.createSequence(0);
  std::vector<int32_t> tokens = randomTokens(30, 10);
  StepItem item{a, tokens.data(), 30, true};
  session.setProgress(
      [](void *, int32_t done, int32_t total) -> int32_t {
        EXPECT_EQ(total, 30);
        return done >= 16;
      },
      nullptr);
  EXPECT_EQ(kindOf([&] { session.step(&item, 1); }), ErrorKind::Cancelled);
  EXPECT_EQ(a->length(), 16);
  EXPECT_EQ(a->pages().size(), 4u);
  session.setProgress(nullptr, nullptr);
  StepItem rest{a, tokens.data() + 16, 14, true};
  session.step(&rest, 1);
  EXPECT_EQ(last(session, a), toy::reference(tokens));
}

TEST_F(SessionTest, StatisticsCountStepsTokensAndBytes) {
  Session session(engine.view(), options);
  Sequence *a = session.createSequence(0);
  std::vector<int32_t> tokens = randomTokens(18, 11);
  StepItem prompt{a, tokens.data(), 16, true}, next{a, tokens.data() + 16, 1};
  session.step(&prompt, 1);
  session.step(&next, 1);
  const SessionStats &stats = session.stats();
  EXPECT_EQ(stats.prefill.tokens, 16u);
  EXPECT_EQ(stats.prefill.steps, 2u);
  EXPECT_EQ(stats.decode.tokens, 1u);
  EXPECT_EQ(stats.decode.steps, 1u);
  EXPECT_EQ(stats.weightBytes, 3u * 2080 + 17 * 4);
  // 16 bytes a token: read 8, 16 and 17 slots, written 17.
  EXPECT_EQ(stats.cacheBytes, 16u * (8 + 16 + 17 + 17));
}

TEST_F(SessionTest, PhiReachesTheModelAndRecomputedRowsComeBack) {
  folder.put("phi.json", R"({"magic": "fdpp-phi", "layers": 2,
      "query_heads": 2, "phi": [[0.5, null], [101, 1e3]]})");
  folder.write();
  Engine calibrated(folder.folder(), true);
  Session session(calibrated.view(), options);
  Sequence *a = session.createSequence(0);
  std::vector<int32_t> tokens = randomTokens(11, 12);
  StepItem item{a, tokens.data(), 11, true};
  session.step(&item, 1);
  EXPECT_EQ(session.recomputed(), (std::vector<uint64_t>{0, 0, 11, 11}));
  // Prefill has no asynchronous softmax.
  EXPECT_EQ(session.phiBank().rows(), 0u);
}

TEST_F(SessionTest, HeadsThatFailOftenBecomeExact) {
  folder.put("phi.json", R"({"magic": "fdpp-phi", "layers": 2,
      "query_heads": 2, "phi": [[0.5, null], [101, 1]]})");
  folder.write();
  Engine calibrated(folder.folder(), true);
  Session session(calibrated.view(), options);
  Sequence *a = session.createSequence(0);
  std::vector<int32_t> tokens = randomTokens(3, 12);
  StepItem prompt{a, tokens.data(), 2, true}, next{a, tokens.data(), 1, true};
  session.step(&prompt, 1);
  session.resetStats();
  auto decode = [&](int times) {
    for (int i = 0; i < times; ++i) {
      session.step(&next, 1);
      a->truncate(2);
    }
  };
  const PhiBank &phi = session.phiBank();
  decode(127);
  EXPECT_EQ(phi.switched(), 0);
  decode(1); // the window is full
  EXPECT_EQ(phi.switched(), 1);
  EXPECT_EQ(session.recomputed(), (std::vector<uint64_t>{0, 0, 128, 0}));
  EXPECT_EQ(phi.rows(), 3 * 128u); // the null head has none
  decode(300);
  EXPECT_EQ(session.recomputed(), (std::vector<uint64_t>{0, 0, 128, 0}));
  EXPECT_EQ(phi.rows(), 3 * 128u + 2 * 300u);
  // Another session begins with what the engine says.
  Session fresh(calibrated.view(), options);
  EXPECT_EQ(fresh.phiBank().switched(), 0);
}

TEST(PhiBank, ASixteenthOfTheRowsMayFail) {
  fdpp_model_limits limits = {};
  limits.layers = 1;
  limits.query_heads = 2;
  const float phi[] = {0, 1};
  PhiBank bank(limits, phi, /*used=*/true);
  bank.counters()[0] = 8; // of 128: 1 in 16
  bank.counters()[1] = 9;
  bank.record(64);
  EXPECT_EQ(bank.switched(), 0);
  bank.record(64);
  EXPECT_EQ(bank.switched(), 1);
  EXPECT_EQ(bank.data()[0], 0.0f);
  EXPECT_TRUE(std::isnan(bank.data()[1]));
  // The next window counts from here.
  bank.record(128);
  EXPECT_EQ(bank.switched(), 1);
  EXPECT_EQ(PhiBank(limits, nullptr, true).data(), nullptr);
}

} // namespace
