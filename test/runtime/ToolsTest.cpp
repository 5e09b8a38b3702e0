// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-run and fdpp-bench as a user calls them, on the toy engine.
#include "ToyEngine.h"
#include "ToyFormula.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>
#include <sys/wait.h>

using nlohmann::json;
using testing::HasSubstr;

namespace {

struct Outcome {
  int code;
  std::string out, err;
};

std::string slurp(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<int32_t> greedy(std::vector<int32_t> tokens, int32_t count) {
  std::vector<int32_t> result;
  for (int32_t i = 0; i < count; ++i) {
    std::vector<float> logits = toy::reference(tokens);
    tokens.push_back(static_cast<int32_t>(
        std::max_element(logits.begin(), logits.end()) - logits.begin()));
    result.push_back(tokens.back());
    if (tokens.back() == toy::kEos)
      break;
  }
  return result;
}

std::vector<int32_t> bytesOf(const std::string &text) {
  std::vector<int32_t> ids;
  for (unsigned char c : text)
    ids.push_back(c);
  return ids;
}

struct ToolsTest : testing::Test {
  /// Runs a tool through the shell; `arguments` may redirect.
  Outcome call(const std::string &tool, const std::string &arguments) const {
    std::string out = folder.path() + "/out", err = folder.path() + "/err";
    std::string line =
        "( " + tool + " " + arguments + " ) </dev/null >" + out + " 2>" + err;
    int status = std::system(line.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(out),
            slurp(err)};
  }
  Outcome run(const std::string &arguments) const {
    return call(FDPP_RUN, arguments);
  }
  Outcome bench(const std::string &arguments) const {
    return call(FDPP_BENCH, arguments);
  }
  std::string dir() const { return engine.folder(); }

  /// Exit code 1, nothing on stdout, one line on stderr that holds `text`.
  void refused(const Outcome &outcome, const std::string &text) const {
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1)
        << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(text));
  }

  toy::Engine engine;
  toy::TemporaryFolder folder;
};

TEST_F(ToolsTest, HelpIsShortAndGoesToStdout) {
  for (const char *tool : {FDPP_RUN, FDPP_BENCH}) {
    Outcome help = call(tool, "--help");
    EXPECT_EQ(help.code, 0);
    EXPECT_EQ(help.err, "");
    EXPECT_LE(std::count(help.out.begin(), help.out.end(), '\n'), 60);
    EXPECT_THAT(help.out, HasSubstr("Examples:"));
    EXPECT_EQ(call(tool, "--version").code, 0);
  }
}

TEST_F(ToolsTest, WrongArgumentsAreOneLine) {
  refused(run("--no-such-flag"), "--no-such-flag");
  refused(run(""), "no engine given");
  refused(run("/no/such/engine -p x"), "no such engine");
  refused(run(dir() + " -p x -f y"), "exclude each other");
  refused(run(dir() + " -n many -p x"), "many");
  refused(run(dir() + " --tokens 1,,2"), "--tokens takes ids");
  refused(run(dir() + " --tokens 1,900"), "900 is not in the vocabulary");
  refused(run(dir() + " -p x"), "no tokenizer");
  refused(run(dir() + " --tokens 1 -c 99999"), "context 99999");
  refused(run(dir() + " --tokens 1 --temp -1"), "temperature");
  refused(run(dir() + " -f /no/such/file"), "cannot read the prompt");
  refused(run(dir() + " -f /"), "/: cannot read the prompt");
  refused(run(dir() + " --prompts /dev/null"), "holds no prompts");
  refused(run(dir() + " --prompts x -p y"), "exclude each other");
  refused(run(dir() + " --tokens 1,2,3,4,5 -c 4"), "5 tokens do not fit");
  refused(run(dir() + " --tokens 1 --logits /no/such/dir/x.npy -n 0"),
          "cannot write the logits");
  refused(run(dir() + " --tokens 1 -t 0 -n -1 extra"), "extra");
  refused(bench(dir() + " -o xml"), "md, csv, json or jsonl");
  refused(bench(dir() + " -p 100"), "need a context of");
  refused(bench(dir() + " -p 0 -n 0"), "no rows");
  refused(bench(dir() + " --compare /no/such/file"), "cannot open");
  refused(bench(""), "DIR");
}

