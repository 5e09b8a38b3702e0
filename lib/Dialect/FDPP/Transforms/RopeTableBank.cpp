// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "RopeTableBank.h"
#include "LayerScalars.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::fdpp;

static WeightAtOp frequencies(RopeTableOp table) {
  return table.getInvFreq().getDefiningOp<WeightAtOp>();
}

/// The frequencies of all tables, one after another.
static Value concatFrequencies(OpBuilder &builder, Weights &weights,
                               ArrayRef<RopeTableOp> tables) {
  WeightAtOp first = frequencies(tables.front());
  auto one = cast<RankedTensorType>(first.getType());
  int64_t total = one.getDimSize(0) * tables.size();
  auto type = RankedTensorType::get({total}, one.getElementType());
  WeightOp like = weights.lookup(first);
  Location loc = first.getLoc();
  WeightOp all = weights.create(
      (first.getWeight() + "_all").str(), like, type,
      [&](OpBuilder &b, Value) -> Value {
        SmallVector<Value> parts;
        for (RopeTableOp table : tables)
          parts.push_back(WeightAtOp::create(
              b, loc, one, frequencies(table).getWeightAttr(), Value()));
        return tensor::ConcatOp::create(b, loc, type, /*dim=*/0, parts);
      });
  return WeightAtOp::create(builder, loc, type,
                            FlatSymbolRefAttr::get(all.getSymNameAttr()),
                            Value());
}

/// True if two tables are of the same frequencies.
static bool areEqual(Weights &weights, RopeTableOp a, RopeTableOp b) {
  WeightOp x = weights.lookup(frequencies(a)),
           y = weights.lookup(frequencies(b));
  return x == y || (x.getSources() && x.getSources() == y.getSources());
}

RopeTableBank::RopeTableBank(OpBuilder &builder, Weights &weights,
                             ArrayRef<RopeTableOp> tables) {
  RopeTableOp first = tables.front();
  auto type = cast<RankedTensorType>(first->getResult(0).getType());
  columns = type.getDimSize(1);
  SmallVector<RopeTableOp> distinct;
  for (RopeTableOp table : tables) {
    auto known = llvm::find_if(distinct, [&](RopeTableOp other) {
      return areEqual(weights, table, other);
    });
    int64_t place = known - distinct.begin();
    if (known == distinct.end())
      distinct.push_back(table);
    firstColumns.push_back(builder.getI64IntegerAttr(place * columns));
  }
  auto wide = RankedTensorType::get(
      {type.getDimSize(0), columns * int64_t(distinct.size())},
      type.getElementType());
  Value invFreq = concatFrequencies(builder, weights, distinct);
  all = RopeTableOp::create(builder, first.getLoc(), TypeRange{wide, wide},
                            first.getPositions(), invFreq, first.getMagnitude(),
                            ValueRange());
}

std::array<Value, 2> RopeTableBank::ofLayer(OpBuilder &builder,
                                            Value layer) const {
  RopeTableOp table = all;
  Location loc = table.getLoc();
  OpFoldResult zero = builder.getIndexAttr(0), one = builder.getIndexAttr(1);
  OpFoldResult first = createLayerConstant(builder, loc, firstColumns, layer);
  OpFoldResult rows = tensor::getMixedSize(builder, loc, table.getResult(0), 0);
  auto type = cast<RankedTensorType>(table.getResult(0).getType());
  auto part = RankedTensorType::get({type.getDimSize(0), columns},
                                    type.getElementType());
  auto columnsOf = [&](Value source) -> Value {
    return tensor::ExtractSliceOp::create(
        builder, loc, part, source, ArrayRef<OpFoldResult>{zero, first},
        ArrayRef<OpFoldResult>{rows, builder.getIndexAttr(columns)},
        ArrayRef<OpFoldResult>{one, one});
  };
  return {columnsOf(table.getResult(0)), columnsOf(table.getResult(1))};
}
