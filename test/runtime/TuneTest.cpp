// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What fdpp-tune makes of measurements, and how it answers a user.
#include "Tune.h"

#include "ToyEngine.h"
#include "kernels/common/tuning.h"

#include <cstdlib>
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>
#include <sys/wait.h>

using namespace fdpp::tune;
using testing::HasSubstr;

namespace {

/// A point whose variants took these times; the first is the roofline's.
Point point(int32_t m, std::vector<std::pair<Variant, double>> times) {
  Point result{0, m, {}};
  for (auto &[variant, seconds] : times)
    // One round in three was disturbed.
    result.variants.push_back(
        {variant, {seconds, seconds * 3, seconds}, false});
  return result;
}

std::string text(const Choice &choice) {
  std::string all;
  for (const Range &range : choice.ranges)
    all += std::string(range.kind) + "<" +
           std::to_string(range.variant.tokens) + ", " +
           std::to_string(range.variant.prefetch) + "> to " +
           std::to_string(range.to) + "; ";
  return all;
}

Choice chosen(const std::vector<Point> &points) {
  return choose(pointsOf(points, 0));
}

constexpr Variant kGemv{1, 4096}, kFlat{6, 4096}, kLarge{6, 0}, kFour{4, 0};

TEST(Choose, TakesWhatIsClearlyFaster) {
  std::vector<Point> points = {
      point(1, {{kGemv, 1.0}, {{1, 1024}, 0.99}}), // within the noise
      point(2, {{kFlat, 1.0}, {{6, 2048}, 0.9}, {{1, 0}, 2.0}}),
      point(3, {{kFlat, 1.0}, {{6, 2048}, 0.904}, {{6, 1024}, 0.9}}),
      point(4, {{kFlat, 1.0}, {{2, 0}, 0.5}}),
      point(5, {{kFlat, 1.0}}),
      point(6, {{kFlat, 1.0}}),
      point(7, {{kLarge, 1.0}, {kFour, 0.8}}),
  };
  Choice choice = chosen(points);
  EXPECT_EQ(text(choice), "gemv<1, 4096> to 1; flat<6, 2048> to 3; "
                          "large<2, 0> to 4; flat<6, 4096> to 6; "
                          "large<4, 0> to 7; large<6, 0> to 0; ");
  EXPECT_EQ(choice.chosen, (std::vector<int32_t>{0, 1, 1, 1, 0, 0, 1}));
  EXPECT_EQ(choice.m1, 1);
  EXPECT_EQ(choice.m2, 6);
  EXPECT_NEAR(choice.speedup, std::pow(1 / (0.9 * 0.904 * 0.5 * 0.8), 1.0 / 7),
              1e-9);
}

TEST(Choose, WantsToBeSure) {
  Point unsure = point(9, {{kLarge, 1.0}, {kFour, 0.8}});
  unsure.variants[0].seconds = {1, 1, 1, 1, 1};
  unsure.variants[1].seconds = {0.9, 1.1, 0.9, 0.9, 1.1};
  EXPECT_EQ(chosen({unsure}).chosen.front(), 0);
  unsure.variants[1].seconds[4] = 0.9;
  EXPECT_EQ(chosen({unsure}).chosen.front(), 1);
  unsure.variants[1].dropped = true;
  EXPECT_EQ(chosen({unsure}).chosen.front(), 0);
}

TEST(Choose, GuessesNothingBetweenMeasurements) {
  std::vector<Point> points = {
      point(1, {{kGemv, 1.0}}),
      point(7, {{kLarge, 1.0}, {kFour, 0.8}}),
      point(9, {{kLarge, 1.0}, {kFour, 0.8}}),   // the same: all of 7 to 9
      point(16, {{kLarge, 1.0}, {{5, 0}, 0.8}}), // not the same: 16 alone
      point(32, {{kLarge, 1.0}}),
  };
  EXPECT_EQ(text(chosen(points)), "gemv<1, 4096> to 1; flat<6, 0> to 6; "
                                  "large<4, 0> to 9; large<6, 0> to 15; "
                                  "large<5, 0> to 16; large<6, 0> to 0; ");
}

TEST(Choose, JudgesByAnotherMeasurement) {
  std::vector<Point> points = {
      point(1, {{kGemv, 1.0}, {{1, 1024}, 0.8}}),
      point(2, {{kLarge, 1.0}, {kFour, 1.25}}),
  };
  std::vector<std::vector<Range>> ranges = {
      {{1, "gemv", {1, 1024}}, {0, "large", {3, 0}}}};
  addVariants(ranges, points);
  ASSERT_EQ(points[1].variants.size(), 3u);
  EXPECT_EQ(points[1].variants[2].variant, (Variant{3, 0}));
  points[1].variants[2].seconds = {2, 6, 2};
  Verdict verdict = judge(pointsOf(points, 0), ranges[0]);
  EXPECT_NEAR(verdict.mean, std::sqrt(1.0 * 2.0), 1e-9);
  EXPECT_NEAR(verdict.worst, 2.0, 1e-9);
  EXPECT_EQ(verdict.worstM, 2);
  EXPECT_NEAR(verdict.rooflineMean, std::sqrt(1.25), 1e-9);
}

/// It needs a package and room: 5 % over the best of our own, in most rounds.
TEST(Choose, TakesALibraryWhereItWinsClearly) {
  constexpr Variant library{};
  std::vector<Point> points = {
      point(1, {{kGemv, 1.0}, {library, 0.96}}),
      point(2, {{kFlat, 1.0}, {{6, 2048}, 0.9}, {library, 0.86}}),
      point(3, {{kFlat, 1.0}, {{6, 2048}, 0.9}, {library, 0.85}}),
      point(4, {{kFlat, 1.0}, {{6, 2048}, 0.9}, {library, 0.89}}),
      point(8, {{kLarge, 1.0}, {library, 0.5}}),
      point(16, {{kLarge, 1.0}, {library, 0.5}}),
  };
  Choice choice = chosen(points);
  EXPECT_EQ(text(choice), "gemv<1, 4096> to 1; flat<6, 2048> to 2; "
                          "library<0, 0> to 3; flat<6, 2048> to 4; "
                          "large<6, 0> to 7; library<0, 0> to 16; "
                          "large<6, 0> to 0; ");
  EXPECT_TRUE(hasLibrary(points));
  points.back().variants.back().seconds = {0.5, 2, 2};
  EXPECT_EQ(chosen(points).chosen.back(), 0);
}

TEST(Plan, MeasuresALibraryWhereAsked) {
  Work work;
  work.shapes = {{64, 64, 0}};
  EXPECT_FALSE(hasLibrary(planPoints(work, "avx2")));
  for (const Point &at : planPoints(work, "avx2", /*library=*/true))
    EXPECT_TRUE(at.variants.back().variant.isLibrary());
}

TEST(Plan, MeasuresEveryVariantThatMayWin) {
  Work work;
  work.shapes = {{64, 64, 0}};
  std::vector<Point> points = planPoints(work, "avx2");
  ASSERT_EQ(points.size(), measuredTokens().size());
  for (int32_t m : {1, 2, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512})
    EXPECT_THAT(measuredTokens(), testing::Contains(m));
  for (const Point &at : points) {
    Variant first = at.variants.front().variant;
    EXPECT_EQ(first, at.m == 1 ? kGemv : at.m <= 6 ? kFlat : kLarge);
    EXPECT_GE(at.variants.size(), 3u) << at.m;
    for (const Samples &samples : at.variants)
      EXPECT_LE(samples.variant.tokens, 6);
  }
}

struct TuneTool : testing::Test {
  struct Outcome {
    int code;
    std::string out, err;
  };
  static std::string slurp(const std::string &path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  Outcome tune(const std::string &arguments) const {
    std::string out = folder.path() + "/out", err = folder.path() + "/err";
    int status = std::system(
        (FDPP_TUNE " " + arguments + " </dev/null >" + out + " 2>" + err)
            .c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(out),
            slurp(err)};
  }
  void refused(const std::string &arguments, const std::string &why) const {
    Outcome outcome = tune(arguments);
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1)
        << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(why));
  }
  std::string file(const std::string &name, const std::string &content) const {
    std::string path = folder.path() + "/" + name;
    std::ofstream(path) << content;
    return path;
  }

