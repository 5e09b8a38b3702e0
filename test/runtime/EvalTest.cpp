// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-eval: its statistics, its reference files, and how it answers a user.
#include "Evaluate.h"

#include "ToyEngine.h"
#include "ToyFormula.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <iterator>
#include <sys/wait.h>

using namespace fdpp::eval;
using testing::HasSubstr;

namespace {

std::string slurp(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(GroupedMean, TakesItsErrorFromTheGroups) {
  GroupedMean mean;
  EXPECT_EQ(mean.estimate().mean, 0);
  // Values that are the same within a group say no more than one of them.
  for (double value : {1.0, 1.0, 1.0, 1.0})
    mean.add(value);
  mean.endGroup();
  for (double value : {3.0, 3.0, 3.0, 3.0})
    mean.add(value);
  mean.endGroup();
  mean.endGroup(); // an empty one does not count
  EXPECT_DOUBLE_EQ(mean.estimate().mean, 2);
  EXPECT_DOUBLE_EQ(mean.estimate().error, 1);
}

TEST(GroupedMean, TakesItsErrorFromTheValuesOfOneGroup) {
  GroupedMean mean;
  for (double value : {1.0, 2.0, 3.0, 4.0})
    mean.add(value);
  mean.endGroup();
  EXPECT_DOUBLE_EQ(mean.estimate().mean, 2.5);
  EXPECT_NEAR(mean.estimate().error, std::sqrt(1.25 / 3), 1e-12);
}

TEST(ScoreRow, IsTheLogSoftmax) {
  std::vector<float> logits = {1000, 1001, 1001, -1000};
  RowScore score = scoreRow(logits, 0);
  EXPECT_NEAR(score.nll, std::log(1 + 2 * std::exp(1.0)), 1e-6);
  EXPECT_EQ(score.top, 1); // the lower of two equal ones
  EXPECT_TRUE(score.finite);
  logits[3] = NAN;
  EXPECT_FALSE(scoreRow(logits, 0).finite);
}

TEST(Divergence, IsTheSumOverTheVocabulary) {
  std::vector<float> logits = {0, 1, 2};
  double logSumExp = scoreRow(logits, 0).logSumExp;
  std::vector<float> same = {float(0 - logSumExp), float(1 - logSumExp),
                             float(2 - logSumExp)};
  EXPECT_NEAR(divergence(same, logits, logSumExp), 0, 1e-6);
  // A factor that rounding left in the probabilities changes nothing.
  for (float &value : same)
    value += 0.005F;
  EXPECT_NEAR(divergence(same, logits, logSumExp), 0, 1e-6);
  std::vector<float> half = {std::log(0.5F), std::log(0.5F), -INFINITY};
  double expected = 0.5 * (std::log(0.5) - (0 - logSumExp)) +
                    0.5 * (std::log(0.5) - (1 - logSumExp));
  EXPECT_NEAR(divergence(half, logits, logSumExp), expected, 1e-6);
}

/// Two windows over a vocabulary of three, written to `path`.
void writeReference(const std::string &path, Stored stored) {
  std::vector<Window> windows = {{{0, 1, 2}, 2}, {{2, 0}, 1}};
  ReferenceWriter writer(path, windows, "a \"test\"", 3, stored);
  for (int row = 0; row < 3; ++row) {
    std::vector<float> logits = {float(row), 0, -1};
    RowScore score = scoreRow(logits, 1);
    writer.add(score.nll, score.top, logits, score.logSumExp);
  }
  writer.finish();
}

TEST(Reference, IsReadAsItWasWritten) {
  toy::TemporaryFolder folder;
  std::string path = folder.path() + "/r.safetensors";
  for (Stored stored : {Stored::None, Stored::F16, Stored::F32}) {
    writeReference(path, stored);
    ReferenceReader reader(path);
    EXPECT_EQ(reader.source(), "a \"test\"");
    EXPECT_EQ(reader.windows(),
              (std::vector<Window>{{{0, 1, 2}, 2}, {{2, 0}, 1}}));
    EXPECT_EQ(reader.top(0), 0);
    EXPECT_EQ(reader.vocab(), stored == Stored::None ? 0 : 3);
    std::vector<float> row(3);
    for (int r = 0; r < 3 && stored != Stored::None; ++r) {
      reader.nextRow(row);
      EXPECT_NEAR(row[1], -reader.nll(r), stored == Stored::F16 ? 2e-3 : 1e-6);
    }
  }
  // Nothing but the file is left.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()),
                          std::filesystem::directory_iterator()),
            1);
}

/// What the reader says of these bytes, read to the end; "" if nothing.
std::string complaint(const std::string &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  try {
    ReferenceReader reader(path);
    std::vector<float> row(reader.vocab());
    for (int64_t r = 0; r < scoredTokens(reader.windows()); ++r)
      if (reader.vocab() > 0)
        reader.nextRow(row);
    return "";
  } catch (const fdpp::tools::Failure &failure) {
    return failure.what();
  }
}

