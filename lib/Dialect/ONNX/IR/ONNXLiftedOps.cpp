// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ONNXLiftedOps.cpp - What shape and mask arithmetic means -----------===//
#include "fdpp/Dialect/ONNX/IR/ONNXLiftedOps.h"

#define GET_OP_CLASSES
#include "fdpp/Dialect/ONNX/IR/ONNXLiftedOps.cpp.inc"

namespace mlir::fdpp::onnx {

LogicalResult ExtentsOp::verify() {
  AffineMap map = getMap();
  if (map.getNumDims() != 0 || map.getNumSymbols() != getSources().size() ||
      getDims().size() != int64_t(getSources().size()))
    return emitOpError("needs one dimension and one map symbol per source");
  for (auto [source, dim] : llvm::zip_equal(getSources(), getDims()))
    if (dim < 0 || dim >= cast<RankedTensorType>(source.getType()).getRank())
      return emitOpError("dimension ")
             << dim << " is outside of a source's rank";
  auto type = cast<RankedTensorType>(getType());
  if (!type.getElementType().isSignlessInteger() || type.getRank() > 1 ||
      type.getNumElements() != map.getNumResults())
    return emitOpError("needs an integer result with one element per result "
                       "of the map");
  return success();
}

LogicalResult MaskOp::verify() {
  if (getVisible().getPadding() != bool(getPadding()))
    return emitOpError("has padding in one of predicate and operands only");
  if (getPadding() &&
      cast<RankedTensorType>(getPadding().getType()).getRank() != 2)
    return emitOpError("needs padding of rank 2");
  auto type = dyn_cast<RankedTensorType>(getType());
  if (type && type.getRank() != 4)
    return emitOpError("gives a tensor of rank 4");
  return success();
}

} // namespace mlir::fdpp::onnx
