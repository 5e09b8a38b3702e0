// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-calibrate: what it chooses, what it writes and installs.
#include "Calibrate.h"

#include "ToyEngine.h"
#include "ToyFormula.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>
#include <sys/wait.h>

using namespace fdpp::calibrate;
using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

constexpr Format kFp32 = kFormats[0], kFp16 = kFormats[2];

/// Heads of one layer whose rows have these log-sum-exps, and largest logits
/// one below.
Counts countsOf(const std::vector<std::vector<double>> &heads) {
  Counts counts(1, static_cast<int32_t>(heads.size()));
  for (size_t head = 0; head < heads.size(); ++head)
    for (double value : heads[head]) {
      auto add = [&](std::vector<uint64_t> &all, double x) {
        auto bin = static_cast<size_t>((x - Counts::kLow) / Counts::kWidth);
        ++all[head * Counts::kBins + bin];
      };
      add(counts.rowLogSumExp, value);
      add(counts.rowMaximum, value - 1);
      float *extremes = &counts.extremes[head * 4];
      extremes[0] = std::min<float>(extremes[0], float(value) - 1);
      extremes[1] = std::max<float>(extremes[1], float(value) - 1);
      extremes[2] = std::min<float>(extremes[2], float(value));
      extremes[3] = std::max<float>(extremes[3], float(value));
    }
  return counts;
}

TEST(Choose, TakesZeroWhereItFits) {
  Counts counts = countsOf({{-30, 0, 40}});
  EXPECT_EQ(choose(counts, kFp32, 0, 1), 0);
  EXPECT_EQ(failing(counts, kFp32, 0, 1, 0), 0);
}

TEST(Choose, TakesTheMiddleElsewhere) {
  // Valid in fp32 from phi - 58.2 (log-sum-exp) to phi + 70.4 (maximum).
  Counts counts = countsOf({{300, 310}});
  double phi = choose(counts, kFp32, 0, 1);
  EXPECT_NEAR(phi, ((309.25 - 70.4) + (300 + 58.22)) / 2, 0.5);
  EXPECT_EQ(failing(counts, kFp32, 0, 1, phi), 0);
  EXPECT_EQ(failing(counts, kFp32, 0, 1, 0), 1);
  // In fp16 from phi to phi + 11.09.
  counts = countsOf({{3, 12}});
  phi = choose(counts, kFp16, 0, 1);
  EXPECT_GT(phi, 0);
  EXPECT_LE(phi, 3);
  EXPECT_EQ(failing(counts, kFp16, 0, 1, phi), 0);
}

TEST(Choose, LeavesAHeadExactThatFailsOften) {
  // 20 apart: no window of fp16 holds both. One row in 16 may fail.
  std::vector<double> rows(16, 5.0);
  rows.back() = 25.0;
  Counts counts = countsOf({rows});
  double phi = choose(counts, kFp16, 0, 1);
  EXPECT_LE(phi, 5);
  EXPECT_EQ(failing(counts, kFp16, 0, 1, phi), 1.0 / 16);
  rows.pop_back();
  rows.back() = 25.0;
  EXPECT_TRUE(std::isnan(choose(countsOf({rows}), kFp16, 0, 1)));
}

TEST(Choose, CountsBinsAtTheirWorseEdge) {
  // With phi = 0.1 the first row fails; the second is in the same bin.
  Counts counts = countsOf({{0.05, 0.2, 5.0, 9.0}});
  EXPECT_EQ(failing(counts, kFp16, 0, 1, 0.1), 0.5);
  // Below all rows nothing can fail, whatever the bins.
  EXPECT_EQ(failing(counts, kFp16, 0, 1, 0.0), 0);
}

TEST(Candidates, OneAHeadIsBest) {
  Counts counts = countsOf({{1, 9}, {21, 29}});
  std::vector<Candidate> all = candidates(counts);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(std::string(all[0].name), "zero");
  EXPECT_EQ(all[0].costs[2].recomputed, 0.5); // fp16: the second head's rows
  EXPECT_EQ(all[1].costs[2].exactHeads, 2);   // no phi for both
  EXPECT_EQ(all[3].costs[2].recomputed, 0);
  EXPECT_EQ(all[3].costs[2].exactHeads, 0);
  EXPECT_EQ(all[3].costs[0].recomputed, 0);
}

