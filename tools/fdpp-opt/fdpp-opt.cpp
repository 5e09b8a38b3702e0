// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-opt: runs passes and pipelines over .mlir files.

#include "fdpp/Interpreter/CheckEach.h"
#include "fdpp/Interpreter/InterpretPass.h"
#include "fdpp/Interpreter/Testing.h"
#include "fdpp/Pipelines/ParserGuard.h"
#include "fdpp/Pipelines/Registration.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/ToolOutputFile.h"

namespace cl = llvm::cl;

static cl::opt<bool>
    checkEach("fdpp-check-each",
              cl::desc("Interpret the model around every pass and fail where "
                       "its logits change"));
static cl::opt<uint64_t> checkSeed("fdpp-check-seed",
                                   cl::desc("Seed of the script's tokens, "
                                            "chunks and pages"),
                                   cl::init(1));
static cl::opt<unsigned> checkSequences("fdpp-check-sequences",
                                        cl::desc("Sequences of the script"),
                                        cl::init(3));
static cl::opt<mlir::fdpp::RoundingMode> checkRounding(
    "fdpp-check-round", cl::desc("Where the interpreter rounds"),
    cl::values(clEnumValN(mlir::fdpp::RoundingMode::Exact, "none", "nowhere"),
               clEnumValN(mlir::fdpp::RoundingMode::F32, "f32", "as f32"),
               clEnumValN(mlir::fdpp::RoundingMode::BF16, "bf16", "as bf16"),
               clEnumValN(mlir::fdpp::RoundingMode::F16, "f16", "as f16")),
    cl::init(mlir::fdpp::RoundingMode::Exact));

static mlir::fdpp::CheckOptions checkOptions(llvm::StringRef input) {
  mlir::fdpp::CheckOptions options;
  options.seed = checkSeed;
  options.sequences = checkSequences;
  options.rounding = checkRounding;
  options.weightFolder = llvm::sys::path::parent_path(input).str();
  return options;
}

/// Says on stderr what the checks did; true if they passed.
static bool
report(llvm::ArrayRef<std::shared_ptr<mlir::fdpp::CheckOutcome>> outcomes) {
  unsigned runs = 0;
  double error = 0;
  bool failed = false;
  for (const auto &outcome : outcomes) {
    runs += outcome->runs;
    error = std::max(error, outcome->maxError);
    failed |= outcome->failed;
  }
  if (runs == 0) {
    llvm::errs() << "fdpp-opt: --fdpp-check-each: the module has nothing to "
                    "run, give one with @main or @step\n";
    return false;
  }
  llvm::errs() << "check-each: " << runs << " scripts, largest difference "
               << llvm::format("%.3g", error) << "\n";
  return !failed;
}

/// MlirOptMain, with an interpretation around every pass if asked for.
static int optMain(llvm::StringRef input, llvm::StringRef output,
                   mlir::DialectRegistry &registry) {
  std::string error;
  auto file = mlir::openInputFile(input, &error);
  auto result = file ? mlir::openOutputFile(output, &error) : nullptr;
  if (!result) {
    llvm::errs() << error << "\n";
    return 1;
  }
  if (llvm::Error refused =
          mlir::fdpp::checkParsable(file->getBuffer(), input)) {
    llvm::errs() << "fdpp-opt: " << llvm::toString(std::move(refused)) << "\n";
    return 1;
  }
  auto config = mlir::MlirOptMainConfig::createFromCLOptions();
  auto checked = config;
  std::vector<std::shared_ptr<mlir::fdpp::CheckOutcome>> outcomes;
  if (checkEach)
    checked.setPassPipelineSetupFn([&](mlir::PassManager &manager) {
      outcomes.push_back(
          mlir::fdpp::checkEachPass(manager, checkOptions(input)));
      return config.setupPassPipeline(manager);
    });
  if (failed(
          mlir::MlirOptMain(result->os(), std::move(file), registry, checked)))
    return 1;
  result->keep();
  return !checkEach || report(outcomes) ? 0 : 1;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  mlir::DialectRegistry registry;
  fdpp::registerAllDialects(registry);
  fdpp::registerAllPasses();
  mlir::fdpp::registerInterpretPass();
  mlir::fdpp::registerTestingPasses();
  auto [input, output] = mlir::registerAndParseCLIOptions(
      argc, argv, "FDPP optimizer driver\n", registry);
  return optMain(input, output, registry);
}
