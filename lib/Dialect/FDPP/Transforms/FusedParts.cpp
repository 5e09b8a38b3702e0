// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "FusedParts.h"
#include "Dataflow.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace mlir::fdpp;

//===----------------------------------------------------------------------===//
// Epilogues.
//===----------------------------------------------------------------------===//

static std::unique_ptr<Region> emptyBody(MLIRContext *context, Location loc) {
  auto region = std::make_unique<Region>();
  Block *block = new Block();
  region->push_back(block);
  Builder b(context);
  Type f32 = b.getF32Type(), index = b.getIndexType();
  for (Type type : {f32, f32, index, index, f32})
    block->addArgument(type, loc);
  return region;
}

/// `column + distance`; `column` itself for distance 0.
static Value shifted(OpBuilder &builder, Location loc, Value column,
                     int64_t distance) {
  if (distance == 0)
    return column;
  Value constant = arith::ConstantIndexOp::create(builder, loc, distance);
  return arith::AddIOp::create(builder, loc, column, constant);
}

/// Clones what `part` computes to the end of the builder's block, with `value`
/// for the value and columns shifted by `distance`; gives what it stores.
static Value cloneBody(OpBuilder &builder, const EpiloguePart &part,
                       const EpiloguePart &into, Value value,
                       int64_t distance) {
  IRMapping mapping;
  mapping.map(part.value(), value);
  mapping.map(part.row(), into.row());
  mapping.map(part.column(), into.column());
  if (!part.column().use_empty())
    mapping.map(part.column(),
                shifted(builder, value.getLoc(), into.column(), distance));
  for (Operation &op : part.body().without_terminator())
    builder.clone(op, mapping);
  return mapping.lookupOrDefault(part.store().getValues().front());
}

EpiloguePart EpiloguePart::plain(MLIRContext *context, Location loc,
                                 int64_t columns, unsigned dest) {
  EpiloguePart part;
  part.columns = columns;
  part.dest = dest;
  part.region = emptyBody(context, loc);
  // The region has no operation around it yet, so that the builder cannot find
  // the context by itself.
  OpBuilder builder(context);
  builder.setInsertionPointToEnd(&part.body());
  StoreOp::create(builder, loc, part.value());
  return part;
}

void EpiloguePart::mapValues(
    function_ref<Value(OpBuilder &, Value, Value)> change) {
  StoreOp end = store();
  OpBuilder builder(end);
  SmallVector<Value> values;
  for (auto [i, value] : llvm::enumerate(end.getValues())) {
    Value own = shifted(builder, end.getLoc(), column(), i * group / 2);
    values.push_back(change(builder, value, own));
  }
  end.getValuesMutable().assign(values);
}

void EpiloguePart::pairWithinGroups(int64_t newGroup) {
  EpiloguePart paired =
      plain(value().getContext(), value().getLoc(), columns, dest);
  StoreOp end = paired.store();
  OpBuilder builder(end);
  Value first = cloneBody(builder, *this, paired, paired.value(), 0);
  Value second =
      cloneBody(builder, *this, paired, paired.partnerValue(), newGroup / 2);
  end.getValuesMutable().assign({first, second});
  paired.partner = PartnerKind::Half;
  paired.group = newGroup;
  *this = std::move(paired);
}

EpiloguePart EpiloguePart::slice(int64_t offset, int64_t width,
                                 unsigned newDest) const {
  EpiloguePart part =
      plain(value().getContext(), value().getLoc(), width, newDest);
  StoreOp end = part.store();
  OpBuilder builder(end);
  end.getValuesMutable().assign(
      cloneBody(builder, *this, part, part.value(), offset));
  return part;
}