struct CalibrateTool : testing::Test {
  struct Outcome {
    int code;
    std::string out, err;
  };
  static std::string slurp(const std::string &path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  Outcome calibrate(const std::string &arguments) const {
    std::string out = folder.path() + "/out", err = folder.path() + "/err";
    std::string line = std::string(FDPP_CALIBRATE) + " " + arguments +
                       " </dev/null >" + out + " 2>" + err;
    int status = std::system(line.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(out),
            slurp(err)};
  }
  void refused(const std::string &arguments, const std::string &text) const {
    Outcome outcome = calibrate(arguments);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1)
        << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(text));
  }
  std::string text() const {
    std::string path = folder.path() + "/text";
    std::ofstream(path) << "The quick brown fox jumps over the lazy dog.";
    return path;
  }
  void SetUp() override { engine.addTokenizer(); }

  toy::Engine engine;
  toy::TemporaryFolder folder;
};

TEST_F(CalibrateTool, WritesAndInstallsThePhi) {
  std::string output = folder.path() + "/calibration";
  Outcome outcome = calibrate(engine.folder() + " -c 16 --text " + text() +
                              " -o " + output + " --install");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("44 tokens in 3 windows"));
  json phi = json::parse(slurp(output + "/phi.json"));
  EXPECT_EQ(phi["magic"], "fdpp-phi");
  EXPECT_EQ(phi["phi"][0], json({0.0, 0.0}));
  EXPECT_EQ(phi["phi"][1][0], 0.0);
  // Rows of 297.5 to about 302: phi lies between 302 - 70 and 297.5 + 58.
  EXPECT_NEAR(phi["phi"][1][1].get<double>(), 293, 2);
  json counts = json::parse(slurp(output + "/calibration.json"));
  EXPECT_EQ(counts["heads"].size(), 4u);
  EXPECT_EQ(counts["heads"][3]["logits"], json({297.5, 300.5}));
  EXPECT_EQ(counts["tokens"], 44);

  // The engine opens with it, every hash is right, and twice keeps the old.
  EXPECT_EQ(slurp(engine.file("phi.json")), slurp(output + "/phi.json"));
  EXPECT_FALSE(fs::exists(engine.file("phi.json.old")));
  EXPECT_NO_THROW(fdpp::tools::openEngine(engine.folder(), /*verify=*/true));
  Outcome again = calibrate(engine.folder() + "/ -c 16 --windows 1 --text " +
                            text() + " -o " + output + " --install");
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(json::parse(slurp(engine.file("phi.json.old")))["tokens"], 44);
  EXPECT_EQ(json::parse(slurp(engine.file("phi.json")))["tokens"], 16);
  EXPECT_NO_THROW(fdpp::tools::openEngine(engine.folder(), /*verify=*/true));
  // Nothing is left beside it.
  for (const auto &entry :
       fs::directory_iterator(fs::path(engine.folder()).parent_path()))
    EXPECT_THAT(entry.path().string(),
                testing::Not(HasSubstr(engine.folder() + ".")));
}

TEST_F(CalibrateTool, RefusesInOneLine) {
  const std::string dir = engine.folder();
  refused(dir, "--text");
  refused(dir + " --text /no/such/file", "cannot read the text");
  refused(dir + " --text " + text() + " --format fp8", "fp32, bf16 or fp16");
  refused(dir + " --text " + text() + " -c 1", "-c must be 2 or more");
  refused(dir + " --text " + text() + " -o /proc/none", "cannot make");
  refused(dir + " --text " + text() + " -o " + text(), "cannot make");
  refused("/no/such/engine --text " + text(), "no such engine");
  toy::Engine older("toy_counts_nothing");
  older.addTokenizer();
  refused(older.folder() + " --text " + text() + " -o " + folder.path(),
          "compile it again");
}

} // namespace
