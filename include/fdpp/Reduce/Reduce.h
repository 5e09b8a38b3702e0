// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shrinks a module, and the list of passes that goes wrong over it, to what the
// failure needs.

#ifndef FDPP_REDUCE_REDUCE_H
#define FDPP_REDUCE_REDUCE_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include "llvm/Support/Error.h"

#include <functional>
#include <string>
#include <vector>

namespace mlir::fdpp {

/// A module and the passes over it, each as its text in a pipeline.
struct Reproducer {
  OwningOpRef<ModuleOp> module;
  std::vector<std::string> passes;

  /// The passes as the text of one pipeline; empty without any.
  std::string pipeline() const;
};

/// Reads IR. Its passes are those of the reproducer written in it, or those of
/// `pipeline` when that is not empty. The context must know the dialects.
llvm::Expected<Reproducer> readReproducer(llvm::StringRef path,
                                          llvm::StringRef pipeline,
                                          MLIRContext &context);

/// Writes what `fdpp-opt --run-reproducer` repeats.
void writeReproducer(const Reproducer &reproducer, llvm::raw_ostream &os);

/// How the passes fail over the module: "error: TEXT" with every number in it
/// as '#', since numbers change as a module shrinks; "signal N" for a crash;
/// empty when they do not. Runs them in a child process, which `seconds` stop
/// (then "signal 14").
std::string observeFailure(const Reproducer &reproducer, unsigned seconds);

/// Whether a candidate still shows what is looked for.
using Judge = std::function<bool(const Reproducer &)>;

struct ReduceCounts {
  unsigned tests = 0, kept = 0; // candidates judged, and those that went on
};

/// Shrinks `reproducer` until no single step goes further: passes, symbols,
/// operations (a result becomes an operand of its type or an argument of the
/// function), results and arguments of functions, attributes, constants. Every
/// candidate given to `judge` is valid IR.
ReduceCounts reduce(Reproducer &reproducer, const Judge &judge);

} // namespace mlir::fdpp

#endif // FDPP_REDUCE_REDUCE_H
