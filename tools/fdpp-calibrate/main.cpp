// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Calibrate.h"

#include "Arguments.h"

#include <cmath>
#include <cstdio>
#include <filesystem>

using namespace fdpp::tools;
using namespace fdpp::calibrate;

namespace {

const char *const kExamples =
    R"(Writes OUT/phi.json, which --install puts into the engine, and OUT/calibration.json
with all that was counted; fdpp-plot-calibration draws it (docs/calibrating.md).

Examples:
  fdpp-calibrate model.fdpp --text book.txt -o calibration
  fdpp-calibrate model.fdpp --text book.txt --text code.txt --install)";

struct Options {
  std::string folder, output = "calibration", format = "fp32";
  std::vector<std::string> texts;
  int32_t window = 512, most = 0, threads = 0;
  bool install = false;
};

std::optional<int> parse(int argc, char **argv, Options &o) {
  CLI::App app{"Chooses the phi of asynchronous softmax for every layer and "
               "head of an engine.",
               "fdpp-calibrate"};
  app.get_formatter()->column_width(28);
  app.footer(kExamples);
  app.add_option("DIR", o.folder, "Engine folder, as fdpp-compile wrote it")
      ->required()
      ->type_name("");
  app.add_option("--text", o.texts, "Text to run; repeatable")
      ->required()
      ->type_name("FILE")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("-o", o.output, "Folder to write to [calibration]")
      ->type_name("OUT");
  app.add_option("--format", o.format,
                 "Of the weights: fp32, bf16 or fp16; engines for CPUs have "
                 "fp32 [fp32]")
      ->type_name("FORMAT");
  app.add_flag("--install", o.install, "Put the phi.json into the engine");
  app.add_option("-c", o.window, "Tokens of a window [512]")->type_name("N");
  app.add_option("--windows", o.most, "Windows of each text at most [all]")
      ->type_name("N");
  app.add_option("-t", o.threads, "Threads [physical cores]")->type_name("N");
  return parseArguments(app, argc, argv);
}

const Format &formatOf(const Options &options) {
  for (const Format &format : kFormats)
    if (options.format == format.name)
      return format;
  fail("--format takes fp32, bf16 or fp16, not '" + options.format + "'");
}

void printSummary(const Counts &counts, const std::vector<Candidate> &all,
                  const std::vector<double> &phi, const Options &options) {
  float low = INFINITY, high = -INFINITY, least = INFINITY, most = -INFINITY;
  for (size_t i = 0; i < counts.extremes.size(); i += 4) {
    low = std::min(low, counts.extremes[i]);
    high = std::max(high, counts.extremes[i + 1]);
    least = std::min(least, counts.extremes[i + 2]);
    most = std::max(most, counts.extremes[i + 3]);
  }
  std::printf("text       %llu tokens in %llu windows, %.1f s\n"
              "logits     %.2f to %.2f, log-sum-exp of a row %.2f to %.2f\n"
              "\nrows recomputed at most, and heads better left exact\n"
              "%-12s",
              static_cast<unsigned long long>(counts.tokens),
              static_cast<unsigned long long>(counts.windows), counts.seconds,
              low, high, least, most, "one phi for");
  for (const Format &format : kFormats)
    std::printf("%18s", format.name);
  std::printf("\n");
  for (const Candidate &candidate : all) {
    std::printf("%-12s", std::string(candidate.name) == "zero"
                             ? "all, 0"
                             : (std::string("a ") + candidate.name).c_str());
    for (const Candidate::Cost &cost : candidate.costs)
      std::printf("%9.4f %% %5d ", 100 * cost.recomputed, cost.exactHeads);
    std::printf("\n");
  }
  int32_t exact = 0;
  for (double value : phi)
    exact += std::isnan(value);
  std::printf("\nwritten: one phi a head for %s, %d of %d heads exact\n",
              options.format.c_str(), exact, counts.rows());
}

int run(int argc, char **argv) {
  Options options;
  if (auto code = parse(argc, argv, options))
    return *code;
  const Format &format = formatOf(options);
  if (options.window < 2 || options.most < 0)
    fail("-c must be 2 or more, --windows 1 or more");
  exitOnInterrupt();
  Engine engine = openEngine(options.folder, /*verify=*/false);
  fdpp_engine_info info = infoOf(engine);
  std::string name = info.name;
  if (name.empty())
    name = std::filesystem::path(options.folder + "/")
               .parent_path()
               .filename()
               .string();
  Origin origin{name + " " + info.weight_dtype, "", options.format};
  std::vector<Window> windows;
  for (const std::string &path : options.texts) {
    auto pieces = cutText(engine, readFile(path, "the text"),
                          std::min(options.window, info.max_context));
    if (options.most && static_cast<size_t>(options.most) < pieces.size())
      pieces.resize(options.most);
    windows.insert(windows.end(), pieces.begin(), pieces.end());
    origin.texts += (origin.texts.empty() ? "" : ", ") +
                    std::filesystem::path(path).filename().string();
  }
  std::error_code error;
  std::filesystem::create_directories(options.output, error);
  if (error)
    fail(options.output + ": cannot make the folder (" + error.message() + ")");
  InterruptGuard guard;
  Counts counts = collect(engine, windows, options.threads);
  std::vector<double> phi = choosePhi(counts, format);
  std::vector<Candidate> all = candidates(counts);
  std::string text = phiJson(counts, phi, origin);
  writeFile(options.output + "/phi.json", text);
  writeFile(options.output + "/calibration.json",
            calibrationJson(counts, phi, all, origin));
  printSummary(counts, all, phi, options);
  if (options.install)
    install(options.folder, text);
  std::fflush(stdout);
  std::fprintf(stderr, "next: fdpp-plot-calibration %s\n",
               (options.output + "/calibration.json").c_str());
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  return runTool("fdpp-calibrate", [&] { return run(argc, argv); });
}
