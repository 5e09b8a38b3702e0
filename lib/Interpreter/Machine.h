// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Machine.h - Inside of the step interpreter ---------------*- C++ -*-===//
//
// A function is resolved once into a tree of instructions: each has a handler
// and the numbers of the registers it reads and writes, so that running it
// looks nothing up. That matters in epilogues, which run once per element.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_LIB_INTERPRETER_MACHINE_H
#define FDPP_LIB_INTERPRETER_MACHINE_H

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Interpreter/Interpreter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringMap.h"

#include <deque>
#include <map>
#include <string>

namespace mlir::fdpp {

struct Frame;
struct Instr;
using RunFn = LogicalResult (*)(Frame &, const Instr &);

/// The three register files.
enum class Kind : uint8_t { Real, Integer, Array };

struct Slot {
  Kind kind;
  unsigned index;
};

struct Code;

/// One operation, ready to run.
struct Instr {
  RunFn run = nullptr;
  Operation *op = nullptr;
  SmallVector<Slot, 6> in, out;
  double real = 0;     ///< A constant of the operation, if it is a float.
  int64_t integer = 0; ///< A constant of the operation, if it is an integer.
  Array constant;      ///< A constant of the operation, if it is a tensor.
  std::vector<Code> regions;
  bool shown = false; ///< To InterpreterOptions::onValue.
};

/// Memory whose life ends inside a block: a view into an arena.
struct LiveRange {
  Slot array;
  unsigned first, last; ///< Instructions of the block.
};

/// A block. The terminator is not run: whoever runs the block reads its
/// operands.
struct Code {
  std::vector<Instr> instrs;
  SmallVector<Slot, 6> args;
  Instr end;
  std::vector<LiveRange> views;
  /// Tensors nobody reads behind an instruction, in the order of those.
  std::vector<std::pair<unsigned, Slot>> dead;
};

/// A function, or the init region of a weight.
struct Function {
  Code body;
  unsigned reals = 0, integers = 0, arrays = 0;
};

/// How a kind of operation is run. `prepare` reads attributes once.
struct Handler {
  RunFn run;
  void (*prepare)(Instr &) = nullptr;
};
using HandlerMap = llvm::StringMap<Handler>;

void addScalarHandlers(HandlerMap &map);
void addTensorHandlers(HandlerMap &map);
void addMemRefHandlers(HandlerMap &map);
void addControlHandlers(HandlerMap &map);
void addModelHandlers(HandlerMap &map);
void addAttentionHandlers(HandlerMap &map);
void addAsyncAttentionHandlers(HandlerMap &map);
void addMaskedAttentionHandlers(HandlerMap &map);
void addFusedHandlers(HandlerMap &map);
void addONNXHandlers(HandlerMap &map);

/// The handler of an operator that the evaluator of the onnx dialect knows.
std::optional<Handler> operatorHandler(Operation &op);

/// Resolves the block of `region`.
llvm::Expected<std::unique_ptr<Function>> resolve(Region &region);

/// The state of an interpretation that outlives calls.
class Machine {
public:
  Machine(ModuleOp module, WeightSource &weights, InterpreterOptions options)
      : module(module), weights(weights), options(options),
        modeRounder(options.rounding), symbols(module) {}

  llvm::Expected<std::vector<Datum>> call(func::FuncOp function,
                                          ArrayRef<Datum> arguments);
  llvm::Expected<std::vector<Datum>> run(const Function &function,
                                         ArrayRef<Datum> arguments);
  llvm::Expected<Array> weight(WeightOp op, int64_t layer);
  /// Calls onValue, if somebody listens and the location names a node.
  void show(Operation *op, Location value, ArrayRef<int64_t> shape,
            ArrayRef<double> elements) const;

  bool exact() const { return options.rounding == RoundingMode::Exact; }
  /// What a stored element of this type is rounded by.
  Rounder storage(Type type) const {
    return exact() ? Rounder() : Rounder::to(getElementTypeOrSelf(type));
  }

  ModuleOp module;
  WeightSource &weights;
  InterpreterOptions options;
  Rounder modeRounder; ///< Of linears' operands and of the cache.
  SymbolTable symbols;
  std::optional<unsigned> variant; ///< Of every dispatch, if chosen.
  int64_t iteration = 0;           ///< Of the loop over layers that runs.
  int64_t calls = 0;               ///< From outside, the running one too.
  std::string failure;

private:
  DenseMap<Operation *, std::unique_ptr<Function>> functions;
  void keepWeight(std::pair<Operation *, int64_t> key, const Array &array);