  toy::TemporaryFolder folder;
};

TEST_F(TuneTool, WritesATable) {
  std::string list = file("list", "# a small one\n64 48 bf16\n\n33 17 f32 # and"
                                  " an odd one\n64 48 bf16\n");
  std::string table = folder.path() + "/t.json";
  Outcome outcome = tune(list + " -o " + table + " --budget 1 -t 1");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("64x48 bf16: "));
  EXPECT_THAT(outcome.out, HasSubstr("2 shapes measured, 0 kept"));
  nlohmann::json read = nlohmann::json::parse(slurp(table));
  EXPECT_EQ(read["magic"], "fdpp-tuning");
  EXPECT_EQ(read["device"]["threads"], 1);
  ASSERT_EQ(read["shapes"].size(), 2u);
  for (const auto &shape : read["shapes"]) {
    ASSERT_EQ(shape["points"].size(), measuredTokens().size());
    for (const auto &at : shape["points"])
      for (const auto &variant : at["variants"]) {
        EXPECT_GT(variant["us"], 0.0);
        EXPECT_LE(variant["min"], variant["us"]);
        EXPECT_LE(variant["us"], variant["max"]);
      }
    EXPECT_FALSE(shape["ranges"].back().contains("to"));
  }
  // It can be judged, for the shapes it has.
  outcome = tune(list + " --judge " + table + " --budget 1 -t 1");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("| 33x17 f32 | "));
  refused(file("more", "8 8 f16") + " --judge " + table, "has no 8x8 f16");
  // Tiles are as wide as the level's.
  std::string level = read["device"]["kernels"];
  read["shapes"][0]["ranges"][0]["tokens"] = fdpp::most_tile_of(level) + 1;
  refused(list + " --judge " + file("wide.json", read.dump()),
          "integer from 1 to " + std::to_string(fdpp::most_tile_of(level)));
  read["device"]["kernels"] = "other";
  refused(list + " --judge " + file("other.json", read.dump()),
          "measured with other kernels, these are " + level);
}

