// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-inspect: what an engine is, from its files.
#include "Inspect.h"
#include "ParseError.h"

#include <cstdio>

using namespace fdpp::inspect;

namespace {

constexpr int kUserError = 1;

constexpr const char *kExamples = R"(
Examples:
  fdpp-inspect model.fdpp                      header, limits, flags, bytes, linears, weights, kernels
  fdpp-inspect model.fdpp --json               all of it for a program
  fdpp-inspect --diff old.fdpp new.fdpp        a line for each value: - was, + is, ! changed

Exit codes: 0; 1 wrong input, a damaged engine, or with --diff engines that differ.)";

int run(int argc, char **argv) {
  CLI::App app("Prints what an engine is, without running it.", "fdpp-inspect");
  std::string folder;
  std::vector<std::string> pair;
  bool json = false;
  auto *one = app.add_option("DIR", folder, "folder of the engine");
  auto *two = app.add_option("--diff", pair, "print what differs between two")
                  ->expected(2)
                  ->type_name("A B")
                  ->excludes(one);
  app.add_flag("--json", json, "print JSON")->excludes(two);
  app.set_version_flag("--version", FDPP_PRODUCT_VERSION);
  app.footer(kExamples);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    if (error.get_exit_code() == 0)
      return app.exit(error);
    throw Failure(fdpp::tools::describe(error));
  }
  if (!pair.empty())
    return printDifferences(readEngine(pair[0]), readEngine(pair[1])) ? 1 : 0;
  if (folder.empty())
    throw Failure("DIR is required; see --help");
  EngineFiles engine = readEngine(folder);
  json ? printJson(engine) : printText(engine);
  return engine.defects.empty() ? 0 : kUserError;
}

} // namespace

int main(int argc, char **argv) {
  try {
    return run(argc, argv);
  } catch (const Failure &failure) {
    std::fprintf(stderr, "fdpp-inspect: %s\n", failure.what());
  } catch (const Json::exception &error) {
    std::fprintf(stderr,
                 "fdpp-inspect: damaged JSON (%s); compile the engine again\n",
                 error.what());
  }
  return kUserError;
}
