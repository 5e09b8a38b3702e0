// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Interpreter.h - Executes fdpp IR of any phase ------------*- C++ -*-===//
//
// The meaning of every operation from the phase recognised to the phase
// planned: fdpp ops in all three forms and what they are used with of arith,
// math, tensor, memref, scf, func and bufferization. It is written for clarity
// and not for speed, shares no code with the kernels and is what passes and
// kernels are checked against.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_INTERPRETER_INTERPRETER_H
#define FDPP_INTERPRETER_INTERPRETER_H

#include "fdpp/Interpreter/Array.h"
#include "fdpp/Interpreter/Rounding.h"
#include "fdpp/Interpreter/Weights.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <variant>
#include <vector>

namespace mlir::fdpp {

struct InterpreterOptions {
  RoundingMode rounding = RoundingMode::Exact;
  /// fdpp.dispatch takes its regions in turn instead of by the range M is in.
  /// They compute the same, so small scripts reach them all.
  bool everyVariant = true;
};

/// What a function takes and gives: a float, an integer or index, or a tensor
/// or memref. A memref argument is written in place.
using Datum = std::variant<double, int64_t, Array>;

class Machine;

/// Executes functions of one module, which must not change meanwhile. Weights
/// are read on first use and kept.
class Interpreter {
public:
  Interpreter(ModuleOp module, WeightSource &weights,
              InterpreterOptions options = {});
  ~Interpreter();

  /// Calls the function of this name. The error is one line and names the
  /// operation that could not be executed and its location.
  llvm::Expected<std::vector<Datum>> call(StringRef function,
                                          ArrayRef<Datum> arguments);

  /// The logical elements of a weight's layer, as linear ops read them.
  llvm::Expected<Array> weight(StringRef name, int64_t layer);

private:
  std::unique_ptr<Machine> machine;
};

} // namespace mlir::fdpp

#endif // FDPP_INTERPRETER_INTERPRETER_H
