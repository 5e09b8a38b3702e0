// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- TensorOps.cpp - tensor and bufferization ---------------------------===//
#include "Machine.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::fdpp;

Array::Shape mlir::fdpp::resultShape(Frame &frame, const Instr &instr,
                                     unsigned first) {
  auto type = cast<ShapedType>(instr.op->getResult(0).getType());
  Array::Shape shape;
  for (int64_t extent : type.getShape())
    shape.push_back(ShapedType::isDynamic(extent)
                        ? frame.integer(instr.in[first++])
                        : extent);
  return shape;
}

/// Offsets, sizes or strides of a slice: static ones and operands from `first`.
static Array::Shape mixed(Frame &frame, const Instr &instr,
                          ArrayRef<int64_t> fixed, unsigned first) {
  Array::Shape result;
  for (int64_t value : fixed)
    result.push_back(ShapedType::isDynamic(value)
                         ? frame.integer(instr.in[first++])
                         : value);
  return result;
}

FailureOr<Array> mlir::fdpp::sliceOf(Frame &frame, const Instr &instr,
                                     const Array &source) {
  auto op = cast<OffsetSizeAndStrideOpInterface>(instr.op);
  unsigned first = op.getOffsetSizeAndStrideStartOperandIndex();
  auto offsets = mixed(frame, instr, op.getStaticOffsets(), first);
  first += op.getOffsets().size();
  auto sizes = mixed(frame, instr, op.getStaticSizes(), first);
  first += op.getSizes().size();
  auto strides = mixed(frame, instr, op.getStaticStrides(), first);
  for (int64_t i = 0; i < source.rank(); ++i) {
    int64_t last = offsets[i] + (sizes[i] - 1) * strides[i];
    if (sizes[i] > 0 && (offsets[i] < 0 || last >= source.dim(i)))
      return frame.fail(instr, "the slice leaves its source");
  }
  return source.slice(offsets, sizes, strides);
}

static LogicalResult runDim(Frame &frame, const Instr &instr) {
  const Array &array = frame.array(instr.in[0]);
  int64_t d = frame.integer(instr.in[1]);
  if (d < 0 || d >= array.rank())
    return frame.fail(instr, "no such dimension");
  frame.integer(instr.out[0]) = array.dim(d);
  return success();
}

static LogicalResult runAllocTensor(Frame &frame, const Instr &instr) {
  auto op = cast<bufferization::AllocTensorOp>(instr.op);
  if (!op.getCopy()) {
    frame.array(instr.out[0]) =
        Array::filled(resultShape(frame, instr, 0), kPoison);
    return success();
  }
  unsigned source = op.getCopyMutable().begin()->getOperandNumber();
  frame.array(instr.out[0]) = frame.array(instr.in[source]).copy();
  return success();
}

/// Nobody may rely on the elements of tensor.empty.
static LogicalResult runEmpty(Frame &frame, const Instr &instr) {
  frame.array(instr.out[0]) =
      Array::filled(resultShape(frame, instr, 0), kPoison);
  return success();
}

static LogicalResult runExtract(Frame &frame, const Instr &instr) {
  const Array &array = frame.array(instr.in[0]);
  SmallVector<int64_t, 6> index;
  for (Slot slot : ArrayRef(instr.in).drop_front())
    index.push_back(frame.integer(slot));
  if (!array.contains(index))
    return frame.fail(instr, "the index is out of range");
  double value = array.load(array.cellOf(index));
  if (instr.out[0].kind == Kind::Real)
    frame.real(instr.out[0]) = value;
  else
    frame.integer(instr.out[0]) = static_cast<int64_t>(value);
  return success();
}

LogicalResult mlir::fdpp::storeElement(Frame &frame, const Instr &instr,
                                       const Array &array) {
  SmallVector<int64_t, 6> index;
  for (Slot slot : ArrayRef(instr.in).drop_front(2))
    index.push_back(frame.integer(slot));
  if (!array.contains(index))
    return frame.fail(instr, "the index is out of range");
  Slot from = instr.in[0];
  Rounder round = frame.machine.storage(instr.op->getOperand(1).getType());
  array.store(array.cellOf(index), from.kind == Kind::Real
                                       ? round(frame.real(from))
                                       : frame.integer(from));
  return success();
}

static LogicalResult runInsert(Frame &frame, const Instr &instr) {
  Array array = frame.array(instr.in[1]).copy();
  if (failed(storeElement(frame, instr, array)))
    return failure();
  frame.array(instr.out[0]) = array;
  return success();
}

