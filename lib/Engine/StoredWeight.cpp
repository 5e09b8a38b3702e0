// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/StoredWeight.h"

#include "fdpp-runtime/model_abi.h"

#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace mlir::fdpp;

const StoredType *mlir::fdpp::getStoredType(Type element) {
  static constexpr StoredType f32{FDPP_F32, 4, "f32", "F32", "FDPP_F32"};
  static constexpr StoredType bf16{FDPP_BF16, 2, "bf16", "BF16", "FDPP_BF16"};
  static constexpr StoredType f16{FDPP_F16, 2, "f16", "F16", "FDPP_F16"};
  static constexpr StoredType u8{FDPP_U8, 1, "u8", "U8", "FDPP_U8"};
  static constexpr StoredType i32{FDPP_I32, 4, "i32", "I32", "FDPP_I32"};
  if (element.isF32())
    return &f32;
  if (element.isBF16())
    return &bf16;
  if (element.isF16())
    return &f16;
  if (element.isInteger(8))
    return &u8;
  return element.isInteger(32) ? &i32 : nullptr;
}

SmallVector<int64_t> mlir::fdpp::getStoredShape(WeightOp weight) {
  SmallVector<int64_t> shape(weight.getTensorType().getShape());
  std::optional<PanelsAttr> layout = weight.getLayout();
  if (!layout)
    return shape;
  int64_t rows = getPanelRows(*layout, shape[0]).size();
  int64_t panel = layout->getPanel(), interleave = layout->getInterleave();
  int64_t groups = llvm::divideCeil(shape[1], interleave);
  return {rows / panel, groups, panel, interleave};
}

int64_t mlir::fdpp::getStoredLayerElements(WeightOp weight) {
  return ShapedType::getNumElements(getStoredShape(weight));
}

int64_t mlir::fdpp::getStoredLayerBytes(WeightOp weight) {
  const StoredType *type =
      getStoredType(weight.getTensorType().getElementType());
  return getStoredLayerElements(weight) * type->bytes;
}

SmallVector<WeightOp> mlir::fdpp::getStoredWeights(ModuleOp module) {
  llvm::DenseSet<StringAttr> read;
  for (Operation &op : *module.getBody())
    if (!isa<WeightOp>(op))
      op.walk(
          [&](WeightAtOp at) { read.insert(at.getWeightAttr().getAttr()); });
  SmallVector<WeightOp> stored;
  for (auto weight : module.getOps<WeightOp>())
    if (read.contains(weight.getSymNameAttr()))
      stored.push_back(weight);
  return stored;
}