TEST_F(ToolsTest, TokensGoInAndIdsComeOutWithoutATokenizer) {
  Outcome outcome = run(dir() + " --tokens 1,2,3 -n 5");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  std::string ids;
  for (int32_t id : greedy({1, 2, 3}, 5))
    ids += (ids.empty() ? "" : ",") + std::to_string(id);
  EXPECT_EQ(outcome.out, ids + "\n");
  EXPECT_EQ(outcome.err, "next: fdpp-bench " + dir() + "\n");
  // The next command comes last also where both streams are one.
  Outcome both = run(dir() + " --tokens 1,2,3 -n 5 2>&1");
  EXPECT_EQ(both.out, outcome.out + outcome.err);
}

TEST_F(ToolsTest, EveryWayToGiveAPromptIsTheSame) {
  engine.addTokenizer();
  std::string prompt = folder.path() + "/prompt";
  std::ofstream(prompt) << "[a, b]\n";
  json expected = greedy(bytesOf("[a, b]"), 12);
  for (const std::string &way :
       {std::string(" -p '[a, b]'"), " -f " + prompt, " < " + prompt,
        std::string(" --tokens 91,97,44,32,98,93")}) {
    Outcome outcome = run(dir() + " -n 12 --json" + way);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    json result = json::parse(outcome.out)["results"];
    ASSERT_EQ(result.size(), 1u) << way;
    EXPECT_EQ(result[0]["prompt"], json(bytesOf("[a, b]"))) << way;
    EXPECT_EQ(result[0]["tokens"], expected) << way;
  }
  Outcome chat = run(dir() + " --chat hi -n 3 --json");
  ASSERT_EQ(chat.code, 0) << chat.err;
  EXPECT_EQ(json::parse(chat.out)["results"][0]["prompt"],
            json({259, 257, 'h', 'i', 258}));
  refused(run(dir() + " -p ''"), "the prompt is empty");
}

TEST_F(ToolsTest, ChatWithoutATemplateNamesTheOtherWay) {
  engine.addTokenizer();
  std::remove(engine.file("chat.json").c_str());
  engine.write();
  refused(run(dir() + " --chat hello"), "-p");
}

TEST_F(ToolsTest, PlainTextIsTheDecodedAnswer) {
  engine.addTokenizer();
  Outcome one = run(dir() + " -p hello -n 9"),
          more = run(dir() + " -p hello -p 'good day' -n 9");
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(more.code, 0) << more.err;
  json first = json::parse(run(dir() + " -p hello -n 9 --json").out);
  json second = json::parse(run(dir() + " -p 'good day' -n 9 --json").out);
  auto line = [](const json &result) {
    std::string text = result["results"][0]["text"];
    return text.empty() || text.back() != '\n' ? text + "\n" : text;
  };
  EXPECT_EQ(one.out, line(first));
  EXPECT_EQ(more.out, line(first) + line(second));
}

TEST_F(ToolsTest, AFileOfPromptsIsOneBatch) {
  engine.addTokenizer();
  std::string file = folder.path() + "/prompts";
  // More than a model step takes, of different lengths.
  std::vector<std::string> prompts = {"a", "hello there", "tick, tock", "b c",
                                      "the fifth of them"};
  std::ofstream stream(file);
  for (const std::string &prompt : prompts)
    stream << prompt << "\r\n\n";
  stream.close();
  Outcome outcome = run(dir() + " -n 6 --json --prompts " + file);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  json results = json::parse(outcome.out)["results"];
  ASSERT_EQ(results.size(), prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i)
    EXPECT_EQ(results[i]["tokens"], json(greedy(bytesOf(prompts[i]), 6)))
        << prompts[i];
}

