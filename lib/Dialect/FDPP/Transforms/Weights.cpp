// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Weights.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace mlir::fdpp;

std::string Weights::signature(WeightOp weight) {
  if (weight.isBank())
    return "";
  std::string text;
  llvm::raw_string_ostream os(text);
  os << weight.getType() << weight.getLayoutAttr();
  if (weight.getInit().empty())
    return text;
  DenseMap<Value, unsigned> numbers;
  auto number = [&](Value value) {
    return numbers.try_emplace(value, numbers.size()).first->second;
  };
  for (Operation &op : weight.getInit().front()) {
    os << '|' << op.getName();
    if (auto at = dyn_cast<WeightAtOp>(op)) {
      WeightOp inner = lookup(at);
      if (!inner || inner.isBank())
        return "";
      os << '(' << signature(inner) << ')';
    } else {
      os << op.getAttrDictionary();
    }
    for (Value operand : op.getOperands())
      os << ' ' << number(operand);
    for (Value result : op.getResults())
      os << ' ' << number(result) << ':' << result.getType();
  }
  return text;
}

WeightOp Weights::bankOfSources(ArrayRef<WeightOp> layers) {
  WeightOp first = layers.front();
  OpBuilder builder(first);
  SmallVector<Attribute> sources;
  for (WeightOp layer : layers)
    llvm::append_range(sources, *layer.getSources());
  auto bank = cast<WeightOp>(builder.clone(*first));
  bank.setLayers(layers.size());
  bank.setSourcesAttr(builder.getArrayAttr(sources));
  return bank;
}

WeightOp Weights::bankOfInits(ArrayRef<WeightOp> layers) {
  WeightOp first = layers.front();
  SmallVector<SmallVector<WeightAtOp>> reads;
  for (WeightOp layer : layers)
    reads.push_back(llvm::to_vector(layer.getInit().getOps<WeightAtOp>()));
  SmallVector<WeightOp> inner;
  for (unsigned i = 0; i < reads.front().size(); ++i) {
    SmallVector<WeightOp> read;
    for (auto &ofLayer : reads)
      read.push_back(lookup(ofLayer[i]));
    inner.push_back(bank(read));
  }
  OpBuilder builder(first);
  auto result = cast<WeightOp>(builder.clone(*first));
  result.setLayers(layers.size());
  Value layer = result.getInit().front().getArgument(0);
  for (auto [at, read] :
       llvm::zip(result.getInit().getOps<WeightAtOp>(), inner)) {
    at.setWeight(read.getSymName());
    if (read.isBank())
      at.getLayerMutable().assign(layer);
  }
  return result;
}

WeightOp Weights::bank(ArrayRef<WeightOp> layers) {
  if (llvm::all_equal(layers))
    return layers.front();
  std::vector<Operation *> key(layers.begin(), layers.end());
  auto known = banks.find(key);
  if (known != banks.end())
    return known->second;
  WeightOp first = layers.front();
  std::string name = first.getSymName().str();
  rename(first, name + "_first");
  WeightOp result =
      first.getInit().empty() ? bankOfSources(layers) : bankOfInits(layers);
  result.setSymName(name);
  table.insert(result);
  banks[key] = result;
  return result;
}

WeightOp Weights::create(StringRef name, WeightOp like, RankedTensorType type,
                         function_ref<Value(OpBuilder &, Value)> body) {
  OpBuilder builder(like->getContext());
  builder.setInsertionPointAfter(like);
  OperationState state(like.getLoc(), WeightOp::getOperationName());
  auto &properties = state.getOrAddProperties<WeightOp::Properties>();
  properties.sym_name = builder.getStringAttr(name);
  properties.type = TypeAttr::get(type);
  properties.layers = builder.getI64IntegerAttr(like.getLayers());
  state.addRegion();
  auto weight = cast<WeightOp>(builder.create(state));
  Block *block = builder.createBlock(&weight.getInit(), {},
                                     builder.getIndexType(), like.getLoc());
  Value layer = like.isBank() ? Value(block->getArgument(0)) : Value();
  Value value = body(builder, layer);
  YieldOp::create(builder, like.getLoc(), value);
  table.insert(weight);
  return weight;
}

void Weights::rename(WeightOp weight, StringRef name) {
  StringAttr old = weight.getSymNameAttr();
  table.remove(weight);
  weight.setSymName(name);
  table.insert(weight);
  auto reference = FlatSymbolRefAttr::get(weight.getSymNameAttr());
  module.walk([&](WeightAtOp at) {
    if (at.getWeightAttr().getAttr() == old)
      at.setWeightAttr(reference);
  });
}

void Weights::eraseUnused() {
  for (bool changed = true; changed;) {
    changed = false;
    llvm::StringSet<> read;
    module.walk([&](WeightAtOp at) { read.insert(at.getWeight()); });
    for (auto weight : llvm::make_early_inc_range(module.getOps<WeightOp>()))
      if (!read.contains(weight.getSymName())) {
        table.erase(weight);
        changed = true;
      }
  }
}
