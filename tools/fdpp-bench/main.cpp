// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-bench: measures prefill and decode of an engine.
#include "Bench.h"

#include <cstdio>

using namespace fdpp::tools;

static int run(int argc, char **argv) {
  BenchOptions options;
  if (auto code = parseBenchOptions(argc, argv, options))
    return *code;
  OldResults old;
  if (!options.compare.empty())
    old = readOld(options.compare);
  std::optional<TraceFile> trace;
  if (!options.trace.empty())
    trace.emplace(options.trace);
  Engine engine = openEngine(options.folder, /*verify=*/false);
  exitOnInterrupt();
  Bench bench(options, engine);
  std::vector<Test> tests = bench.tests();

  std::string impossible, profiles, events;
  printHeader(options);
  for (size_t i = 0; i < tests.size(); ++i) {
    Result result = bench.run(tests[i]);
    printRow(options, bench.setting(), result, old, i == 0);
    if (std::string rows = result.recomputed.text(); !rows.empty())
      std::fprintf(stderr, "%s: softmax rows recomputed exactly\n%s",
                   tests[i].name().c_str(), rows.c_str());
    if (options.profile) {
      std::string row = tests[i].name() + ", " +
                        std::to_string(tests[i].sequences) + " sequences";
      profiles += result.profile.markdown(row, result.ceiling());
      events += result.profile.traceEvents(row, int(i) + 1);
    }
    if (result.hasCeiling() && result.share() > 1)
      impossible = tests[i].name();
  }
  printFooter(options);
  if (options.format == "md")
    std::fputs(profiles.c_str(), stdout);
  if (trace)
    trace->write(events);
  if (!impossible.empty())
    fail(impossible +
         ": reads more than the read ceiling allows: the model fits the "
         "processor's caches, or something disturbed the ceiling; run again "
         "on an idle machine");
  std::fprintf(stderr,
               "next: fdpp-bench %s -o json > old.json, and --compare old.json "
               "after a change\n",
               options.folder.c_str());
  return 0;
}

int main(int argc, char **argv) {
  return runTool("fdpp-bench", [&] { return run(argc, argv); });
}