TEST_F(TuneTool, ReadsTilesOfTheMatrixUnit) {
  std::string table = file("amx.json", R"({"magic": "fdpp-tuning", "format": 1,
      "device": {"kernels": "amx"},
      "shapes": [{"n": 64, "k": 48, "dtype": "bf16", "ranges": [
          {"kind": "flat", "tokens": 32, "prefetch": 4096}]}]})");
  std::vector<std::vector<Range>> ranges =
      readRanges(table, readWork(file("list", "64 48 bf16\n")), "amx");
  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_EQ(ranges[0][0].variant, (Variant{32, 4096}));
}

TEST_F(TuneTool, AddsToATable) {
  std::string first = file("first", "64 48 bf16\n33 17 f32\n");
  std::string table = folder.path() + "/t.json";
  ASSERT_EQ(tune(first + " --budget 0.5 -t 1 -o " + table).code, 0);
  nlohmann::ordered_json before = nlohmann::ordered_json::parse(slurp(table));
  // One shape of it again, and one more.
  std::string second = file("second", "33 17 f32\n16 16 f16\n");
  Outcome outcome =
      tune(second + " --budget 0.5 -t 1 --add " + table + " -o " + table);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("2 shapes measured, 1 kept"));
  nlohmann::ordered_json after = nlohmann::ordered_json::parse(slurp(table));
  ASSERT_EQ(after["shapes"].size(), 3u);
  EXPECT_EQ(after["shapes"][0], before["shapes"][0]);
  EXPECT_NE(after["shapes"][1], before["shapes"][1]);
  EXPECT_EQ(after["shapes"][2]["dtype"], "f16");

  nlohmann::ordered_json damaged = before;
  damaged["shapes"][0].erase("points");
  refused(second + " --add " + file("damaged.json", damaged.dump()),
          "shapes[0].points");
  before["device"]["model"] = 12345;
  std::string other = file("other.json", before.dump());
  refused(second + " --add " + other, "measured on another processor");
  before["versions"]["kernels"] = 12345;
  refused(second + " --add " + file("older.json", before.dump()),
          "kernels of another version");
  refused(second + " --add " + first, "no tuning table");
  refused(second + " --add " + table + " --judge " + table, "excludes");
}

