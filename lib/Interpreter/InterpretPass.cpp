// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- InterpretPass.cpp - Logits of the module at hand -------------------===//
#include "fdpp/Interpreter/InterpretPass.h"

#include "fdpp/Interpreter/Script.h"

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::fdpp;

/// What stands before doubles in numpy's format 1.0: a header padded to a
/// multiple of 64 bytes.
static std::string npyHeader(ArrayRef<int64_t> shape) {
  std::string extents;
  llvm::raw_string_ostream os(extents);
  llvm::interleaveComma(shape, os);
  if (shape.size() == 1)
    os << ","; // a tuple, in Python
  std::string header = llvm::formatv(
      "{{'descr': '<f8', 'fortran_order': False, 'shape': ({0})}", extents);
  constexpr size_t kPrefix = 10;
  header.append(63 - (kPrefix + header.size()) % 64, ' ');
  header += '\n';
  std::string start("\x93NUMPY\x01\x00", 8);
  start += static_cast<char>(header.size() & 0xff);
  start += static_cast<char>(header.size() >> 8);
  return start + header;
}

static void writeElements(llvm::raw_ostream &os, ArrayRef<double> values) {
  os.write(reinterpret_cast<const char *>(values.data()),
           values.size() * sizeof(double));
}

/// A line of JSON and an .npy file behind it.
static void writeValue(llvm::raw_ostream &os, StringRef label,
                       const ComputedValue &value) {
  std::string header = npyHeader(value.shape);
  llvm::json::OStream json(os);
  json.object([&] {
    json.attribute("label", label);
    json.attribute("node", value.node);
    json.attribute("op", value.op);
    json.attribute("step", value.call);
    json.attribute("npy_bytes",
                   header.size() + value.elements.size() * sizeof(double));
  });
  os << '\n' << header;
  writeElements(os, value.elements);
}

namespace {
struct InterpretPass : public PassWrapper<InterpretPass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(InterpretPass)

  InterpretPass() = default;
  InterpretPass(const InterpretPass &other) : PassWrapper(other) {}

  StringRef getArgument() const final { return "fdpp-interpret"; }
  StringRef getDescription() const final {
    return "Write the logits that the module gives for some tokens";
  }
  void runOnOperation() final {
    auto module = dyn_cast<ModuleOp>(getOperation());
    if (!module || failed(interpret(module)))
      signalPassFailure();
  }

private:
  LogicalResult interpret(ModuleOp module) {
    auto mode = parseRoundingMode(round);
    std::optional<int64_t> vocab = vocabularyOf(module);
    if (!mode)
      return emitError(module.getLoc(), "cannot round to '")
             << round << "', only none, f32, bf16 or f16";
    if (!vocab || tokens.empty())
      return emitError(module.getLoc(), "needs tokens and @main or @step");
    Script script;
    if (failed(readScript(module, *vocab, script)) ||
        failed(readPhi(module, script.phi)))
      return failure();
    return run(module, script, *mode, *vocab);
  }

  /// All sequences at once: the first tokens of each, as many as wished, in one
  /// step, the others one a step.
  LogicalResult readScript(ModuleOp module, int64_t vocab, Script &script) {
    SmallVector<int64_t> counts(lengths.begin(), lengths.end());
    if (counts.empty())
      counts.push_back(tokens.size());
    ArrayRef<int64_t> rest(tokens);
    for (int64_t count : counts) {
      if (count < 1 || count > static_cast<int64_t>(rest.size()))
        return emitError(module.getLoc(), "lengths do not divide the tokens");
      script.sequences.emplace_back(rest.begin(), rest.begin() + count);
      rest = rest.drop_front(count);
    }
    if (!rest.empty())
      return emitError(module.getLoc(), "lengths do not divide the tokens");
    for (int64_t token : tokens)
      if (token < 0 || token >= vocab)
        return emitError(module.getLoc(), "token ")
               << token << " is not in the vocabulary of " << vocab;
    int64_t longest = *llvm::max_element(counts);
    int64_t first = prefill > 0 ? std::min<int64_t>(prefill, longest) : longest;
    for (int64_t done = 0; done < longest; done = std::max(first, done + 1)) {
      script.steps.emplace_back();
      for (auto [sequence, count] : llvm::enumerate(counts))
        if (int64_t left = count - done; left > 0)
          script.steps.back().push_back(
              {static_cast<unsigned>(sequence),
               done == 0 ? std::min(left, first) : 1});
    }
    return success();
  }

