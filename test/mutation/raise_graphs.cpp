// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Raises graphs and interprets them, thousands in one process: starting one for
// each would take ten times as long as the work. Each line of stdin is a job,
//
//   {"graph": PATH, "phase": "raised", "tokens": [[1, 2], [3, 4]],
//    "splits": [[2], [1, 1]], "logits": PATH}
//
// and each line of stdout its outcome:
//
//   {"refused": [ERROR, ...]}   the compiler does not take the graph
//   {"failed": ERROR}           what it made of the graph cannot be run
//   {"raised": IR}              logits written: [split, sequence, token, vocab]
//
// A job of phase 'planned' goes on behind 'raised', and writes the logits of
// both: a pass that changes them is not told by the graph alone. An error in
// between stands under "later".
//
// IR is the module in a normal form: operations in the order in which the
// result needs them, weights called by their order and by what they hold. Two
// graphs that mean the same should have the same.

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Import/ONNX/ImportONNX.h"
#include "fdpp/Interpreter/Script.h"
#include "fdpp/Pipelines/Phases.h"
#include "fdpp/Pipelines/Registration.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/Hashing.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"

#include <iostream>
#include <string>

using namespace mlir;
using namespace mlir::fdpp;
using ::fdpp::Phase;
using llvm::createStringError;
using llvm::Expected;

//===----------------------------------------------------------------------===//
// Normal form
//===----------------------------------------------------------------------===//

/// Puts `op` and what it needs, in the order of operands, in front of `place`.
static void orderByNeed(Operation *op, Operation *place,
                        llvm::SmallPtrSetImpl<Operation *> &done) {
  if (!done.insert(op).second)
    return;
  for (Value operand : op->getOperands())
    if (Operation *producer = operand.getDefiningOp())
      orderByNeed(producer, place, done);
  if (op != place)
    op->moveBefore(place);
}

/// A number for what a weight holds.
static Expected<uint64_t> contentOf(Attribute source, RankedTensorType type,
                                    WeightSource &weights) {
  auto array = weights.read(source, type);
  if (!array)
    return array.takeError();
  std::vector<double> storage;
  ArrayRef<double> values = array->dense(storage);
  return llvm::xxh3_64bits(
      ArrayRef(reinterpret_cast<const uint8_t *>(values.data()),
               values.size() * sizeof(double)));
}

static llvm::Error replaceSources(WeightOp weight, WeightSource &weights) {
  SmallVector<Attribute> contents;
  ArrayAttr sources = *weight.getSources();
  for (Attribute source : sources) {
    auto content = contentOf(source, weight.getTensorType(), weights);
    if (!content)
      return content.takeError();
    contents.push_back(SeededAttr::get(weight.getContext(), *content));
  }
  weight.setSourcesAttr(ArrayAttr::get(weight.getContext(), contents));
  return llvm::Error::success();
}

/// Renames the weights in the order in which `body` uses them.
static llvm::Error nameWeights(ModuleOp module, Block &body,
                               WeightSource &weights) {
  SymbolTable symbols(module);
  SmallVector<WeightOp> used;
  auto note = [&](WeightAtOp at) {
    auto weight = symbols.lookup<WeightOp>(at.getWeight());
    if (weight && !llvm::is_contained(used, weight))
      used.push_back(weight);
  };
  for (Operation &op : body)
    op.walk(note);
  // Init regions read further weights.
  for (size_t i = 0; i < used.size(); ++i)
    used[i]->walk(note);
  for (auto [i, weight] : llvm::enumerate(used)) {
    if (weight.getSources())
      if (llvm::Error error = replaceSources(weight, weights))
        return error;
    // Two steps, as a name that is wanted may belong to another weight still.
    if (failed(symbols.rename(weight, ("normal." + Twine(i)).str())))
      return createStringError("a weight cannot be renamed");
    weight->remove();
    module.getBody()->getOperations().insert(
        Block::iterator(body.getParentOp()), weight);
  }
  return llvm::Error::success();
}

static Expected<std::string> normalForm(ModuleOp module,
                                        WeightSource &weights) {
  for (auto func : module.getOps<func::FuncOp>()) {
    llvm::SmallPtrSet<Operation *, 32> done;
    Operation *last = func.front().getTerminator();
    orderByNeed(last, last, done);
    if (llvm::Error error = nameWeights(module, func.front(), weights))
      return error;
  }
  std::string text;
  llvm::raw_string_ostream os(text);
  module.print(os);
  return text;
}

