// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Testing.h - Random models and injected faults ------------*- C++ -*-===//
#ifndef FDPP_INTERPRETER_TESTING_H
#define FDPP_INTERPRETER_TESTING_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <memory>

namespace mlir {
class Pass;
} // namespace mlir

namespace mlir::fdpp {

/// Which random models to build.
enum class ModelFamily {
  Llama,   ///< As fdpp-export writes them.
  Unusual, ///< Forms of Llama's relatives: other rotary pairs, layer norms,
           ///< feed-forward parts without a gate, scaled embeddings, layers
           ///< that differ in their windows and rotary tables.
};

/// Fills `module` with weights and a @step as the raised phase has it: a model
/// whose sizes and structure are functions of the seed. Its weights are inline
/// and large enough for every part to matter.
void buildRandomModel(ModuleOp module, uint64_t seed,
                      ModelFamily family = ModelFamily::Llama);

/// The kinds of faults that can be injected.
SmallVector<StringRef> faultNames();

/// A pass that makes a mistake of this kind in the last operation it can be
/// made in. It fails, with an error, in a model that has none.
std::unique_ptr<Pass> createInjectFaultPass(StringRef kind);

/// Registers --fdpp-make-random-model, which calls it, and --fdpp-inject-fault,
/// which makes a model compute something else, in ways that compilers do.
void registerTestingPasses();

} // namespace mlir::fdpp

#endif // FDPP_INTERPRETER_TESTING_H