/// The float32 matrix of a .npy file.
std::vector<float> readNpy(const std::string &path, const std::string &shape) {
  std::string file = slurp(path);
  uint16_t header;
  std::memcpy(&header, file.data() + 8, 2);
  EXPECT_EQ((10 + header) % 64, 0);
  EXPECT_THAT(file.substr(0, 10 + header), HasSubstr("'shape': " + shape));
  std::vector<float> values((file.size() - 10 - header) / 4);
  std::memcpy(values.data(), file.data() + 10 + header, values.size() * 4);
  return values;
}

TEST_F(ToolsTest, LogitsOfEverySplitAreThoseOfThePlainLoop) {
  std::vector<int32_t> a = {5, 4, 3, 2, 1, 9, 8, 7, 6, 100, 101, 102},
                       b = {7, 8};
  std::string npy = folder.path() + "/x.npy", lists, ids;
  for (const std::vector<int32_t> &tokens : {a, b}) {
    ids.clear();
    for (int32_t id : tokens)
      ids += (ids.empty() ? "" : ",") + std::to_string(id);
    lists += " --tokens " + ids;
  }
  std::vector<float> expected;
  for (const std::vector<int32_t> &tokens : {a, b})
    for (size_t n = 1; n <= tokens.size(); ++n)
      for (float value : toy::reference({tokens.begin(), tokens.begin() + n}))
        expected.push_back(value);
  for (const char *split :
       {"", " --prefill 1", " --prefill 5", " --prefill 99"}) {
    std::remove(npy.c_str());
    Outcome outcome =
        run(dir() + lists + " -n 4 --json --logits " + npy + split);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(readNpy(npy, "(14, 260)"), expected) << split;
    json results = json::parse(outcome.out)["results"];
    EXPECT_EQ(results[0]["tokens"], json(greedy(a, 4))) << split;
    EXPECT_EQ(results[1]["tokens"], json(greedy(b, 4))) << split;
  }
  Outcome none = run(dir() + lists + " -n 0 --logits " + npy);
  EXPECT_EQ(none.code, 0);
  EXPECT_EQ(none.out, "");
}

TEST_F(ToolsTest, PrefillFeedsTheRestThroughDecode) {
  Outcome outcome =
      run(dir() + " --tokens 1,2,3,4,5,6 --prefill 4 -n 0 --json");
  json stats = json::parse(outcome.out)["stats"];
  EXPECT_EQ(stats["prefill_tokens"], 4);
  EXPECT_EQ(stats["decode_tokens"], 2);
  EXPECT_EQ(stats["decode_steps"], 2);
}

TEST_F(ToolsTest, TheSeedDecidesAndNothingElse) {
  std::string base = dir() + " --tokens 1,2 -n 20 --temp 30 --top-k 200 ";
  Outcome a = run(base + "--seed 1"), b = run(base + "--seed 1 -t 1"),
          c = run(base + "--seed 2");
  EXPECT_EQ(a.code, 0) << a.err;
  EXPECT_EQ(a.out, b.out);
  EXPECT_NE(a.out, c.out);
}

TEST_F(ToolsTest, StatsAndPlanAndDevices) {
  Outcome stats = run(dir() + " --tokens 1,2,3 -n 5 --stats");
  EXPECT_THAT(stats.err, HasSubstr("prefill: 3 tokens in 1 steps"));
  EXPECT_THAT(stats.err, HasSubstr("decode: 4 tokens in 4 steps"));
  Outcome plan = run(dir() + " --plan -c 32");
  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("16 bytes a token"));
  EXPECT_THAT(plan.out, HasSubstr("1 sequence of 64 tokens"));
  EXPECT_THAT(plan.err, testing::StartsWith("next: fdpp-run"));
  EXPECT_THAT(plan.out, HasSubstr("toy (toy, 2 layers), cpu toy"));
  json numbers = json::parse(run(dir() + " --plan --json -c 32").out);
  EXPECT_EQ(numbers["cache_bytes"], 8 * 2 * 32);
  json device = json::parse(run("--list-devices --json").out);
  EXPECT_EQ(device["kind"], "cpu");
  EXPECT_GE(device["default_threads"], 1);
  EXPECT_THAT(run("--list-devices").out, testing::StartsWith("0: cpu, "));
}

