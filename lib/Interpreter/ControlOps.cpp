// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ControlOps.cpp - Loops, branches, calls, dispatch ------------------===//
#include "Machine.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::fdpp;

/// Moves data from one list of registers to another; the lists may overlap.
static void assign(Frame &frame, ArrayRef<Slot> from, ArrayRef<Slot> to) {
  SmallVector<Datum, 4> data;
  for (Slot slot : from)
    data.push_back(frame.get(slot));
  for (auto [slot, datum] : llvm::zip(to, data))
    frame.set(slot, datum);
}

static LogicalResult runFor(Frame &frame, const Instr &instr) {
  int64_t step = frame.integer(instr.in[2]);
  if (step <= 0)
    return frame.fail(instr, "the step of a loop must be positive");
  const Code &body = instr.regions.front();
  auto carried = ArrayRef(body.args).drop_front();
  assign(frame, ArrayRef(instr.in).drop_front(3), carried);
  int64_t end = frame.integer(instr.in[1]);
  for (int64_t i = frame.integer(instr.in[0]); i < end; i += step) {
    frame.integer(body.args.front()) = i;
    frame.machine.iteration = i;
    if (failed(frame.run(body)))
      return failure();
    assign(frame, body.end.in, carried);
  }
  frame.machine.iteration = 0;
  assign(frame, carried, instr.out);
  return success();
}

static LogicalResult runIf(Frame &frame, const Instr &instr) {
  const Code &code = instr.regions[frame.integer(instr.in[0]) ? 0 : 1];
  if (failed(frame.run(code)))
    return failure();
  assign(frame, code.end.in, instr.out);
  return success();
}

static LogicalResult runCall(Frame &frame, const Instr &instr) {
  auto call = cast<func::CallOp>(instr.op);
  auto callee = frame.machine.symbols.lookup<func::FuncOp>(call.getCallee());
  if (!callee)
    return frame.fail(instr, "no function @" + call.getCallee());
  SmallVector<Datum> arguments;
  for (Slot slot : instr.in)
    arguments.push_back(frame.get(slot));
  auto results = frame.machine.call(callee, arguments);
  if (!results)
    return frame.fail(instr, llvm::toString(results.takeError()));
  for (auto [slot, datum] : llvm::zip(instr.out, *results))
    frame.set(slot, datum);
  return success();
}

static LogicalResult runDispatch(Frame &frame, const Instr &instr) {
  auto op = cast<DispatchOp>(instr.op);
  ArrayRef<int64_t> limits = op.getLimits();
  size_t taken = 0;
  if (frame.machine.variant)
    taken = *frame.machine.variant % instr.regions.size();
  else
    while (taken < limits.size() && frame.integer(instr.in[0]) > limits[taken])
      ++taken;
  return frame.run(instr.regions[taken]);
}

static LogicalResult runWeightAt(Frame &frame, const Instr &instr) {
  auto op = cast<WeightAtOp>(instr.op);
  auto weight = frame.machine.symbols.lookup<WeightOp>(op.getWeight());
  if (!weight)
    return frame.fail(instr, "no weight @" + op.getWeight());
  int64_t layer = op.getLayer() ? frame.integer(instr.in[0]) : 0;
  auto array = frame.machine.weight(weight, layer);
  if (!array)
    return frame.fail(instr, llvm::toString(array.takeError()));
  frame.array(instr.out[0]) = *array;
  return success();
}

static LogicalResult runTranspose(Frame &frame, const Instr &instr) {
  const Array &input = frame.array(instr.in[0]);
  std::vector<double> storage;
  ArrayRef<double> values = input.dense(storage);
  int64_t rows = input.dim(0), columns = input.dim(1);
  std::vector<double> result(values.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      result[c * rows + r] = values[r * columns + c];
  frame.array(instr.out[0]) = Array::of({columns, rows}, std::move(result));
  return success();
}

void mlir::fdpp::addControlHandlers(HandlerMap &map) {
  map["scf.for"] = {runFor};
  map["scf.if"] = {runIf};
  map["func.call"] = {runCall};
  map["fdpp.dispatch"] = {runDispatch};
  map["fdpp.weight_at"] = {runWeightAt};
  map["fdpp.transpose"] = {runTranspose};
}
