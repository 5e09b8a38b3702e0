// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-compile: a model becomes an engine.

#include "ParseError.h"
#include "Progress.h"
#include "fdpp/Engine/Compile.h"
#include "fdpp/Engine/InternalError.h"
#include "fdpp/Engine/Interrupt.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

using mlir::fdpp::CompileOptions;
using mlir::fdpp::CompileResult;

namespace {

constexpr int kUserError = 1, kInternalError = 70;

constexpr const char *kExamples = R"(
Examples:
  fdpp-compile smollm2/model.onnx                    engine in model.fdpp, for this CPU
  fdpp-compile model.onnx -o out --dtype=f32         another folder, f32 weights
  fdpp-compile model.onnx --arch=x86-64-v4+avx512bf16
  fdpp-compile model.onnx --emit=fused               IR after a phase, to stdout
  fdpp-compile model.onnx --emit=source              the C++ that is compiled

Environment: FDPP_CXX names the clang++, FDPP_INCLUDE_DIR the folder of the kernel headers,
FDPP_CACHE_DIR that of the object cache (~/.cache/fdpp), FDPP_CACHE_SIZE its most MiB (1024).
Exit codes: 0; 1 wrong input; 70 a defect of this program; 130 interrupted.)";

/// One line at a time on a terminal; with -v a line for each stage.
class Stages {
public:
  explicit Stages(bool verbose) : verbose(verbose) {}
  ~Stages() { finish(); }

  void report(llvm::StringRef stage, uint64_t done, uint64_t total) {
    if (stage != current) {
      finish();
      current = stage.str();
      mlir::fdpp::noteStage(current);
      start = Clock::now();
      progress = std::make_unique<fdpp::tools::Progress>(current);
    }
    // Bytes are shown as MiB, so that they fit.
    int shift = total > INT32_MAX / 4 ? 20 : 0;
    progress->update(static_cast<int32_t>(done >> shift),
                     static_cast<int32_t>(total >> shift));
  }

  void finish() {
    progress.reset();
    if (verbose && !current.empty())
      llvm::errs() << llvm::format("%7.2f s  ", secondsSince(start)) << current
                   << "\n";
    current.clear();
  }

  double seconds() const { return secondsSince(begin); }

private:
  using Clock = std::chrono::steady_clock;
  static double secondsSince(Clock::time_point time) {
    return std::chrono::duration<double>(Clock::now() - time).count();
  }

  bool verbose;
  std::string current;
  const Clock::time_point begin = Clock::now();
  Clock::time_point start = begin;
  std::unique_ptr<fdpp::tools::Progress> progress;
};

std::string phaseNames() {
  std::string names;
  for (const fdpp::PhaseInfo &info : fdpp::allPhases())
    names += (names.empty() ? "" : ", ") + info.name.str();
  return names;
}

/// What becomes an option of the compilation only after a look at it.
struct Words {
  std::string emit = "engine", fault;
  bool verbose = false;
};