TEST(Reference, RefusesWhatIsDamaged) {
  toy::TemporaryFolder folder;
  std::string path = folder.path() + "/r.safetensors";
  writeReference(path, Stored::F16);
  const std::string whole = slurp(path);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_THAT(complaint(path, whole.substr(0, size)), HasSubstr("damaged"))
        << size;
  auto with = [&](const std::string &from, const std::string &to) {
    std::string changed = whole;
    size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return complaint(path, changed.replace(at, from.size(), to));
  };
  EXPECT_EQ(complaint(path, whole), "");
  EXPECT_THAT(with("\"version\":\"1\"", "\"version\":\"9\""),
              HasSubstr("version 1"));
  EXPECT_THAT(with("\"nll\"", "\"nlx\""), HasSubstr("nll is missing"));
  EXPECT_THAT(with("\"shape\":[2,2]", "\"shape\":[9,2]"),
              HasSubstr("windows is missing or does not fit"));
  EXPECT_THAT(with("\"shape\":[3,3]", "\"shape\":[9,1]"),
              HasSubstr("log_probs does not fit"));
  // Bytes turned at random: refused, or read as other numbers.
  for (size_t at = 0; at < whole.size(); at += 3)
    for (int bit : {0, 6}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      complaint(path, changed);
    }
}

struct EvalTool : testing::Test {
  struct Outcome {
    int code;
    std::string out, err;
  };
  Outcome eval(const std::string &arguments) const {
    std::string out = folder.path() + "/out", err = folder.path() + "/err";
    std::string line = std::string(FDPP_EVAL) + " " + arguments +
                       " </dev/null >" + out + " 2>" + err;
    int status = std::system(line.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(out),
            slurp(err)};
  }
  void refused(const std::string &arguments, const std::string &text) const {
    Outcome outcome = eval(arguments);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1)
        << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(text));
  }
  std::string put(const std::string &name, const std::string &text) const {
    std::ofstream(folder.path() + "/" + name, std::ios::binary) << text;
    return folder.path() + "/" + name;
  }
  void SetUp() override { engine.addTokenizer(); }

  toy::Engine engine;
  toy::TemporaryFolder folder;
};

TEST_F(EvalTool, ComputesThePerplexity) {
  const std::string text = "tick, tock";
  double sum = 0;
  int32_t count = 0;
  for (size_t begin = 0; begin < text.size(); begin += 4) {
    std::string piece = text.substr(begin, 4);
    std::vector<int32_t> tokens;
    for (size_t i = 0; i + 1 < piece.size(); ++i) {
      tokens.push_back(static_cast<unsigned char>(piece[i]));
      std::vector<float> row = toy::reference(tokens);
      sum += scoreRow(row, static_cast<unsigned char>(piece[i + 1])).nll;
      ++count;
    }
  }
  Outcome outcome =
      eval(engine.folder() + " --json -c 4 --text " + put("text", text));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  auto result = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(result["scored_tokens"], count);
  EXPECT_EQ(result["windows"], 3);
  EXPECT_NEAR(result["nll"]["mean"], sum / count, 1e-6);
}

TEST_F(EvalTool, ComparesWithAReference) {
  std::string text = put("text", "tick, tock, tick"), r = folder.path() + "/r";
  Outcome saved = eval(engine.folder() + " -c 6 --store f32 --text " + text +
                       " --save " + r);
  ASSERT_EQ(saved.code, 0) << saved.err;
  Outcome same = eval(engine.folder() +
                      " --json --max-kl 1e-6 --min-same-top "
                      "1 --reference " +
                      r);
  ASSERT_EQ(same.code, 0) << same.err;
  auto result = nlohmann::json::parse(same.out);
  EXPECT_NEAR(result["kl"]["mean"], 0, 1e-6);
  EXPECT_NEAR(result["perplexity_ratio"]["mean"], 1, 1e-4);
  EXPECT_EQ(result["same_top"]["mean"], 1);
  refused(engine.folder() + " -c 5 --text " + text + " --reference " + r,
          "another text, tokenizer, -c or --windows");
  // Another reference: one loss is higher by the number of scored tokens.
  std::string bytes = slurp(r);
  ReferenceReader reader(r);
  auto rows = static_cast<float>(scoredTokens(reader.windows()));
  auto first = static_cast<float>(reader.nll(0)), higher = first + rows;
  size_t at = bytes.find(std::string(reinterpret_cast<char *>(&first), 4));
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 4, reinterpret_cast<char *>(&higher), 4);
  Outcome off = eval(engine.folder() + " --max-perplexity-change 0.5" +
                     " --reference " + put("off", bytes));
  EXPECT_EQ(off.code, 1);
  EXPECT_THAT(off.err, HasSubstr("perplexity is -63.21"));
}

TEST_F(EvalTool, RefusesInOneLine) {
  const std::string dir = engine.folder();
  refused(dir, "give --text, --reference or both");
  refused(dir + " --text /no/such/file", "cannot read the text");
  refused(dir + " --text /", "cannot read the text");
  refused(dir + " --text " + put("empty", ""), "nothing to predict");
  refused(dir + " --text " + put("a", "abc") + " -c 1", "with -c");
  refused(dir + " --text " + put("a", "abc") + " -c 100000", "context");
  refused(dir + " --text " + put("a", "abc") + " --store f8", "--store takes");
  refused(dir + " --text " + put("a", "abc") + " --max-kl 1",
          "give --reference");
  refused(dir + " --text " + put("a", "abc") + " --save /no/such/dir/r",
          "cannot write the reference");
  refused(dir + " --reference " + put("junk", "junk"), "no reference");
  refused(dir + " --reference " + put("junk", "junk") + " -c 5", "are given");
  writeReference(folder.path() + "/three", Stored::F16);
  refused(dir + " --reference " + folder.path() + "/three",
          "3 tokens in its vocabulary, the engine 260");
  refused("/no/such/engine --text " + put("a", "abc"), "no such engine");
}

} // namespace
