// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-run: completes text, answers and chats with an engine.
#include "Progress.h"
#include "Run.h"

#include <cstdio>
#include <unistd.h>

using namespace fdpp::tools;

static int run(int argc, char **argv) {
  const auto start = std::chrono::steady_clock::now();
  RunOptions options;
  if (auto code = parseRunOptions(argc, argv, options))
    return *code;
  exitOnInterrupt();
  if (options.listDevices)
    return listDevices(options);

  Engine engine = [&] {
    Progress progress((options.verify ? "verifying " : "opening ") +
                      options.folder);
    return openEngine(options.folder, options.verify);
  }();
  if (options.plan)
    return showPlan(options, engine);
  if (!options.taps.empty())
    return runTaps(options, engine);
  int code = !options.hasPrompt() && isatty(STDIN_FILENO)
                 ? runChat(options, engine)
                 : runPrompts(options, engine, start);
  if (code == 0)
    std::fprintf(stderr, "next: fdpp-bench %s\n", options.folder.c_str());
  return code;
}

int main(int argc, char **argv) {
  return runTool("fdpp-run", [&] { return run(argc, argv); });
}
