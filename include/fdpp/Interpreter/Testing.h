// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Testing.h - Random models and injected faults ------------*- C++ -*-===//
#ifndef FDPP_INTERPRETER_TESTING_H
#define FDPP_INTERPRETER_TESTING_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace mlir::fdpp {

/// Fills `module` with weights and a @step as the raised phase has it: a Llama-
/// like model whose sizes and structure are functions of the seed. Its weights
/// are inline and large enough for every part to matter.
void buildRandomModel(ModuleOp module, uint64_t seed);

/// Registers --fdpp-make-random-model, which calls it, and --fdpp-inject-fault,
/// which makes a model compute something else, in ways that compilers do.
void registerTestingPasses();

} // namespace mlir::fdpp

#endif // FDPP_INTERPRETER_TESTING_H
