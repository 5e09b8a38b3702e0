// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- MemRefOps.cpp - memref ---------------------------------------------===//
//
// Fresh memory is NaN. A memref of i8 is memory by the byte, into which
// memref.view looks with any element type.
//
//===----------------------------------------------------------------------===//
#include "Machine.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::fdpp;

static LogicalResult runAlloc(Frame &frame, const Instr &instr) {
  frame.array(instr.out[0]) =
      Array::filled(resultShape(frame, instr, 0), kPoison);
  return success();
}

/// Freed memory is NaN for who still reads it.
static LogicalResult runDealloc(Frame &frame, const Instr &instr) {
  frame.array(instr.in[0]).poison();
  return success();
}

static LogicalResult runStore(Frame &frame, const Instr &instr) {
  return storeElement(frame, instr, frame.array(instr.in[1]));
}

static LogicalResult runView(Frame &frame, const Instr &instr) {
  const Array &bytes = frame.array(instr.in[0]);
  auto type = cast<MemRefType>(instr.op->getResult(0).getType());
  Array::Shape shape = resultShape(frame, instr, 2);
  int64_t width = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  int64_t shift = frame.integer(instr.in[1]), size = width;
  for (int64_t extent : shape)
    size *= extent;
  if (shift < 0 || shift + size > bytes.size())
    return frame.fail(instr, "bytes " + Twine(shift) + " to " +
                                 Twine(shift + size) + " of an arena of " +
                                 Twine(bytes.size()));
  if (shift % width != 0)
    return frame.fail(instr, "byte " + Twine(shift) + " is not aligned");
  frame.array(instr.out[0]) = bytes.view(shift, shape, width);
  return success();
}

static LogicalResult runSubView(Frame &frame, const Instr &instr) {
  auto slice = sliceOf(frame, instr, frame.array(instr.in[0]));
  if (failed(slice))
    return failure();
  auto dropped = cast<memref::SubViewOp>(instr.op).getDroppedDims();
  frame.array(instr.out[0]) = slice->without(dropped);
  return success();
}

static LogicalResult runCopy(Frame &frame, const Instr &instr) {
  std::vector<double> storage;
  const Array &from = frame.array(instr.in[0]);
  const Array &to = frame.array(instr.in[1]);
  if (from.shape() != to.shape())
    return frame.fail(instr, "source and destination differ in shape");
  to.assign(from.copy().dense(storage));
  return success();
}

void mlir::fdpp::addMemRefHandlers(HandlerMap &map) {
  map["memref.alloc"] = map["memref.alloca"] = {runAlloc};
  map["memref.dealloc"] = {runDealloc};
  map["memref.store"] = {runStore};
  map["memref.view"] = {runView};
  map["memref.subview"] = {runSubView};
  map["memref.copy"] = {runCopy};
}