EpiloguePart
EpiloguePart::gateUp(const EpiloguePart &gate, const EpiloguePart &up,
                     function_ref<Value(OpBuilder &, Value, Value)> combine) {
  EpiloguePart part = plain(gate.value().getContext(), gate.value().getLoc(),
                            gate.columns + up.columns, gate.dest);
  StoreOp end = part.store();
  OpBuilder builder(end);
  Value first = cloneBody(builder, gate, part, part.value(), 0);
  Value second = cloneBody(builder, up, part, part.partnerValue(), 0);
  end.getValuesMutable().assign(combine(builder, first, second));
  part.partner = PartnerKind::GateUp;
  return part;
}

//===----------------------------------------------------------------------===//
// Whole operations.
//===----------------------------------------------------------------------===//

/// `value + bias[column]`
static void addBias(EpiloguePart &part, Value bias) {
  bool narrow = !getElementTypeOrSelf(bias.getType()).isF32();
  part.mapValues([&](OpBuilder &builder, Value value, Value column) -> Value {
    Location loc = value.getLoc();
    Value b = tensor::ExtractOp::create(builder, loc, bias, column);
    if (narrow)
      b = arith::ExtFOp::create(builder, loc, builder.getF32Type(), b);
    return arith::AddFOp::create(builder, loc, value, b);
  });
}

FusedParts::FusedParts(OpBuilder &builder, LinearOp op)
    : loc(op.getLoc()), input(op.getInput()), weight(op.getWeight()) {
  auto result = cast<OpResult>(op.getOutputs().front());
  Value init = op.getOuts().empty() ? createDestination(builder, result)
                                    : op.getOuts().front();
  dests.push_back({init, result});
  int64_t columns = cast<ShapedType>(weight.getType()).getDimSize(0);
  parts.push_back(EpiloguePart::plain(op.getContext(), loc, columns, 0));
  if (op.getBias())
    addBias(parts.back(), op.getBias());
}

FusedParts::FusedParts(FusedLinearOp op)
    : loc(op.getLoc()), input(op.getInput()), weight(op.getWeight()), norm(op) {
  for (auto [init, result] : llvm::zip(op.getOuts(), op.getOutputs()))
    dests.push_back({init, result});
  for (unsigned i = 0; i < op.getSegments().size(); ++i) {
    SegmentAttr segment = op.getSegment(i);
    EpiloguePart part;
    part.columns = segment.getColumns();
    part.partner = segment.getPartner();
    part.group = segment.getGroup();
    part.dest = segment.getDest();
    part.region = std::make_unique<Region>();
    part.region->takeBody(op.getEpilogues()[i]);
    parts.push_back(std::move(part));
  }
}

FusedLinearOp FusedParts::build(OpBuilder &builder) {
  SmallVector<int> index(dests.size(), -1);
  SmallVector<Value> inits, replaced;
  SmallVector<Attribute> segments;
  for (EpiloguePart &part : parts) {
    if (index[part.dest] < 0) {
      index[part.dest] = inits.size();
      inits.push_back(dests[part.dest].init);
      replaced.push_back(dests[part.dest].replaces);
    }
    segments.push_back(SegmentAttr::get(builder.getContext(), part.columns,
                                        part.partner, part.group,
                                        index[part.dest]));
  }
  auto op = FusedLinearOp::create(
      builder, loc, TypeRange(ValueRange(inits)), input, weight, norm.gamma,
      norm.beta, norm.epsOfLayer, builder.getArrayAttr(segments), norm.eps,
      norm.centered, /*variant=*/VariantAttr(), inits, parts.size());
  for (auto [region, part] : llvm::zip(op.getEpilogues(), parts))
    region.takeBody(*part.region);
  for (auto [result, old] : llvm::zip(op.getOutputs(), replaced))
    if (old)
      old.replaceAllUsesWith(result);
  return op;
}

FusedLinearOp mlir::fdpp::editFusedLinear(
    FusedLinearOp op, function_ref<void(OpBuilder &, FusedParts &)> edit) {
  OpBuilder builder(op);
  FusedParts parts(op);
  edit(builder, parts);
  FusedLinearOp edited = parts.build(builder);
  for (Operation *absorbed : parts.absorbed)
    absorbed->erase();
  op.erase();
  return edited;
}
