// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Drivers.h - Scripts on steps and on graphs ---------------*- C++ -*-===//
#ifndef FDPP_LIB_INTERPRETER_DRIVERS_H
#define FDPP_LIB_INTERPRETER_DRIVERS_H

#include "fdpp/Interpreter/Script.h"

namespace mlir::fdpp {

/// Columns of the logits of @step or the entries; nullopt without any.
std::optional<int64_t> stepVocabulary(ModuleOp module);

/// Runs a script on @step or the entries specialised from it, with a paged
/// cache whose pages are in random order.
llvm::Expected<Logits> runSteps(ModuleOp module, const Script &script,
                                WeightSource &weights,
                                InterpreterOptions options);

/// Columns of the logits of @main; nullopt without it.
std::optional<int64_t> graphVocabulary(ModuleOp module);

/// Executes @main: arrays in the order of its arguments and results.
using GraphFunction =
    llvm::function_ref<llvm::Expected<std::vector<Array>>(ArrayRef<Array>)>;

/// Runs a script on @main, a graph over [batch, sequence].
llvm::Expected<Logits> runGraph(ModuleOp module, const Script &script,
                                const GraphFunction &function);

} // namespace mlir::fdpp

#endif // FDPP_LIB_INTERPRETER_DRIVERS_H
