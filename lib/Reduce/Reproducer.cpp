// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reproducers as files: IR with the pipeline as a resource behind it, the form
// that MLIR's crash reproducers have.

#include "fdpp/Reduce/Reduce.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::fdpp;

static constexpr StringLiteral kResource = "mlir_reproducer";

std::string Reproducer::pipeline() const {
  if (passes.empty())
    return "";
  return "builtin.module(" + llvm::join(passes, ",") + ")";
}

/// The passes of a pipeline's text, one text each.
static llvm::Expected<std::vector<std::string>> splitPipeline(StringRef text) {
  std::string message;
  llvm::raw_string_ostream os(message);
  FailureOr<OpPassManager> parsed = parsePassPipeline(text, os);
  if (failed(parsed))
    return llvm::createStringError("cannot read the pipeline: " +
                                   StringRef(message).rtrim().str());
  if (parsed->getOpAnchorName() != ModuleOp::getOperationName() &&
      parsed->getOpAnchorName() != OpPassManager::getAnyOpAnchorName())
    return llvm::createStringError("the pipeline is over " +
                                   parsed->getOpAnchorName() +
                                   "; give one over builtin.module");
  std::vector<std::string> passes;
  for (Pass &pass : *parsed) {
    std::string &one = passes.emplace_back();
    llvm::raw_string_ostream passText(one);
    pass.printAsTextualPipeline(passText, /*pretty=*/false);
  }
  return passes;
}

llvm::Expected<Reproducer> mlir::fdpp::readReproducer(llvm::StringRef path,
                                                      llvm::StringRef pipeline,
                                                      MLIRContext &context) {
  if (!llvm::sys::fs::exists(path))
    return llvm::createStringError(path + ": no such file");
  std::string written, message;
  ScopedDiagnosticHandler quiet(&context, [&](Diagnostic &diagnostic) {
    if (message.empty())
      message = diagnostic.str();
  });
  ParserConfig config(&context);
  config.attachResourceParser(
      kResource, [&](AsmParsedResourceEntry &entry) -> LogicalResult {
        if (entry.getKey() != "pipeline")
          return success();
        FailureOr<std::string> value = entry.parseAsString();
        if (succeeded(value))
          written = *value;
        return value;
      });
  Reproducer reproducer;
  reproducer.module = parseSourceFile<ModuleOp>(path, config);
  if (!reproducer.module)
    return llvm::createStringError(path + ": cannot be read as MLIR (" +
                                   message + ")");
  StringRef text = pipeline.empty() ? StringRef(written) : pipeline;
  if (text.empty())
    return reproducer;
  llvm::Expected<std::vector<std::string>> passes = splitPipeline(text);
  if (!passes)
    return passes.takeError();
  reproducer.passes = std::move(*passes);
  return reproducer;
}

void mlir::fdpp::writeReproducer(const Reproducer &reproducer,
                                 llvm::raw_ostream &os) {
  AsmState state(*reproducer.module);
  if (!reproducer.passes.empty())
    state.attachResourcePrinter(
        kResource, [&](Operation *, AsmResourceBuilder &builder) {
          builder.buildString("pipeline", reproducer.pipeline());
          builder.buildBool("disable_threading", true);
          builder.buildBool("verify_each", true);
        });
  ModuleOp module = *reproducer.module;
  module->print(os, state);
  os << "\n";
}
