// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- InterpretPass.cpp - Logits of the module at hand -------------------===//
#include "fdpp/Interpreter/InterpretPass.h"

#include "fdpp/Interpreter/Script.h"

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::fdpp;

/// Writes doubles [rows, columns] as numpy's format 1.0: a header padded to a
/// multiple of 64 bytes, then the elements.
static void writeNpy(llvm::raw_ostream &os, ArrayRef<double> values,
                     int64_t columns) {
  std::string header =
      llvm::formatv("{{'descr': '<f8', 'fortran_order': False, 'shape': "
                    "({0}, {1})}",
                    values.size() / columns, columns);
  constexpr size_t kPrefix = 10;
  header.append(63 - (kPrefix + header.size()) % 64, ' ');
  header += '\n';
  os.write("\x93NUMPY\x01\x00", 8);
  os << static_cast<char>(header.size() & 0xff)
     << static_cast<char>(header.size() >> 8) << header;
  os.write(reinterpret_cast<const char *>(values.data()),
           values.size() * sizeof(double));
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
    script.sequences.emplace_back();
    for (int64_t token : tokens) {
      if (token < 0 || token >= *vocab)
        return emitError(module.getLoc(), "token ")
               << token << " is not in the vocabulary of " << *vocab;
      script.sequences[0].push_back(static_cast<int32_t>(token));
    }
    script.steps = {{{0, static_cast<int64_t>(tokens.size())}}};
    FolderWeights source(weights);
    InterpreterOptions options;
    options.rounding = *mode;
    auto result = runScript(module, script, source, options);
    if (!result)
      return emitError(module.getLoc(), llvm::toString(result.takeError()));
    return write(module, result->sequences[0], *vocab);
  }

  LogicalResult write(ModuleOp module, ArrayRef<double> values,
                      int64_t columns) {
    std::error_code error;
    llvm::raw_fd_ostream os(logits, error);
    if (!error) {
      writeNpy(os, values, columns);
      os.close();
      error = os.error();
      os.clear_error();
    }
    if (error)
      return emitError(module.getLoc(), "cannot write '")
             << logits << "': " << error.message();
    return success();
  }

  ListOption<int64_t> tokens{*this, "tokens",
                             llvm::cl::desc("The ids of the sequence")};
  Option<std::string> logits{*this, "logits",
                             llvm::cl::desc("The .npy file to write"),
                             llvm::cl::init("logits.npy")};
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