//===----------------------------------------------------------------------===//
// Jobs
//===----------------------------------------------------------------------===//

namespace {
struct Job {
  std::string graph, phase = "raised", logits;
  std::vector<std::vector<int64_t>> tokens, splits;
};

bool fromJSON(const llvm::json::Value &value, Job &job, llvm::json::Path path) {
  llvm::json::ObjectMapper map(value, path);
  return map && map.map("graph", job.graph) &&
         map.mapOptional("phase", job.phase) && map.map("logits", job.logits) &&
         map.map("tokens", job.tokens) && map.map("splits", job.splits);
}

/// Keeps the errors that a context is told.
class Errors {
public:
  explicit Errors(MLIRContext &context)
      : handler(&context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
            lines.push_back(diagnostic.str());
          return success();
        }) {}
  llvm::json::Array lines;

private:
  ScopedDiagnosticHandler handler;
};
} // namespace

/// Every sequence takes the same part of its tokens in every step.
static Script scriptOf(const Job &job, ArrayRef<int64_t> split) {
  Script script;
  for (const auto &tokens : job.tokens)
    script.sequences.emplace_back(tokens.begin(), tokens.end());
  for (int64_t tokens : split) {
    auto &step = script.steps.emplace_back();
    for (unsigned s = 0; s < job.tokens.size(); ++s)
      step.push_back({s, tokens});
  }
  script.holes = true; // a graph takes all sequences as one batch
  return script;
}

static llvm::Error interpret(const Job &job, ModuleOp module,
                             WeightSource &weights, llvm::raw_ostream &os) {
  for (const auto &split : job.splits) {
    auto logits = runScript(module, scriptOf(job, split), weights);
    if (!logits)
      return logits.takeError();
    for (const auto &rows : logits->sequences)
      os.write(reinterpret_cast<const char *>(rows.data()),
               rows.size() * sizeof(double));
  }
  return llvm::Error::success();
}

static LogicalResult lower(ModuleOp module, ArrayRef<Phase> phases) {
  PassManager manager(module.getContext());
  ::fdpp::PhaseOptions options;
  options.pageTokens = 16;
  options.dtype = "f32";
  for (Phase phase : phases)
    ::fdpp::addPassesTo(phase, options, manager);
  return manager.run(module);
}

static llvm::json::Object failure(llvm::Error error) {
  return llvm::json::Object{{"failed", llvm::toString(std::move(error))}};
}

static llvm::json::Object run(const Job &job, MLIRContext &context) {
  Errors errors(context);
  OwningOpRef<ModuleOp> module = importONNXFile(job.graph, &context);
  if (!module || (job.phase != "import" &&
                  failed(lower(*module, {Phase::Recognised, Phase::Raised}))))
    return llvm::json::Object{{"refused", std::move(errors.lines)}};
  FolderWeights weights(llvm::sys::path::parent_path(job.graph).str());
  std::error_code code;
  llvm::raw_fd_ostream os(job.logits, code);
  if (code)
    return failure(createStringError(code, job.logits));
  if (llvm::Error error = interpret(job, *module, weights, os))
    return failure(std::move(error));
  llvm::json::Object result;
  if (job.phase == "planned") {
    OwningOpRef<ModuleOp> planned = module->clone();
    if (failed(lower(*planned, {Phase::Rolled, Phase::Fused, Phase::Planned})))
      result["later"] = std::move(errors.lines);
    else if (llvm::Error error = interpret(job, *planned, weights, os))
      return failure(std::move(error));
  }
  auto text = normalForm(*module, weights);
  if (!text)
    return failure(text.takeError());
  result["raised"] = std::move(*text);
  return result;
}

int main() {
  DialectRegistry registry;
  ::fdpp::registerAllDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  for (std::string line; std::getline(std::cin, line);) {
    auto job = llvm::json::parse<Job>(line);
    if (!job) {
      llvm::errs() << llvm::toString(job.takeError()) << "\n";
      return 1;
    }
    llvm::outs() << llvm::json::Value(run(*job, context)) << "\n";
    llvm::outs().flush();
  }
  return 0;
}
