// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// libfdpp_runtime.so as its users see it.
#include "ToyEngine.h"
#include "ToyFormula.h"
#include "fdpp-runtime/fdpp.h"

#include <gmock/gmock.h>
#include <thread>

using testing::HasSubstr;

namespace {

template <typename T> T sized() {
  T value = {};
  value.struct_size = sizeof(T);
  return value;
}

int32_t greedy(const std::vector<int32_t> &tokens) {
  std::vector<float> logits = toy::reference(tokens);
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) -
                              logits.begin());
}

/// The tokens a greedy generation gives, by the reference alone.
std::vector<int32_t> expected(std::vector<int32_t> tokens, int32_t count,
                              bool stops = true) {
  std::vector<int32_t> result;
  for (int32_t i = 0; i < count; ++i) {
    tokens.push_back(greedy(tokens));
    result.push_back(tokens.back());
    if (stops && tokens.back() == toy::kEos)
      break;
  }
  return result;
}

struct CApiTest : testing::Test {
  void SetUp() override {
    folder.addTokenizer();
    open();
  }
  void TearDown() override {
    fdpp_session_destroy(session);
    fdpp_engine_close(engine);
  }
  void open() {
    ASSERT_EQ(fdpp_engine_open(folder.folder().c_str(), nullptr, &engine),
              FDPP_OK)
        << fdpp_last_error();
    auto options = sized<fdpp_session_options>();
    options.sequences = 4;
    options.threads = 2;
    ASSERT_EQ(fdpp_session_create(engine, &options, &session), FDPP_OK)
        << fdpp_last_error();
  }
  fdpp_sequence *sequence(uint64_t id = 0) {
    fdpp_sequence *made = nullptr;
    EXPECT_EQ(fdpp_sequence_create(session, id, &made), FDPP_OK);
    return made;
  }

  toy::Engine folder;
  fdpp_engine *engine = nullptr;
  fdpp_session *session = nullptr;
};

struct Heard {
  std::vector<std::vector<int32_t>> tokens{4};
  std::vector<std::string> text{4};
  int32_t stopAfter = 1 << 30;

  static int32_t hear(void *ctx, size_t index, int32_t token, const char *text,
                      size_t bytes) {
    Heard &self = *static_cast<Heard *>(ctx);
    if (token >= 0)
      self.tokens[index].push_back(token);
    self.text[index].append(text, bytes);
    return static_cast<int32_t>(self.tokens[index].size()) >= self.stopAfter;
  }
};

TEST_F(CApiTest, InfoTellsWhatTheManifestSays) {
  auto info = sized<fdpp_engine_info>();
  ASSERT_EQ(fdpp_engine_get_info(engine, &info), FDPP_OK);
  EXPECT_STREQ(info.name, "toy");
  EXPECT_STREQ(info.cache_dtype, "i32");
  EXPECT_EQ(info.vocab_size, toy::kVocab);
  EXPECT_EQ(info.cache_bytes_per_token, 16u);
  EXPECT_TRUE(info.has_tokenizer);
  EXPECT_TRUE(info.has_chat);
  ASSERT_EQ(info.num_stop_tokens, 1);
  EXPECT_EQ(info.stop_tokens[0], toy::kEos);
}

TEST_F(CApiTest, StructsOfAnotherSizeAreServed) {
  // An older caller knows only the first fields; the rest stays untouched.
  auto info = sized<fdpp_engine_info>();
  info.struct_size = offsetof(fdpp_engine_info, family);
  info.family = "mine";
  ASSERT_EQ(fdpp_engine_get_info(engine, &info), FDPP_OK);
  EXPECT_STREQ(info.name, "toy");
  EXPECT_STREQ(info.family, "mine");
  // A newer caller's array has a longer stride.
  struct Newer {
    fdpp_step_item item;
    int64_t future[3];
  } items[2] = {};
  int32_t tokens[] = {5, 6};
  for (int i = 0; i < 2; ++i) {
    items[i].item.struct_size = sizeof(Newer);
    items[i].item.sequence = sequence(i);
    items[i].item.tokens = &tokens[i];
    items[i].item.count = 1;
  }
  ASSERT_EQ(fdpp_session_step(session, &items[0].item, 2), FDPP_OK)
      << fdpp_last_error();
  EXPECT_EQ(fdpp_sequence_tokens(items[1].item.sequence)[0], 6);
  // Nobody's struct.
  fdpp_plan plan = {};
  EXPECT_EQ(fdpp_engine_plan(engine, nullptr, &plan), FDPP_ERROR);
  EXPECT_THAT(fdpp_last_error(), HasSubstr("struct_size is not set"));
}

