// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- CheckEach.cpp - Interpretation around every pass -------------------===//
#include "fdpp/Interpreter/CheckEach.h"

#include "fdpp/Interpreter/Script.h"

#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Format.h"

#include <optional>

using namespace mlir;
using namespace mlir::fdpp;

namespace {
class CheckEach : public PassInstrumentation {
public:
  CheckEach(CheckOptions options, std::shared_ptr<CheckOutcome> outcome)
      : options(options), outcome(std::move(outcome)),
        weights(options.weightFolder) {}

  void runBeforePass(Pass *pass, Operation *op) override {
    if (!expected)
      check(moduleOf(op), "");
  }
  void runAfterPass(Pass *pass, Operation *op) override {
    StringRef name = pass->getArgument();
    check(moduleOf(op), name.empty() ? pass->getName() : name);
  }

private:
  static ModuleOp moduleOf(Operation *op) {
    auto module = dyn_cast<ModuleOp>(op);
    return module ? module : op->getParentOfType<ModuleOp>();
  }

  void check(ModuleOp module, StringRef pass);
  void judge(ModuleOp module, StringRef pass, const Logits &actual);
  InFlightDiagnostic report(ModuleOp module, StringRef pass) {
    outcome->failed = true;
    outcome->pass = pass.str();
    return emitError(module.getLoc(), "check-each: ");
  }

  CheckOptions options;
  std::shared_ptr<CheckOutcome> outcome;
  FolderWeights weights;
  std::optional<OperationFingerPrint> seen;
  Script script;
  std::optional<Logits> expected;
};
} // namespace

void CheckEach::check(ModuleOp module, StringRef pass) {
  if (!module || outcome->failed)
    return;
  OperationFingerPrint now(module);
  if (seen && *seen == now)
    return;
  seen.emplace(now);
  std::optional<int64_t> vocab = vocabularyOf(module);
  if (!vocab) {
    if (expected)
      report(module, pass) << "'" << pass
                           << "' leaves no entry that a script can run";
    return;
  }
  InterpreterOptions interpretation;
  interpretation.rounding = options.rounding;
  if (!expected) {
    script = makeScript(options.seed, *vocab, options.sequences);
    tryHoles(module, script, weights, interpretation);
  }
  auto logits = runScript(module, script, weights, interpretation);
  ++outcome->runs;
  outcome->checked.insert(pass.str());
  if (!logits) {
    std::string when =
        pass.empty() ? "before the first pass" : ("after '" + pass + "'").str();
    report(module, pass) << "the model fails " << when << " (seed "
                         << options.seed
                         << "): " << llvm::toString(logits.takeError());
    return;
  }
  if (!expected)
    expected = *logits;
  judge(module, pass, *logits);
}

void CheckEach::judge(ModuleOp module, StringRef pass, const Logits &actual) {
  double tolerance = options.tolerance > 0 ? options.tolerance
                                           : defaultTolerance(options.rounding);
  Comparison result = compare(*expected, actual, tolerance);
  if (result.equal) {
    outcome->maxError = std::max(outcome->maxError, result.maxError);
    return;
  }
  std::string where;
  llvm::raw_string_ostream(where)
      << "maximum error " << llvm::format("%.3g", result.maxError)
      << ", first at sequence " << result.sequence << ", position "
      << result.position << ", token " << result.token << ": "
      << llvm::format("%.9g", result.actual) << " instead of "
      << llvm::format("%.9g", result.expected);
  report(module, pass) << "'" << pass << "' changes the meaning (seed "
                       << options.seed << "): " << where;
}

std::shared_ptr<CheckOutcome> mlir::fdpp::checkEachPass(PassManager &manager,
                                                        CheckOptions options) {
  auto outcome = std::make_shared<CheckOutcome>();
  manager.getContext()->disableMultithreading();
  manager.addInstrumentation(std::make_unique<CheckEach>(options, outcome));
  return outcome;
}