TEST_F(ToolsTest, ThePlanOfAnUnnamedEngineNamesItsFolder) {
  engine.manifest["model"].erase("name");
  engine.manifest["model"].erase("family");
  engine.write();
  EXPECT_THAT(run(dir() + " --plan").out,
              HasSubstr(dir() + " (2 layers), cpu toy"));
}

TEST_F(ToolsTest, VerifyFindsChangedWeights) {
  EXPECT_EQ(run(dir() + " --tokens 1 -n 1 --verify").code, 0);
  std::string weights = engine.get("weights.safetensors");
  weights.back() ^= 1;
  engine.put("weights.safetensors", weights);
  EXPECT_EQ(run(dir() + " --tokens 1 -n 1").code, 0);
  refused(run(dir() + " --tokens 1 -n 1 --verify"), "sha-256");
}

TEST_F(ToolsTest, AFullDiskIsNoticed) {
  ASSERT_TRUE(std::ifstream("/dev/full"));
  Outcome outcome = run(dir() + " --tokens 1 -n 3 >/dev/full");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("cannot write the output"));
  refused(run(dir() + " --tokens 1 -n 0 --logits /dev/full"),
          "cannot write the logits");
}

TEST_F(ToolsTest, AnInterruptEndsWith130) {
  // A prompt that never comes: the signal meets the tool while it reads.
  engine.addTokenizer();
  Outcome outcome = call(
      "timeout", "--preserve-status -s INT 0.5 bash -c 'exec " FDPP_RUN " " +
                     dir() + " -f <(sleep 3)'");
  EXPECT_EQ(outcome.code, 130) << outcome.err;
}

TEST_F(ToolsTest, BenchWritesEveryFormat) {
  std::string rows = dir() + " -p 16 -n 8 -d 0,20 -s 2 -r 2 -o ";
  Outcome outcome = bench(rows + "json");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  json results = json::parse(outcome.out);
  ASSERT_EQ(results.size(), 4u);
  for (const json &row : results) {
    EXPECT_EQ(row["samples_ts"].size(), 2u);
    EXPECT_GT(row["avg_ts"], 0);
    EXPECT_GT(row["ms_per_step"], 0);
    EXPECT_GT(row["ceiling_share"], 0);
    EXPECT_LE(row["ceiling_share"], 1);
  }
  EXPECT_EQ(results[3]["n_gen"], 8);
  EXPECT_EQ(results[3]["n_depth"], 20);
  EXPECT_EQ(results[3]["n_seqs"], 2);
  EXPECT_EQ(results[0]["steps"], 4); // 32 tokens, 8 a step
  // A decode step of two sequences at depths 1..8: weights once, two embedding
  // rows, the caches read and two tokens written, 16 bytes each.
  EXPECT_DOUBLE_EQ(results[1]["bytes_per_step"],
                   2080 + 2 * 4 + 2 * 16 * (4.5 + 1));

  std::string old = folder.path() + "/old.json";
  for (json &row : results)
    for (json &sample : row["samples_ts"])
      sample = 1e-3;
  std::ofstream(old) << results.dump();
  Outcome md = bench(dir() + " -p 16 -n 8 -d 20 -r 1 --compare " + old);
  EXPECT_EQ(md.code, 0) << md.err;
  EXPECT_THAT(md.out, HasSubstr("pp16 @ d20"));
  EXPECT_THAT(md.out, HasSubstr("tg8 @ d20"));
  EXPECT_THAT(md.out, HasSubstr("to old"));
  Outcome csv = bench(dir() + " -p 16 -n 0 -r 1 -o csv");
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 2);
  Outcome lines = bench(dir() + " -p 0 -n 3,4 -r 1 -o jsonl --compare " + old);
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 2);
  std::ofstream(old) << "{}";
  refused(bench(dir() + " --compare " + old), "no json result");
}