  std::map<std::pair<Operation *, int64_t>, Array> weightCache;
  std::deque<std::pair<Operation *, int64_t>> weightOrder; ///< Oldest first.
  size_t weightBytes = 0;
};

/// The registers of one call.
struct Frame {
  Machine &machine;
  std::vector<double> reals;
  std::vector<int64_t> integers;
  std::vector<Array> arrays;

  double &real(Slot slot) { return reals[slot.index]; }
  int64_t &integer(Slot slot) { return integers[slot.index]; }
  Array &array(Slot slot) { return arrays[slot.index]; }

  Datum get(Slot slot);
  void set(Slot slot, const Datum &datum);
  void copy(Slot from, Slot to);

  /// Records why `instr` could not be executed.
  LogicalResult fail(const Instr &instr, const llvm::Twine &why);
  LogicalResult run(const Code &code);
};

/// Access to operands by their ODS group.
template <typename OpTy> struct Operands {
  Frame &frame;
  const Instr &instr;
  OpTy op;

  Operands(Frame &frame, const Instr &instr)
      : frame(frame), instr(instr), op(cast<OpTy>(instr.op)) {}

  unsigned count(unsigned group) {
    return op.getODSOperandIndexAndLength(group).second;
  }
  Slot slot(unsigned group, unsigned i = 0) {
    return instr.in[op.getODSOperandIndexAndLength(group).first + i];
  }
  Array &array(unsigned group, unsigned i = 0) {
    return frame.array(slot(group, i));
  }
};

/// Makes `values` output `k` of `outputs`: a new tensor for an op with
/// results, else the elements of its destination. Rounds to the element type.
/// Fails when the shape is not the one that the op's types say.
LogicalResult deliver(Frame &frame, const Instr &instr, unsigned k,
                      unsigned outputs, ArrayRef<int64_t> shape,
                      std::vector<double> values);

/// Fails if a planned op writes memory that it also reads otherwise.
LogicalResult checkNoOverlap(Frame &frame, const Instr &instr,
                             unsigned outputs);

/// The extents of the first result, whose dynamic ones are the operands from
/// `first` on.
Array::Shape resultShape(Frame &frame, const Instr &instr, unsigned first);

/// Writes an op's first operand to the element of `array`, its second operand,
/// that the others name; rounds to the element type.
LogicalResult storeElement(Frame &frame, const Instr &instr,
                           const Array &array);

/// The slice of `source` that an op with offsets, sizes and strides names.
FailureOr<Array> sliceOf(Frame &frame, const Instr &instr, const Array &source);

/// y[rows, n] = x[rows, k] . w[n, k]^T
void multiply(ArrayRef<double> x, ArrayRef<double> w, int64_t rows, int64_t k,
              int64_t n, MutableArrayRef<double> y);

/// One row of rms_norm.
void normalise(ArrayRef<double> x, ArrayRef<double> gamma, double eps,
               MutableArrayRef<double> y);

/// One row of layer_norm; no beta is zeros.
void normaliseCentered(ArrayRef<double> x, ArrayRef<double> gamma,
                       ArrayRef<double> beta, double eps,
                       MutableArrayRef<double> y);

/// The activation of one number.
double activate(ActivationKind kind, double x);

/// Elements rounded by `round`, in `storage` if that changes any.
ArrayRef<double> rounded(Rounder round, ArrayRef<double> values,
                         std::vector<double> &storage);

/// Sum over the visible keys of softmax(scale * q.k) * v: one query head.
struct AttentionRow {
  double scale = 1, softcap = 0;
  /// Row of key j, of value j: `width` elements.
  std::vector<const double *> keys, values;
  /// Of each key, after scale and softcap.
  std::vector<double> logits(const double *q, int64_t width) const;
  void run(const double *q, int64_t width, double *out) const;
};

/// A float attribute of a prepared op.
inline double toDouble(FloatAttr attr) { return attr.getValueAsDouble(); }

/// A constant of the model that engines compute with as f32: the same number in
/// an attribute, whatever its type, and in emitted code.
inline double f32Constant(FloatAttr attr) {
  return static_cast<float>(toDouble(attr));
}

/// A scalar of the model: the operand `group` if it is there (fdpp ops' scalars
/// "of the layer"), else the attribute.
template <typename OpTy>
double scalarOf(Operands<OpTy> &in, unsigned group, FloatAttr attr) {
  return in.count(group) ? in.frame.real(in.slot(group)) : toDouble(attr);
}

/// The same as a constant that engines compute with as f32.
template <typename OpTy>
double f32ScalarOf(Operands<OpTy> &in, unsigned group, FloatAttr attr) {
  return static_cast<float>(scalarOf(in, group, attr));
}

} // namespace mlir::fdpp

#endif // FDPP_LIB_INTERPRETER_MACHINE_H
