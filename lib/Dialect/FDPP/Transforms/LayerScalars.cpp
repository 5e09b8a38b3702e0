// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "LayerScalars.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;

SmallVector<LayerScalar> mlir::fdpp::scalarsOf(Operation *op) {
  SmallVector<LayerScalar> scalars;
  auto add = [&](StringRef name, TypedAttr value) {
    if (value)
      scalars.push_back({op, name, value});
  };
  Builder b(op->getContext());
  TypeSwitch<Operation *>(op)
      .Case<RMSNormOp, LayerNormOp>(
          [&](auto norm) { add("eps", norm.getEpsAttr()); })
      .Case<ScaleOp>([&](ScaleOp o) { add("factor", o.getFactorAttr()); })
      .Case<SoftcapOp>([&](SoftcapOp o) { add("cap", o.getCapAttr()); })
      .Case<AttentionOp>([&](AttentionOp attention) {
        add("scale", attention.getScaleAttr());
        if (!attention.getWindowOfLayer())
          add("window", b.getI64IntegerAttr(attention.getWindow()));
        if (!attention.getSoftcapOfLayer())
          add("softcap",
              b.getF64FloatAttr(attention.getSoftcap().convertToDouble()));
      });
  return scalars;
}

static void setOfLayer(AttentionOp op, StringRef name, Value value) {
  if (name == "scale") {
    op.removeScaleAttr();
    op.getScaleOfLayerMutable().assign(value);
  } else if (name == "window") {
    op.setWindow(0);
    op.getWindowOfLayerMutable().assign(value);
  } else {
    op.setSoftcap(APFloat(0.0));
    op.getSoftcapOfLayerMutable().assign(value);
  }
}

void mlir::fdpp::setOfLayer(Operation *op, StringRef name, Value value) {
  TypeSwitch<Operation *>(op)
      .Case<RMSNormOp, LayerNormOp>([&](auto norm) {
        norm.removeEpsAttr();
        norm.getEpsOfLayerMutable().assign(value);
      })
      .Case<ScaleOp>([&](ScaleOp scale) {
        scale.removeFactorAttr();
        scale.getFactorOfLayerMutable().assign(value);
      })
      .Case<SoftcapOp>([&](SoftcapOp softcap) {
        softcap.removeCapAttr();
        softcap.getCapOfLayerMutable().assign(value);
      })
      .Case<AttentionOp>(
          [&](AttentionOp attention) { ::setOfLayer(attention, name, value); });
}

Value mlir::fdpp::createLayerConstant(OpBuilder &builder, Location loc,
                                      ArrayRef<TypedAttr> values, Value layer) {
  Type type = values.front().getType();
  bool isInteger = isa<IntegerAttr>(values.front());
  if (isInteger)
    type = builder.getIndexType();
  SmallVector<Attribute> elements;
  for (TypedAttr value : values)
    elements.push_back(
        isInteger ? builder.getIndexAttr(cast<IntegerAttr>(value).getInt())
                  : Attribute(value));
  auto list = DenseElementsAttr::get(
      RankedTensorType::get({int64_t(values.size())}, type), elements);
  return LayerConstantOp::create(builder, loc, type, list, layer);
}
