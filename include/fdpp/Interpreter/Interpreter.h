// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Interpreter.h - Executes IR of any phase -----------------*- C++ -*-===//
//
// The meaning of every operation from the phase import to the phase planned:
// onnx ops, fdpp ops in all three forms and what they are used with of arith,
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

#include <functional>
#include <memory>
#include <variant>
#include <vector>

namespace mlir::fdpp {

/// What an operation has just computed, for who wants to see a model from
/// inside. The pointers hold during the call.
struct ComputedValue {
  StringRef node; ///< Of the ONNX graph, computes the same: Provenance.h.
  StringRef op;   ///< "fdpp.rope"
  ArrayRef<int64_t> shape;
  ArrayRef<double> elements; ///< Row-major.
  int64_t call;              ///< Of Interpreter::call, from 0: the step.
};

/// When a row of an asynchronous softmax counts as valid: as docs/numerics.md
/// states it, or with a mistake that tests must see.
enum class AsyncRule : uint8_t {
  Stated,
  FixedThreshold, ///< One least denominator for every format.
  UnroundedSum,   ///< Denominators of terms that were not rounded.
  NoNumerators    ///< Numerators may be infinite.
};

struct InterpreterOptions {
  RoundingMode rounding = RoundingMode::Exact;
  AsyncRule asyncRule = AsyncRule::Stated;
  /// Called with layer and query head of each row that fdpp.recompute_rows
  /// replaces.
  std::function<void(int64_t, int64_t)> onRecompute;
  /// Called with the float tensors that depend on the function's arguments and
  /// whose location names a node, in the order of the computation.
  std::function<void(const ComputedValue &)> onValue;
  /// Bytes of weights that are kept for their next use, counted as doubles.
  size_t weightCache = std::numeric_limits<size_t>::max();
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

  /// Lets every fdpp.dispatch take region `variant`, modulo their number, from
  /// now on, instead of the one whose range M is in. They must compute the
  /// same, and small scripts reach them all.
  void chooseVariant(unsigned variant);

  /// The logical elements of a weight's layer, as linear ops read them.
  llvm::Expected<Array> weight(StringRef name, int64_t layer);

private:
  std::unique_ptr<Machine> machine;
};

} // namespace mlir::fdpp

#endif // FDPP_INTERPRETER_INTERPRETER_H
