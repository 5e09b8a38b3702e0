// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Pipeline.h"

#include "fdpp/Pipelines/Phases.h"
#include "fdpp/Pipelines/Registration.h"
#include "fdpp/Target/CPU/EmitCPU.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassManager.h"

#include <optional>

using namespace mlir;
using fdpp::Phase;

/// LLVM's arenas poison what they have not handed out where they are compiled
/// with AddressSanitizer. Those of libMLIR are not, and share them with ours.
extern "C" const char *__asan_default_options() {
  return "allow_user_poisoning=0";
}

/// A context with the project's dialects.
static MLIRContext &currentContext() {
  constexpr unsigned kRuns = 256;
  static std::optional<MLIRContext> context;
  static unsigned runs = 0;
  if (runs++ % kRuns == 0) {
    DialectRegistry registry;
    fdpp::registerAllDialects(registry);
    context.emplace(registry, MLIRContext::Threading::DISABLED);
  }
  return *context;
}

/// False once a pass or the printer refused the module.
static bool lower(ModuleOp module) {
  for (Phase phase = fdpp::detectPhase(module); phase < Phase::Emittable;) {
    phase = static_cast<Phase>(static_cast<int>(phase) + 1);
    PassManager passes(module.getContext());
    fdpp::addPassesTo(phase, {}, passes);
    if (failed(passes.run(module)))
      return false;
  }
  std::string source;
  llvm::raw_string_ostream os(source);
  return succeeded(fdpp::emitCPU(module, os));
}

void fuzz::compile(
    llvm::function_ref<OwningOpRef<ModuleOp>(MLIRContext *)> load) {
  MLIRContext *context = &currentContext();
  std::string error;
  ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error && error.empty())
      error = diagnostic.str();
    return success();
  });
  OwningOpRef<ModuleOp> module = load(context);
  if (!(module && lower(*module)) && error.empty())
    defect("refused", "but nothing said why");
}