  /// As an engine's runtime does: null is a head that is always exact.
  LogicalResult readPhi(ModuleOp module, std::vector<double> &numbers) {
    if (phi.empty())
      return success();
    auto buffer = llvm::MemoryBuffer::getFile(phi, /*IsText=*/true);
    if (!buffer)
      return emitError(module.getLoc(), "cannot read '")
             << phi << "': " << buffer.getError().message();
    auto json = llvm::json::parse((*buffer)->getBuffer());
    const llvm::json::Object *root = json ? json->getAsObject() : nullptr;
    const llvm::json::Array *rows = root ? root->getArray("phi") : nullptr;
    if (!json)
      llvm::consumeError(json.takeError());
    if (!rows)
      return emitError(module.getLoc(), "'") << phi << "' is no phi.json";
    for (const llvm::json::Value &row : *rows)
      if (const llvm::json::Array *heads = row.getAsArray())
        for (const llvm::json::Value &head : *heads)
          numbers.push_back(head.getAsNumber().value_or(std::nan("")));
    return success();
  }

  LogicalResult run(ModuleOp module, const Script &script, RoundingMode mode,
                    int64_t vocab) {
    FolderWeights source(weights);
    InterpreterOptions options;
    options.rounding = mode;
    std::optional<llvm::raw_fd_ostream> stream;
    if (!values.empty()) {
      std::error_code error;
      stream.emplace(values, error, llvm::sys::fs::CD_OpenAlways,
                     llvm::sys::fs::FA_Write, llvm::sys::fs::OF_Append);
      if (error)
        return cannotWrite(module, values, error);
      options.onValue = [&](const ComputedValue &value) {
        writeValue(*stream, label, value);
      };
      options.weightCache = 0; // each is read once
    }
    auto result = runScript(module, script, source, options);
    if (!result)
      return emitError(module.getLoc(), llvm::toString(result.takeError()));
    if (stream) {
      stream->flush();
      std::error_code error = stream->error();
      stream->clear_error();
      if (error)
        return cannotWrite(module, values, error);
    }
    std::vector<double> rows;
    for (const std::vector<double> &sequence : result->sequences)
      llvm::append_range(rows, sequence);
    return write(module, rows, vocab);
  }

  static LogicalResult cannotWrite(ModuleOp module, StringRef path,
                                   std::error_code error) {
    return emitError(module.getLoc(), "cannot write '")
           << path << "': " << error.message();
  }

  LogicalResult write(ModuleOp module, ArrayRef<double> values,
                      int64_t columns) {
    std::error_code error;
    if (logits.empty())
      return success();
    llvm::raw_fd_ostream os(logits, error);
    if (!error) {
      os << npyHeader({static_cast<int64_t>(values.size()) / columns, columns});
      writeElements(os, values);
      os.close();
      error = os.error();
      os.clear_error();
    }
    return error ? cannotWrite(module, logits, error) : success();
  }

  ListOption<int64_t> tokens{*this, "tokens",
                             llvm::cl::desc("The ids of the sequence")};
  ListOption<int64_t> lengths{
      *this, "lengths",
      llvm::cl::desc("Tokens of each of several sequences, which `tokens` "
                     "gives one after another")};
  Option<std::string> logits{*this, "logits",
                             llvm::cl::desc("The .npy file to write, if any"),
                             llvm::cl::init("logits.npy")};
  Option<int64_t> prefill{
      *this, "prefill",
      llvm::cl::desc("Tokens of the first step, each other has its own; 0: "
                     "all in one"),
      llvm::cl::init(0)};
  Option<std::string> phi{
      *this, "phi",
      llvm::cl::desc("The phi.json of asynchronous softmax; without one every "
                     "head is exact")};
  Option<std::string> values{
      *this, "values",
      llvm::cl::desc("A file to append every intermediate value to that has a "
                     "node in the ONNX graph")};
  Option<std::string> label{*this, "label",
                            llvm::cl::desc("A word for those values")};
  Option<std::string> round{
      *this, "round", llvm::cl::desc("Where to round: none, f32, bf16 or f16"),
      llvm::cl::init("none")};
  Option<std::string> weights{
      *this, "weights",
      llvm::cl::desc("The folder that the weights' files are in"),
      llvm::cl::init(".")};
};
} // namespace

void mlir::fdpp::registerInterpretPass() { PassRegistration<InterpretPass>(); }
