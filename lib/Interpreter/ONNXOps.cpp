// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ONNXOps.cpp - Graphs as they were imported -------------------------===//
//
// The evaluator of the onnx dialect, which also folds constants, says what an
// operator computes; here are the two ops that stand for understood subgraphs
// and the way between the two interpreters' values.
//
//===----------------------------------------------------------------------===//
#include "Machine.h"

#include "fdpp/Dialect/ONNX/IR/ONNXLiftedOps.h"
#include "fdpp/Dialect/ONNX/Interpreter/Evaluate.h"

#include "mlir/IR/Diagnostics.h"

using namespace mlir;
using namespace mlir::fdpp;

/// Integers beyond 2^53 are the ends of slices, where only 'very large' counts.
static int64_t saturated(double value) {
  if (value >= 0x1p63)
    return std::numeric_limits<int64_t>::max();
  if (value <= -0x1p63)
    return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(value);
}

static Tensor toTensor(const Array &array, TensorKind kind) {
  // Weights are large. Tensors of a graph are never written in place.
  if (auto storage = array.storage(); storage && kind == TensorKind::Float)
    return Tensor::sharing(array.shape(), storage);
  std::vector<double> storage;
  ArrayRef<double> values = array.dense(storage);
  if (kind == TensorKind::Float)
    return Tensor::floats(array.shape(), values.vec());
  std::vector<int64_t> integers;
  for (double value : values)
    integers.push_back(saturated(value));
  return kind == TensorKind::Bool
             ? Tensor::bools(array.shape(), std::move(integers))
             : Tensor::ints(array.shape(), std::move(integers));
}

static Array toArray(const Tensor &tensor) {
  if (tensor.isFloat())
    return Array::sharing(tensor.shape(), tensor.storage());
  std::vector<double> values(tensor.size());
  for (int64_t i = 0; i < tensor.size(); ++i)
    values[i] = tensor.asDouble(i);
  return Array::of(tensor.shape(), std::move(values));
}

/// Whether `op` takes the cosine or sine of an angle. Models are trained with
/// angles rounded to their type, so they are in every mode of rounding.
static bool takesAngle(Operation *op) {
  StringRef name = op->getName().getStringRef();
  return name == "onnx.Cos" || name == "onnx.Sin";
}

static LogicalResult runOperator(Frame &frame, const Instr &instr) {
  SmallVector<Tensor> operands;
  for (auto [slot, value] : llvm::zip(instr.in, instr.op->getOperands())) {
    Type element = getElementTypeOrSelf(value);
    std::optional<TensorKind> kind = kindOf(element);
    if (!kind)
      return frame.fail(instr, "an operand's type has no value");
    operands.push_back(toTensor(frame.array(slot), *kind));
    if (takesAngle(instr.op))
      operands.back() = roundedTo(element, std::move(operands.back()));
  }
  std::string why;
  ScopedDiagnosticHandler handler(instr.op->getContext(),
                                  [&](Diagnostic &diagnostic) {
                                    why = diagnostic.str();
                                    return success();
                                  });
  onnx::EvaluateOptions options;
  options.round = !frame.machine.exact();
  auto results = onnx::evaluate(instr.op, operands, options);
  if (failed(results))
    return frame.fail(instr, why);
  for (auto [slot, tensor] : llvm::zip(instr.out, *results))
    frame.array(slot) = toArray(tensor);
  return success();
}

static LogicalResult runExtents(Frame &frame, const Instr &instr) {
  auto op = cast<onnx::ExtentsOp>(instr.op);
  Builder builder(op.getContext());
  SmallVector<Attribute> symbols, results;
  for (auto [slot, dim] : llvm::zip(instr.in, op.getDims()))
    symbols.push_back(builder.getIndexAttr(frame.array(slot).dim(dim)));
  if (failed(op.getMap().constantFold(symbols, results)))
    return frame.fail(instr, "the map has no value for these extents");
  std::vector<double> values;
  for (Attribute result : results)
    values.push_back(cast<IntegerAttr>(result).getInt());
  auto shape = cast<RankedTensorType>(op.getType()).getShape();
  frame.array(instr.out[0]) = Array::of(shape, std::move(values));
  return success();
}

static LogicalResult runMask(Frame &frame, const Instr &instr) {
  auto op = cast<onnx::MaskOp>(instr.op);
  std::vector<double> storage[3];
  auto count = [&](unsigned i) {
    return static_cast<int64_t>(
        frame.array(instr.in[i]).dense(storage[i]).front());
  };
  int64_t queries = count(0), past = count(1), total = past + queries;
  int64_t batch = 1;
  ArrayRef<double> padding;
  MaskAttr visible = op.getVisible();
  if (visible.getPadding()) {
    const Array &mask = frame.array(instr.in[2]);
    batch = mask.dim(0);
    if (mask.dim(1) != total)
      return frame.fail(instr,
                        "the padding does not cover " + Twine(total) + " keys");
    padding = mask.dense(storage[2]);
  }
  std::vector<double> values;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t query = past; query < total; ++query)
      for (int64_t key = 0; key < total; ++key)
        values.push_back(
            (!visible.getCausal() || key <= query) &&
            (visible.getWindow() == 0 || key > query - visible.getWindow()) &&
            (padding.empty() || padding[b * total + key] != 0));
  frame.array(instr.out[0]) =
      Array::of({batch, 1, queries, total}, std::move(values));
  return success();
}

void mlir::fdpp::addONNXHandlers(HandlerMap &map) {
  map["onnx.extents"] = {runExtents};
  map["onnx.mask"] = {runMask};
}

std::optional<Handler> mlir::fdpp::operatorHandler(Operation &op) {
  if (!onnx::canEvaluate(&op))
    return std::nullopt;
  return Handler{runOperator};
}