TEST_F(CApiTest, ErrorsAreOfTheirThread) {
  EXPECT_EQ(fdpp_engine_open("/nowhere", nullptr, &engine), FDPP_ERROR);
  std::string here = fdpp_last_error();
  std::thread([] {
    EXPECT_STREQ(fdpp_last_error(), "");
    fdpp_engine *other;
    EXPECT_EQ(fdpp_engine_open("/elsewhere", nullptr, &other), FDPP_ERROR);
    EXPECT_THAT(fdpp_last_error(), HasSubstr("/elsewhere"));
  }).join();
  EXPECT_EQ(fdpp_last_error(), here);
}

TEST_F(CApiTest, TextGoesInAndComesOut) {
  std::string text = "h\xC3\xA9<eos>";
  int32_t tokens[8];
  size_t count = 0;
  ASSERT_EQ(
      fdpp_tokenize(engine, text.data(), text.size(), 1, tokens, 2, &count),
      FDPP_OK);
  ASSERT_EQ(count, 4u); // more than fitted
  ASSERT_EQ(
      fdpp_tokenize(engine, text.data(), text.size(), 1, tokens, 8, &count),
      FDPP_OK);
  EXPECT_THAT(std::vector<int32_t>(tokens, tokens + count),
              testing::ElementsAre('h', 0xC3, 0xA9, toy::kEos));
  char back[16];
  size_t bytes = 0;
  ASSERT_EQ(fdpp_detokenize(engine, tokens, count, 1, back, 16, &bytes),
            FDPP_OK);
  EXPECT_EQ(std::string(back, bytes), "h\xC3\xA9");
  auto message = sized<fdpp_message>();
  message.role = "user";
  message.text = "hi";
  message.bytes = 2;
  ASSERT_EQ(fdpp_apply_chat(engine, &message, 1, 1, back, 16, &bytes), FDPP_OK)
      << fdpp_last_error();
  EXPECT_EQ(bytes, 18u);
  EXPECT_EQ(std::string(back, 16),
            std::string("<bos><user>hi<bot>").substr(0, 16));
}

TEST_F(CApiTest, GreedyGenerationOfABatchIsThatOfEachAlone) {
  std::vector<std::vector<int32_t>> prompts = {
      {1, 2, 3}, {200, 100, 50, 25, 12, 6, 3, 1, 7, 9, 11}, {42}};
  Heard heard;
  std::vector<fdpp_generate_item> items;
  for (size_t i = 0; i < prompts.size(); ++i) {
    auto item = sized<fdpp_generate_item>();
    item.sequence = sequence(i);
    item.tokens = prompts[i].data();
    item.count = static_cast<int32_t>(prompts[i].size());
    item.max_new = 10 + static_cast<int32_t>(i);
    items.push_back(item);
  }
  ASSERT_EQ(
      fdpp_generate(session, items.data(), items.size(), Heard::hear, &heard),
      FDPP_OK)
      << fdpp_last_error();
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(heard.tokens[i], expected(prompts[i], items[i].max_new)) << i;
    EXPECT_EQ(items[i].generated, static_cast<int32_t>(heard.tokens[i].size()));
    EXPECT_EQ(items[i].reason, heard.tokens[i].back() == toy::kEos
                                   ? FDPP_STOP_TOKEN
                                   : FDPP_STOP_LENGTH);
  }
}

