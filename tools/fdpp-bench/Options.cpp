// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Arguments.h"
#include "Bench.h"

namespace fdpp::tools {

static const char *const kExamples =
    R"(Rows are named as llama-bench names them: pp512 prefills 512 tokens, tg128
decodes 128, '@ d1024' stands for 1024 tokens that are in the cache before.
Each step's least traffic is compared with the read ceiling, measured before
and after each row with the same threads. --profile runs each row once more; on
a GPU its kernels then wait for each other, so that they take longer together
than the step of the row did.

Examples:
  fdpp-bench model.fdpp
  fdpp-bench model.fdpp -p 512 -n 128 -d 0,1024 -s 1,8 -r 5
  fdpp-bench model.fdpp -p 0 -n 16 -d 65536 --random-cache
  fdpp-bench model.fdpp -p 0 -n 128 -o json > new.json
  fdpp-bench model.fdpp -p 0 -d 1024 --profile --trace trace.json
  fdpp-bench model.fdpp --compare old.json     old.json: ours or llama-bench's)";

static void checkCounts(const std::vector<int32_t> &values, const char *name,
                        int32_t least) {
  for (int32_t value : values)
    if (value < least)
      fail(std::string(name) + " must be " + std::to_string(least) +
           " or more");
}

std::optional<int> parseBenchOptions(int argc, char **argv, BenchOptions &o) {
  CLI::App app{"Measures prefill and decode of an engine.", "fdpp-bench"};
  app.get_formatter()->column_width(28);
  app.footer(kExamples);
  auto list = [&](const char *name, std::vector<int32_t> &values,
                  const char *help) {
    app.add_option(name, values, help)
        ->delimiter(',')
        ->take_all()
        ->allow_extra_args(false)
        ->type_name("N,...");
  };
  app.add_option("DIR", o.folder, "Engine folder, as fdpp-compile wrote it")
      ->required()
      ->type_name("");
  list("-p", o.prompts, "Tokens to prefill; 0: no such row [512]");
  list("-n", o.generated, "Tokens to decode; 0: no such row [128]");
  list("-d", o.depths, "Tokens in the cache before [0]");
  list("-s", o.sequences, "Sequences in a step [1]");
  app.add_option("-t", o.threads, "Threads [physical cores]")->type_name("N");
  app.add_option("-r", o.repetitions, "Repetitions of each row [5]")
      ->type_name("N");
  app.add_option("-o", o.format, "Output: md, csv, json or jsonl [md]")
      ->type_name("FORMAT");
  app.add_option("--compare", o.compare, "Add the ratio to an older result")
      ->type_name("OLD.json");
  app.add_flag("--random-cache", o.randomCache,
               "Random keys and values for -d, nothing prefilled");
  app.add_flag("--batch-invariant", o.batchInvariant,
               "Decode steps give the same bits in every batch");
  app.add_flag("--no-ceiling", o.noCeiling, "Do not measure the read ceiling");
  app.add_flag("--profile", o.profile,
               "Say where a step's time goes, kernel by kernel");
  app.add_option("--trace", o.trace,
                 "Write the kernels' times for ui.perfetto.dev")
      ->type_name("FILE.json");
  if (auto code = parseArguments(app, argc, argv))
    return code;
  if (!o.trace.empty())
    o.profile = true;
  checkCounts(o.prompts, "-p", 0);
  checkCounts(o.generated, "-n", 0);
  checkCounts(o.depths, "-d", 0);
  checkCounts(o.sequences, "-s", 1);
  checkCounts({o.repetitions}, "-r", 1);
  if (o.format != "md" && o.format != "csv" && o.format != "json" &&
      o.format != "jsonl")
    fail("-o takes md, csv, json or jsonl, not '" + o.format + "'");
  if (o.profile && o.format == "csv")
    fail("--profile has no place in -o csv; give md, json or jsonl");
  return std::nullopt;
}

} // namespace fdpp::tools