TEST_F(TuneTool, ForcesAKind) {
  std::string list = file("list", "64 48 bf16\n33 17 f32\n");
  for (const char *kind : {"gemv", "flat", "library"}) {
    std::string table = folder.path() + "/" + kind + ".json";
    Outcome outcome = tune(list + " --always " + kind + " -o " + table);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    nlohmann::json read = nlohmann::json::parse(slurp(table));
    EXPECT_EQ(read["format"], kind == std::string("library") ? 2 : 1);
    ASSERT_EQ(read["shapes"].size(), 2u);
    for (const auto &shape : read["shapes"]) {
      ASSERT_EQ(shape["ranges"].size(), 1u);
      EXPECT_EQ(shape["ranges"][0]["kind"], kind);
    }
  }
  refused(list + " --always best", "no kind is called 'best'");
}

TEST_F(TuneTool, MeasuresALibrary) {
  std::string list = file("list", "64 48 bf16\n33 17 f32\n");
  std::string table = folder.path() + "/t.json";
  setenv("FDPP_BLAS", "/no/such/blas.so", 1);
  refused(list + " --library -o " + table,
          "cannot open /no/such/blas.so (/no/such/blas.so: cannot open shared "
          "object file: No such file or directory); install libblis4-serial");
  setenv("FDPP_BLAS", FDPP_TOY_BLAS, 1);
  Outcome outcome = tune(list + " --library --budget 1 -t 2 -o " + table);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  nlohmann::json read = nlohmann::json::parse(slurp(table));
  EXPECT_EQ(read["format"], 2);
  EXPECT_EQ(read["device"]["library"], FDPP_TOY_BLAS);
  for (const auto &shape : read["shapes"])
    for (const auto &at : shape["points"])
      EXPECT_EQ(at["variants"].back()["kind"], "library");
  // A table that names it is judged with it.
  outcome = tune(list + " --always library -o " + table);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  outcome = tune(list + " --judge " + table + " --budget 1 -t 2");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("| 33x17 f32 | "));
  unsetenv("FDPP_BLAS");
}

TEST_F(TuneTool, SaysWhatIsWrong) {
  refused("", "SOURCE");
  refused("/no/such/thing", "no such engine or list of shapes");
  refused(folder.path(), "not an engine: it has no engine.json");
  refused(file("empty", "# nothing\n"), "names no shape");
  refused(file("a", "64 48 q4"), "a:1: a line is 'N K DTYPE'");
  refused(file("b", "64 48 f32\n64 0 f32"), "b:2: a line is 'N K DTYPE'");
  refused(file("c", "64 48 f32 9"), "c:1: ");
  std::string list = file("list", "16 16 f32");
  refused(list + " --kernels mmx", "no kernels are called 'mmx'");
  refused(list + " -t 5000", "-t must be");
  refused(list + " --budget -1", "--budget must be");
  refused(list + " --judge " + list, "no tuning table");
  refused(list + " --budget 0.1 -o /no/such/dir/t.json",
          "cannot write the table");
}

} // namespace