void addOptions(CLI::App &app, CompileOptions &options, Words &words) {
  app.add_option("MODEL", options.model,
                 "model.onnx, or .mlir / .mlirbc in any phase")
      ->required();
  app.add_option("-o,--output", options.output,
                 "folder of the engine (default: MODEL's stem + .fdpp)");
  app.add_option("--target", options.target, "cpu or cuda")
      ->capture_default_str();
  app.add_option("--arch", options.arch,
                 "native, a level (x86-64-v3) or a clang CPU name (znver4), "
                 "then +FEATURE or +noFEATURE; for cuda a list such as "
                 "sm_80,sm_90a")
      ->capture_default_str();
  app.add_option("--dtype", options.phases.dtype,
                 "storage of weights and cache: bf16, f16, f32")
      ->check(CLI::IsMember({"bf16", "f16", "f32"}))
      ->capture_default_str();
  app.add_option("--emit", words.emit, "stop at a phase: " + phaseNames())
      ->capture_default_str();
  app.add_option("--max-context", options.maxContext,
                 "tokens a sequence may reach (default: what the model was "
                 "trained for)")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--page-tokens", options.phases.pageTokens,
                 "tokens a page of the KV cache holds, a multiple of 16")
      ->check(CLI::Validator(
          [](const std::string &text) {
            int64_t tokens;
            bool whole = CLI::detail::lexical_cast(text, tokens) &&
                         tokens > 0 && tokens % 16 == 0;
            return whole ? "" : "'" + text + "' is no multiple of 16";
          },
          "MULTIPLE OF 16"))
      ->capture_default_str();
  app.add_option("--tuning", options.tuning,
                 "table of fdpp-tune: a file, a shipped one's name or none "
                 "(default: the shipped one of this CPU, for --arch=native)");
  app.add_option("--async-softmax", options.phases.asyncSoftmax,
                 "subtract a number fixed ahead (phi.json) in attention: auto "
                 "(in decode, where it pays), on (in decode), all (also in "
                 "prefill) or off")
      ->check(CLI::IsMember({"auto", "on", "all", "off"}))
      ->capture_default_str();
  app.add_option("--phi", options.phi,
                 "phi.json of fdpp-calibrate (default: the one beside the "
                 "model, else zeros)");
  app.add_option("--synthetic-weights", options.syntheticSeed,
                 "replace weights (of more than 1 KiB) by random ones of "
                 "this seed");
  app.add_option("--threads,-t", options.threads, "threads that pack weights")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--cxx", options.cxx, "the clang++ to use");
  app.add_flag("--taps", options.taps,
               "let the engine show its intermediate values (fdpp-compare)");
  app.add_option("--remarks", options.remarks,
                 "file to write the passes' remarks to, as YAML");
  app.add_option("--reuse", options.reuse,
                 "engine of the same graph whose compiled kernels are taken "
                 "over: only weights are packed");
  app.add_flag_callback(
      "--no-cache", [&options] { options.useCache = false; },
      "compile the kernels anew, not from the object cache");
  app.add_flag("--force", options.force, "compile although it is up to date");
  app.add_flag("-v,--verbose", words.verbose, "say what takes how long");
  // Hidden, for tests: see CompileOptions::faultBefore.
  app.add_option("--inject-fault", words.fault)->group("");
  app.set_version_flag("--version", FDPP_PRODUCT_VERSION);
  app.footer(kExamples);
}

int fail(int code, llvm::StringRef message) {
  llvm::errs() << "fdpp-compile: " << message << "\n";
  return code;
}

int fail(llvm::Error error) {
  int code =
      error.isA<mlir::fdpp::InternalError>() ? kInternalError : kUserError;
  return fail(code, llvm::toString(std::move(error)));
}

int report(const CompileOptions &options, const CompileResult &result,
           double seconds) {
  if (options.emit != fdpp::Phase::Engine)
    return 0;
  if (result.upToDate)
    llvm::outs() << result.folder << ": up to date\n";
  else
    llvm::outs() << "wrote " << result.folder << ": " << result.layers
                 << " layers, "
                 << llvm::format("%.1f MB of weights, %.1f s\n",
                                 result.weightBytes / 1e6, seconds);
  llvm::outs() << "next: fdpp-run " << result.folder << "\n";
  return 0;
}

int run(int argc, char **argv) {
  CLI::App app("Compiles a model into an engine: a folder that fdpp-run runs.",
               "fdpp-compile");
  CompileOptions options;
  Words words;
  addOptions(app, options, words);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return error.get_exit_code() == 0
               ? app.exit(error)
               : fail(kUserError, fdpp::tools::describe(error));
  }
  std::optional<fdpp::Phase> phase = fdpp::parsePhase(words.emit);
  if (!phase)
    return fail(kUserError, "--emit=" + words.emit +
                                ": no such phase; phases are " + phaseNames());
  options.emit = *phase;
  options.faultBefore = fdpp::parsePhase(words.fault);
  options.product = FDPP_PRODUCT_VERSION;
  static int anchor;
  options.executable = llvm::sys::fs::getMainExecutable(argv[0], &anchor);
  Stages stages(words.verbose);
  llvm::Expected<CompileResult> result = mlir::fdpp::compile(
      options, llvm::outs(),
      [&](llvm::StringRef stage, uint64_t done, uint64_t total) {
        stages.report(stage, done, total);
      });
  stages.finish();
  if (!result)
    return fail(result.takeError());
  if (!result->tuningNote.empty())
    llvm::errs() << "fdpp-compile: the tuning table is not used: "
                 << result->tuningNote << "; the roofline decides\n";
  if (result->phiUnused)
    llvm::errs() << "fdpp-compile: " << options.phi
                 << " is in the engine, whose attention is exact and does not "
                    "read it; --async-softmax=on makes it asynchronous\n";
  return report(options, *result, stages.seconds());
}

} // namespace

int main(int argc, char **argv) {
  mlir::fdpp::installInterruptHandler();
  try {
    return run(argc, argv);
  } catch (const std::exception &error) {
    return fail(kInternalError, std::string("internal error: ") + error.what());
  }
}
