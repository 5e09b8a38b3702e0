// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Machine.cpp - Calls, weights and registers -------------------------===//
#include "Machine.h"

#include "fdpp/Dialect/FDPP/IR/Provenance.h"

#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;
using namespace mlir::fdpp;
using llvm::createStringError;
using llvm::Expected;

//===----------------------------------------------------------------------===//
// Frame.
//===----------------------------------------------------------------------===//

Datum Frame::get(Slot slot) {
  switch (slot.kind) {
  case Kind::Real:
    return real(slot);
  case Kind::Integer:
    return integer(slot);
  case Kind::Array:
    return array(slot);
  }
  llvm_unreachable("three kinds");
}

void Frame::set(Slot slot, const Datum &datum) {
  switch (slot.kind) {
  case Kind::Real:
    real(slot) = std::get<double>(datum);
    return;
  case Kind::Integer:
    integer(slot) = std::get<int64_t>(datum);
    return;
  case Kind::Array:
    array(slot) = std::get<Array>(datum);
    return;
  }
}

void Frame::copy(Slot from, Slot to) { set(to, get(from)); }

LogicalResult Frame::fail(const Instr &instr, const llvm::Twine &why) {
  if (!machine.failure.empty())
    return failure();
  llvm::raw_string_ostream out(machine.failure);
  out << "cannot interpret '" << instr.op->getName() << "' at "
      << instr.op->getLoc() << ": " << why;
  return failure();
}

/// Fills what dies after instruction `i` with NaN, but for what another living
/// view shares with it.
static void endLives(Frame &frame, const Code &code, unsigned i) {
  for (const LiveRange &dead : code.views) {
    if (dead.last != i)
      continue;
    const Array &array = frame.array(dead.array);
    auto [first, end] = array.cellRange();
    bool shared = llvm::any_of(code.views, [&](const LiveRange &other) {
      return other.first <= i && other.last > i &&
             frame.array(other.array).overlaps(array);
    });
    if (!shared)
      array.poison(first, end);
  }
}

/// The tensor that an operation gave: its result, or its last destination.
static void showResult(Frame &frame, const Instr &instr) {
  Slot slot = instr.out.empty() ? instr.in.back() : instr.out.front();
  const Array &array = frame.array(slot);
  std::vector<double> storage;
  frame.machine.show(instr.op, instr.op->getLoc(), array.shape(),
                     array.dense(storage));
}

LogicalResult Frame::run(const Code &code) {
  auto dead = code.dead.begin();
  for (const auto &[i, instr] : llvm::enumerate(code.instrs)) {
    if (failed(instr.run(*this, instr)))
      return failure();
    if (instr.shown && machine.options.onValue)
      showResult(*this, instr);
    for (; dead != code.dead.end() && dead->first == i; ++dead)
      array(dead->second) = Array();
    if (!code.views.empty())
      endLives(*this, code, i);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Machine.
//===----------------------------------------------------------------------===//

/// Fails unless the argument fits the slot.
static bool fits(Slot slot, const Datum &datum) {
  return static_cast<size_t>(slot.kind) == datum.index();
}

Expected<std::vector<Datum>> Machine::run(const Function &function,
                                          ArrayRef<Datum> arguments) {
  Frame frame{*this, std::vector<double>(function.reals),
              std::vector<int64_t>(function.integers),
              std::vector<Array>(function.arrays)};
  const Code &body = function.body;
  if (arguments.size() != body.args.size())
    return createStringError("the function takes %zu arguments, not %zu",
                             body.args.size(), arguments.size());
  for (auto [slot, datum] : llvm::zip(body.args, arguments)) {
    if (!fits(slot, datum))
      return createStringError("an argument is of another kind");
    frame.set(slot, datum);
  }
  if (failed(frame.run(body))) {
    std::string why = std::move(failure);
    failure.clear();
    return createStringError(why);
  }
  std::vector<Datum> results;
  for (Slot slot : body.end.in)
    results.push_back(frame.get(slot));
  return results;
}

Expected<std::vector<Datum>> Machine::call(func::FuncOp op,
                                           ArrayRef<Datum> arguments) {
  auto &function = functions[op];
  if (!function) {
    if (op.isExternal())
      return createStringError("function @" + op.getName() + " has no body");
    auto resolved = resolve(op.getBody());
    if (!resolved)
      return resolved.takeError();
    function = std::move(*resolved);
  }
  return run(*function, arguments);
}

void Machine::show(Operation *op, Location value, ArrayRef<int64_t> shape,
                   ArrayRef<double> elements) const {
  if (!options.onValue)
    return;
  StringRef node = nodeOf(value, iteration);
  if (!node.empty())
    options.onValue(
        {node, op->getName().getStringRef(), shape, elements, calls - 1});
}

/// Forgets the oldest weights when there is no room for another.
void Machine::keepWeight(std::pair<Operation *, int64_t> key,
                         const Array &array) {
  size_t bytes = array.size() * sizeof(double);
  if (bytes > options.weightCache)
    return;
  while (weightBytes > options.weightCache - bytes) {
    auto oldest = weightCache.find(weightOrder.front());
    weightBytes -= oldest->second.size() * sizeof(double);
    weightCache.erase(oldest);
    weightOrder.pop_front();
  }
  weightCache[key] = array;
  weightOrder.push_back(key);
  weightBytes += bytes;
}

Expected<Array> Machine::weight(WeightOp op, int64_t layer) {
  if (layer < 0 || layer >= static_cast<int64_t>(op.getLayers()))
    return createStringError("weight @" + op.getSymName() + " has no layer " +
                             llvm::Twine(layer));
  std::pair<Operation *, int64_t> key(op, layer);
  if (auto cached = weightCache.find(key); cached != weightCache.end())
    return cached->second;
  if (op.getInit().empty()) {
    auto read = weights.read((*op.getSources())[layer], op.getTensorType());
    if (!read)
      return read.takeError();
    keepWeight(key, *read);
    return *read;
  }
  auto &init = functions[op];
  if (!init) {
    auto resolved = resolve(op.getInit());
    if (!resolved)
      return resolved.takeError();
    init = std::move(*resolved);
  }
  auto results = run(*init, {Datum(layer)});
  if (!results)
    return results.takeError();
  keepWeight(key, std::get<Array>(results->front()));
  return std::get<Array>(results->front());
}

//===----------------------------------------------------------------------===//
// Interpreter.
//===----------------------------------------------------------------------===//

Interpreter::Interpreter(ModuleOp module, WeightSource &weights,
                         InterpreterOptions options)
    : machine(std::make_unique<Machine>(module, weights, options)) {}

Interpreter::~Interpreter() = default;

Expected<std::vector<Datum>> Interpreter::call(StringRef name,
                                               ArrayRef<Datum> arguments) {
  auto function = machine->symbols.lookup<func::FuncOp>(name);
  if (!function)
    return createStringError("no function @" + name);
  ++machine->calls;
  return machine->call(function, arguments);
}

void Interpreter::chooseVariant(unsigned variant) {
  machine->variant = variant;
}

Expected<Array> Interpreter::weight(StringRef name, int64_t layer) {
  auto op = machine->symbols.lookup<WeightOp>(name);
  if (!op)
    return createStringError("no weight @" + name);
  return machine->weight(op, layer);
}
