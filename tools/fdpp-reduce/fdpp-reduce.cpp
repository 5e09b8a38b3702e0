// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-reduce: shrinks a reproducer to what its failure needs.

#include "ParseError.h"
#include "fdpp/Interpreter/InterpretPass.h"
#include "fdpp/Interpreter/Testing.h"
#include "fdpp/Pipelines/Registration.h"
#include "fdpp/Reduce/Reduce.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <CLI/CLI.hpp>

using namespace mlir::fdpp;

namespace {

constexpr int kUserError = 1;

constexpr const char *kExamples = R"(
The failure that has to stay is the one of the input: the first error's text
(numbers in it may change) or the signal of a crash. With --test it is whatever
the command says: it is run with the path of a candidate and exits with 0 if
that still shows the fault.

Examples:
  fdpp-reduce fdpp-reproducer.mlir                   writes fdpp-reproducer.reduced.mlir
  fdpp-opt --run-reproducer fdpp-reproducer.reduced.mlir
  fdpp-reduce in.mlir --pipeline='builtin.module(fdpp-roll-layers)' -o out.mlir
  fdpp-reduce in.mlir --test=./shows-the-fault.sh

Exit codes: 0; 1 wrong input, or an input that does not fail.)";

struct Options {
  std::string input, output, pipeline, test;
  std::vector<std::string> plugins;
  unsigned seconds = 60;
};

int fail(llvm::Twine message) {
  llvm::errs() << "fdpp-reduce: " << message << "\n";
  return kUserError;
}

void addOptions(CLI::App &app, Options &options) {
  app.add_option("FILE", options.input, "reproducer, or MLIR in any phase")
      ->required();
  app.add_option("-o,--output", options.output,
                 "file to write (default: FILE's stem + .reduced.mlir)");
  app.add_option("--pipeline", options.pipeline,
                 "passes to run instead of those of the reproducer");
  app.add_option("--test", options.test,
                 "command that exits with 0 if its argument shows the fault");
  app.add_option("--load-pass-plugin", options.plugins,
                 "library with more passes; may be given several times");
  app.add_option("--timeout", options.seconds,
                 "seconds after which a candidate is given up")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  app.set_version_flag("--version", FDPP_PRODUCT_VERSION);
  app.footer(kExamples);
}

/// A candidate as a file, given to the command of --test.
class CommandJudge {
public:
  CommandJudge(llvm::StringRef command, unsigned seconds)
      : command(command), seconds(seconds) {
    if (llvm::sys::fs::createTemporaryFile("fdpp-reduce", "mlir", path))
      llvm::report_fatal_error("cannot create a temporary file");
  }
  CommandJudge(const CommandJudge &) = delete;
  CommandJudge &operator=(const CommandJudge &) = delete;
  ~CommandJudge() { llvm::sys::fs::remove(path); }

  bool operator()(const Reproducer &candidate) const {
    {
      std::error_code error;
      llvm::raw_fd_ostream os(path, error);
      writeReproducer(candidate, os);
    }
    std::string words = command + " \"$1\"";
    llvm::StringRef arguments[] = {"sh", "-c", words, "sh", path};
    std::optional<llvm::StringRef> null[] = {
        llvm::StringRef(""), llvm::StringRef(""), llvm::StringRef("")};
    return llvm::sys::ExecuteAndWait("/bin/sh", arguments, std::nullopt, null,
                                     seconds) == 0;
  }

private:
  std::string command;
  unsigned seconds;
  llvm::SmallString<128> path;
};

size_t countOperations(mlir::ModuleOp module) {
  size_t count = 0;
  module->walk([&](mlir::Operation *) { ++count; });
  return count - 1; // not the module itself
}

int finish(const Options &options, const Reproducer &reproducer) {
  std::string output = options.output;
  if (output.empty()) {
    llvm::SmallString<128> path(options.input);
    llvm::sys::path::replace_extension(path, "reduced.mlir");
    output = path.str().str();
  }
  std::error_code error;
  llvm::raw_fd_ostream os(output, error);
  if (!error) {
    writeReproducer(reproducer, os);
    os.close();
    error = os.error();
    os.clear_error();
  }
  if (error)
    return fail(output + ": cannot be written (" + error.message() + ")");
  llvm::outs() << "wrote " << output << "\n";
  if (!reproducer.passes.empty())
    llvm::outs() << "next: fdpp-opt --run-reproducer " << output << "\n";
  return 0;
}

int shrink(const Options &options, Reproducer &reproducer) {
  Judge judge;
  std::unique_ptr<CommandJudge> command;
  if (!options.test.empty()) {
    command = std::make_unique<CommandJudge>(options.test, options.seconds);
    judge = [&](const Reproducer &candidate) { return (*command)(candidate); };
    if (!judge(reproducer))
      return fail(options.input + ": '" + options.test +
                  "' does not exit with 0 on it, there is nothing to keep");
  } else {
    if (reproducer.passes.empty())
      return fail(options.input + ": names no passes; give --pipeline, or "
                                  "--test with a command");
    std::string failure = observeFailure(reproducer, options.seconds);
    if (failure.empty())
      return fail(options.input + ": its passes do not fail on it");
    llvm::errs() << "keeping: " << failure << "\n";
    judge = [failure, &options](const Reproducer &candidate) {
      return observeFailure(candidate, options.seconds) == failure;
    };
  }
  size_t before = countOperations(*reproducer.module);
  size_t passes = reproducer.passes.size();
  ReduceCounts counts = reduce(reproducer, judge);
  llvm::errs() << "operations: " << before << " to "
               << countOperations(*reproducer.module) << ", passes: " << passes
               << " to " << reproducer.passes.size() << "; " << counts.tests
               << " candidates\n";
  return finish(options, reproducer);
}

int run(int argc, char **argv) {
  CLI::App app("Shrinks a reproducer to what its failure needs.",
               "fdpp-reduce");
  Options options;
  addOptions(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return error.get_exit_code() == 0 ? app.exit(error)
                                      : fail(fdpp::tools::describe(error));
  }
  mlir::DialectRegistry registry;
  fdpp::registerAllDialects(registry);
  fdpp::registerAllPasses();
  registerInterpretPass();
  registerTestingPasses();
  for (const std::string &path : options.plugins) {
    llvm::Expected<mlir::PassPlugin> plugin = mlir::PassPlugin::load(path);
    if (!plugin)
      return fail(llvm::toString(plugin.takeError()));
    plugin->registerPassRegistryCallbacks();
  }
  // No threads: candidates run in forked processes.
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  llvm::Expected<Reproducer> reproducer =
      readReproducer(options.input, options.pipeline, context);
  if (!reproducer)
    return fail(llvm::toString(reproducer.takeError()));
  return shrink(options, *reproducer);
}

} // namespace

int main(int argc, char **argv) { return run(argc, argv); }