TEST_F(CApiTest, StreamedTextIsValidAndWhole) {
  // The toy speaks random bytes: the stream must repair them exactly as
  // decoding all of it at once does, and never cut a character.
  Heard heard;
  int32_t prompt[] = {9, 8, 7};
  auto item = sized<fdpp_generate_item>();
  item.sequence = sequence();
  item.tokens = prompt;
  item.count = 3;
  item.max_new = 50;
  item.ignore_stop = 1;
  ASSERT_EQ(fdpp_generate(session, &item, 1, Heard::hear, &heard), FDPP_OK);
  ASSERT_EQ(heard.tokens[0], expected({9, 8, 7}, 50, false));
  std::string whole(1000, 0);
  size_t bytes;
  ASSERT_EQ(fdpp_detokenize(engine, heard.tokens[0].data(), 50, 1, whole.data(),
                            whole.size(), &bytes),
            FDPP_OK);
  whole.resize(bytes);
  EXPECT_EQ(heard.text[0], whole);
}

TEST_F(CApiTest, GenerationStopsWhereItShould) {
  int32_t prompt[] = {1, 2, 3};
  auto item = sized<fdpp_generate_item>();
  item.sequence = sequence();
  item.tokens = prompt;
  item.count = 3;
  item.max_new = -1;
  item.ignore_stop = 1;
  Heard heard;
  ASSERT_EQ(fdpp_generate(session, &item, 1, Heard::hear, &heard), FDPP_OK);
  EXPECT_EQ(item.reason, FDPP_STOP_CONTEXT);
  EXPECT_EQ(item.generated, toy::kMaxContext - 3 + 1);

  ASSERT_EQ(fdpp_sequence_truncate(item.sequence, 0), FDPP_OK);
  heard = {};
  heard.stopAfter = 4;
  ASSERT_EQ(fdpp_generate(session, &item, 1, Heard::hear, &heard), FDPP_OK);
  EXPECT_EQ(item.reason, FDPP_STOP_CALLBACK);
  EXPECT_EQ(item.generated, 4);

  // Going on from the logits of a step, without a prompt.
  ASSERT_EQ(fdpp_sequence_truncate(item.sequence, 0), FDPP_OK);
  auto step = sized<fdpp_step_item>();
  step.sequence = item.sequence;
  step.tokens = prompt;
  step.count = 3;
  step.logits = FDPP_LOGITS_LAST;
  ASSERT_EQ(fdpp_session_step(session, &step, 1), FDPP_OK);
  item.count = 0;
  item.max_new = 5;
  heard = {};
  ASSERT_EQ(fdpp_generate(session, &item, 1, Heard::hear, &heard), FDPP_OK);
  EXPECT_EQ(heard.tokens[0], expected({1, 2, 3}, 5, false));
  ASSERT_EQ(fdpp_sequence_truncate(item.sequence, 2), FDPP_OK);
  EXPECT_EQ(fdpp_generate(session, &item, 1, nullptr, nullptr), FDPP_ERROR);
}

TEST_F(CApiTest, SampledTextDoesNotDependOnTheBatch) {
  auto sampling = sized<fdpp_sampling>();
  sampling.temperature = 50;
  sampling.seed = 7;
  int32_t prompt[] = {1, 2, 3};
  auto make = [&](uint64_t id) {
    auto item = sized<fdpp_generate_item>();
    item.sequence = sequence(id);
    item.tokens = prompt;
    item.count = 3;
    item.max_new = 20;
    item.ignore_stop = 1;
    item.sampling = &sampling;
    return item;
  };
  std::vector<fdpp_generate_item> batch = {make(5), make(6), make(7)};
  Heard together, alone;
  ASSERT_EQ(fdpp_generate(session, batch.data(), 3, Heard::hear, &together),
            FDPP_OK);
  EXPECT_NE(together.tokens[0], together.tokens[1]);
  fdpp_generate_item same = make(6);
  ASSERT_EQ(fdpp_generate(session, &same, 1, Heard::hear, &alone), FDPP_OK);
  EXPECT_EQ(alone.tokens[0], together.tokens[1]);
}

TEST_F(CApiTest, AnEngineThatCannotBeBatchInvariantSaysSo) {
  auto options = sized<fdpp_session_options>();
  options.batch_invariant = 1;
  fdpp_session *other = nullptr;
  EXPECT_EQ(fdpp_session_create(engine, &options, &other), FDPP_ERROR);
  EXPECT_THAT(fdpp_last_error(), HasSubstr("other sequences of a batch"));
}