static LogicalResult runConcat(Frame &frame, const Instr &instr) {
  int64_t axis = cast<tensor::ConcatOp>(instr.op).getDim();
  Array::Shape shape(frame.array(instr.in[0]).shape());
  shape[axis] = 0;
  for (Slot slot : instr.in)
    shape[axis] += frame.array(slot).dim(axis);
  Array result = Array::filled(shape, 0);
  Array::Shape offsets(shape.size(), 0), ones(shape.size(), 1);
  std::vector<double> storage;
  for (Slot slot : instr.in) {
    const Array &part = frame.array(slot);
    result.slice(offsets, part.shape(), ones).assign(part.dense(storage));
    offsets[axis] += part.dim(axis);
  }
  frame.array(instr.out[0]) = result;
  return success();
}

static LogicalResult runExtractSlice(Frame &frame, const Instr &instr) {
  auto slice = sliceOf(frame, instr, frame.array(instr.in[0]));
  if (failed(slice))
    return failure();
  auto dropped = cast<tensor::ExtractSliceOp>(instr.op).getDroppedDims();
  Array::Shape shape;
  for (int64_t i = 0; i < slice->rank(); ++i)
    if (!dropped[i])
      shape.push_back(slice->dim(i));
  frame.array(instr.out[0]) = slice->copy().reshaped(shape);
  return success();
}

static LogicalResult runInsertSlice(Frame &frame, const Instr &instr) {
  Array result = frame.array(instr.in[1]).copy();
  auto slice = sliceOf(frame, instr, result);
  if (failed(slice))
    return failure();
  std::vector<double> storage;
  ArrayRef<double> values = frame.array(instr.in[0]).dense(storage);
  if (static_cast<int64_t>(values.size()) != slice->size())
    return frame.fail(instr, "source and slice differ in size");
  slice->assign(values);
  frame.array(instr.out[0]) = result;
  return success();
}

static LogicalResult runSplat(Frame &frame, const Instr &instr) {
  Slot from = instr.in[0];
  double value = from.kind == Kind::Real
                     ? frame.real(from)
                     : static_cast<double>(frame.integer(from));
  frame.array(instr.out[0]) =
      Array::filled(resultShape(frame, instr, 1), value);
  return success();
}

static LogicalResult runFromElements(Frame &frame, const Instr &instr) {
  std::vector<double> values;
  for (Slot slot : instr.in)
    values.push_back(slot.kind == Kind::Real
                         ? frame.real(slot)
                         : static_cast<double>(frame.integer(slot)));
  frame.array(instr.out[0]) =
      Array::of(resultShape(frame, instr, 0), std::move(values));
  return success();
}

/// The result is the operand, whatever the static part of its type says.
static LogicalResult runForward(Frame &frame, const Instr &instr) {
  auto type = cast<ShapedType>(instr.op->getResult(0).getType());
  const Array &array = frame.array(instr.in[0]);
  for (auto [extent, actual] : llvm::zip(type.getShape(), array.shape()))
    if (!ShapedType::isDynamic(extent) && extent != actual)
      return frame.fail(instr, "the type says another shape");
  frame.array(instr.out[0]) = array;
  return success();
}

/// expand_shape and collapse_shape of contiguous arrays.
static LogicalResult runExpandShape(Frame &frame, const Instr &instr) {
  auto op = cast<tensor::ExpandShapeOp>(instr.op);
  auto shape = mixed(frame, instr, op.getStaticOutputShape(), 1);
  frame.array(instr.out[0]) = frame.array(instr.in[0]).copy().reshaped(shape);
  return success();
}

static LogicalResult runCollapseShape(Frame &frame, const Instr &instr) {
  auto op = cast<tensor::CollapseShapeOp>(instr.op);
  const Array &array = frame.array(instr.in[0]);
  Array::Shape shape;
  for (const ReassociationIndices &group : op.getReassociationIndices()) {
    shape.push_back(1);
    for (int64_t d : group)
      shape.back() *= array.dim(d);
  }
  frame.array(instr.out[0]) = array.copy().reshaped(shape);
  return success();
}

void mlir::fdpp::addTensorHandlers(HandlerMap &map) {
  map["tensor.dim"] = map["memref.dim"] = {runDim};
  map["tensor.empty"] = {runEmpty};
  map["bufferization.alloc_tensor"] = {runAllocTensor};
  map["tensor.extract"] = map["memref.load"] = {runExtract};
  map["tensor.insert"] = {runInsert};
  map["tensor.concat"] = {runConcat};
  map["tensor.extract_slice"] = {runExtractSlice};
  map["tensor.insert_slice"] = {runInsertSlice};
  map["tensor.splat"] = {runSplat};
  map["tensor.from_elements"] = {runFromElements};
  map["tensor.expand_shape"] = {runExpandShape};
  map["tensor.collapse_shape"] = {runCollapseShape};
  map["tensor.cast"] = map["memref.cast"] = {runForward};
  map["bufferization.to_tensor"] = {[](Frame &frame, const Instr &instr) {
    // A tensor does not change when its memory does.
    frame.array(instr.out[0]) = frame.array(instr.in[0]).copy();
    return success();
  }};
  map["bufferization.to_buffer"] = {runForward};
}