TEST_F(ToolsTest, BenchSaysWhereTheTimeGoes) {
  std::string trace = folder.path() + "/trace.json";
  Outcome outcome = bench(dir() + " -p 16 -n 4 -r 1 -o json --trace " + trace);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  json decode = json::parse(outcome.out)[1]["kernels"];
  ASSERT_EQ(decode.size(), 3u);
  EXPECT_EQ(decode[0]["name"], "kv_append");
  EXPECT_EQ(decode[2]["name"], "bank");
  EXPECT_EQ(decode[2]["calls"], 2);
  EXPECT_EQ(decode[2]["bytes"], 2 * 1040);
  EXPECT_GT(decode[0]["ms"], 0);

  std::ifstream file(trace);
  json events = json::parse(file)["traceEvents"];
  // Two rows with a name each: 2 steps of 8 tokens, 4 decode steps.
  ASSERT_EQ(events.size(), 2u + (2 + 4) * 5);
  EXPECT_EQ(events[0]["args"]["name"], "pp16, 1 sequences");
  double end = 0;
  for (const json &event : events)
    if (event["ph"] == "X" && event["tid"] == 2) {
      EXPECT_NEAR(event["ts"], end, 1);
      end = event["ts"].get<double>() + event["dur"].get<double>();
    }
  EXPECT_EQ(events.back()["args"]["step"], 3);

  Outcome md = bench(dir() + " -p 0 -n 4 -r 1 --profile");
  EXPECT_THAT(md.out, HasSubstr("tg4, 1 sequences, a mean step of 4"));
  EXPECT_THAT(md.out, HasSubstr("| bank | 2 |"));
  refused(bench(dir() + " -o csv --profile"), "has no place in -o csv");
  refused(bench(dir() + " -p 0 -n 1 -r 1 --trace /no/such/place"),
          "cannot write the trace");
}

TEST_F(ToolsTest, BenchLeavesOutTheCeiling) {
  std::string row = dir() + " -p 0 -n 8 -r 1 --no-ceiling -o ";
  Outcome outcome = bench(row + "jsonl");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  json result = json::parse(outcome.out);
  EXPECT_FALSE(result.contains("ceiling_share"));
  EXPECT_GT(result["sample_ms"], 0);
  EXPECT_LT(result["sample_ms"], result["ms_per_step"]);
  EXPECT_THAT(bench(row + "md").out, HasSubstr("| - | - |"));
  Outcome csv = bench(row + "csv");
  EXPECT_EQ(csv.out.substr(csv.out.size() - 2), ",\n");
  auto commas = [](const std::string &text) {
    return std::count(text.begin(), text.end(), ',');
  };
  size_t end = csv.out.find('\n');
  EXPECT_EQ(commas(csv.out.substr(0, end)), commas(csv.out.substr(end)));
  Outcome random = bench(dir() + " -p 0 -n 8 -d 20 -r 1 --random-cache");
  EXPECT_EQ(random.code, 1);
  EXPECT_THAT(random.err, HasSubstr("cannot be filled with random numbers"));
}

TEST_F(ToolsTest, TheExampleOfTheDocumentationRuns) {
  std::string example = slurp(FDPP_SOURCE_DIR "/test/consumers/c/generate.c");
  EXPECT_THAT(slurp(FDPP_SOURCE_DIR "/docs/c-api.md"),
              HasSubstr("```c\n" + example + "```\n"));
  refused(call(FDPP_EXAMPLE, dir() + " hello"), "no tokenizer");
  engine.addTokenizer();
  Outcome outcome = call(FDPP_EXAMPLE, dir() + " hello");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, run(dir() + " -p hello -n 64").out);
}

TEST_F(ToolsTest, AShareAboveTheCeilingIsAnError) {
  engine.manifest["step"]["weight_bytes"] = int64_t{1} << 50;
  engine.write();
  Outcome outcome = bench(dir() + " -p 0 -n 4 -r 1");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("more than the read ceiling allows"));
  EXPECT_THAT(outcome.out, HasSubstr("tg4"));
}

} // namespace