TEST_F(CApiTest, RefusalsHaveTheirOwnCodes) {
  std::vector<int32_t> tokens(toy::kMaxContext + 1, 1);
  auto item = sized<fdpp_step_item>();
  item.sequence = sequence();
  item.tokens = tokens.data();
  item.count = static_cast<int32_t>(tokens.size());
  EXPECT_EQ(fdpp_session_step(session, &item, 1), FDPP_ERROR_CONTEXT);

  auto options = sized<fdpp_session_options>();
  options.pages = 2;
  fdpp_session *small = nullptr;
  ASSERT_EQ(fdpp_session_create(engine, &options, &small), FDPP_OK);
  EXPECT_EQ(fdpp_session_step(small, &item, 1), FDPP_ERROR);
  EXPECT_THAT(fdpp_last_error(), HasSubstr("another session"));
  fdpp_sequence *own = nullptr;
  ASSERT_EQ(fdpp_sequence_create(small, 0, &own), FDPP_OK);
  EXPECT_EQ(fdpp_sequence_create(small, 0, &own), FDPP_ERROR);
  item.sequence = own;
  item.count = 9;
  EXPECT_EQ(fdpp_session_step(small, &item, 1), FDPP_ERROR_NO_PAGE);
  EXPECT_THAT(fdpp_last_error(), HasSubstr("no free page"));
  item.count = 8;
  EXPECT_EQ(fdpp_session_step(small, &item, 1), FDPP_OK);
  fdpp_session_destroy(small);
}

TEST_F(CApiTest, TheEngineOutlivesItsHandle) {
  fdpp_engine_close(engine);
  engine = nullptr;
  int32_t token = 3;
  auto item = sized<fdpp_step_item>();
  item.sequence = sequence();
  item.tokens = &token;
  item.count = 1;
  item.logits = FDPP_LOGITS_LAST;
  ASSERT_EQ(fdpp_session_step(session, &item, 1), FDPP_OK);
  int32_t next = 0;
  ASSERT_EQ(fdpp_sequence_sample(item.sequence, nullptr, &next), FDPP_OK);
  EXPECT_EQ(next, greedy({3}));
}

TEST_F(CApiTest, SessionsOfOneEngineRunInParallel) {
  auto work = [&](int32_t seed) {
    auto options = sized<fdpp_session_options>();
    options.threads = 2;
    fdpp_session *own = nullptr;
    ASSERT_EQ(fdpp_session_create(engine, &options, &own), FDPP_OK);
    fdpp_sequence *text = nullptr;
    ASSERT_EQ(fdpp_sequence_create(own, 0, &text), FDPP_OK);
    auto item = sized<fdpp_generate_item>();
    item.sequence = text;
    item.tokens = &seed;
    item.count = 1;
    item.max_new = 20;
    item.ignore_stop = 1;
    Heard heard;
    ASSERT_EQ(fdpp_generate(own, &item, 1, Heard::hear, &heard), FDPP_OK);
    EXPECT_EQ(heard.tokens[0], expected({seed}, 20, false));
    fdpp_session_destroy(own);
  };
  std::thread a(work, 1), b(work, 2);
  a.join();
  b.join();
}

TEST_F(CApiTest, PlanAndCeilingAreSane) {
  auto options = sized<fdpp_session_options>();
  options.context = 32;
  options.sequences = 3;
  auto plan = sized<fdpp_plan>();
  ASSERT_EQ(fdpp_engine_plan(engine, &options, &plan), FDPP_OK);
  EXPECT_EQ(plan.pages, 24);
  EXPECT_EQ(plan.cache_bytes, 24u * 2 * 32);
  EXPECT_EQ(plan.fitting_context, toy::kMaxContext);
  EXPECT_GT(plan.fitting_sequences, 1000);
  double rate = 0;
  ASSERT_EQ(fdpp_session_read_ceiling(session, 1 << 26, &rate), FDPP_OK);
  EXPECT_GT(rate, 1e8);
  EXPECT_LT(rate, 1e13);
}

} // namespace
