// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-roll-layers

#include "Dataflow.h"
#include "LayerSegments.h"
#include "Weights.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPROLLLAYERS
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

namespace {

/// Builds one loop out of a repetition and erases what it replaces.
class Roller {
public:
  Roller(Weights &weights, ArrayRef<Segment> segments, Repetition repetition)
      : weights(weights), segments(segments), repetition(repetition) {}

  FailureOr<scf::ForOp> run() {
    Segment first = segments[repetition.start];
    Operation *point = first.ops.front();
    if (failed(hoistInvariants(point)))
      return failure();
    OpBuilder builder(point);
    scf::ForOp loop = createLoop(builder, point->getLoc(), first);
    builder.setInsertionPointToStart(loop.getBody());
    mapping.map(first.streamIn, loop.getRegionIterArg(0));
    if (first.cacheIn)
      mapping.map(first.cacheIn, loop.getRegionIterArg(1));
    cloneBody(builder, loop);
    replace(loop);
    return loop;
  }

private:
  const Segment &at(unsigned iteration, unsigned part) const {
    return segments[repetition.start + iteration * repetition.period + part];
  }

  LogicalResult hoistInvariants(Operation *point) {
    for (unsigned part = 0; part < repetition.period; ++part)
      for (Value value : at(0, part).invariants)
        if (failed(hoistBefore(value, point)))
          return failure();
    return success();
  }

  scf::ForOp createLoop(OpBuilder &builder, Location loc,
                        const Segment &first) {
    auto constant = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(builder, loc, value);
    };
    SmallVector<Value> inits{first.streamIn};
    if (first.cacheIn)
      inits.push_back(first.cacheIn);
    return scf::ForOp::create(builder, loc, constant(0),
                              constant(repetition.count), constant(1), inits);
  }

  void cloneBody(OpBuilder &builder, scf::ForOp loop) {
    Value index = loop.getInductionVar();
    for (unsigned part = 0; part < repetition.period; ++part) {
      // Each parameter stands before its first use.
      DenseMap<Value, unsigned> parameters;
      for (auto [i, parameter] : llvm::enumerate(at(0, part).parameters))
        parameters[parameter] = i;
      DenseMap<Value, Value> aliases(at(0, part).aliases.begin(),
                                     at(0, part).aliases.end());
      for (Operation *op : at(0, part).ops) {
        for (Value operand : op->getOperands()) {
          Value known = aliases.lookup(operand);
          auto found = parameters.find(known ? known : operand);
          if (found != parameters.end() && !mapping.contains(operand))
            mapping.map(operand,
                        parameterInLoop(builder, part, found->second, index));
        }
        builder.clone(*op, mapping);
      }
    }
    const Segment &last = at(0, repetition.period - 1);
    SmallVector<Value> yielded{mapping.lookup(last.streamOut)};
    if (last.cacheIn)
      yielded.push_back(mapping.lookupOrDefault(last.cacheOut));
    scf::YieldOp::create(builder, loop.getLoc(), yielded);
  }

  Value parameterInLoop(OpBuilder &builder, unsigned part, unsigned i,
                        Value index) {
    Value first = at(0, part).parameters[i];
    if (auto read = first.getDefiningOp<WeightAtOp>())
      return weightInLoop(builder, read, part, i, index);
    int64_t base = constantIndex(first);
    int64_t stride = constantIndex(at(1, part).parameters[i]) - base;
    return line(builder, first.getLoc(), base, stride, index);
  }

  /// base + stride * index
  static Value line(OpBuilder &builder, Location loc, int64_t base,
                    int64_t stride, Value index) {
    auto constant = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(builder, loc, value);
    };
    if (stride == 0)
      return constant(base);
    if (stride != 1)
      index = arith::MulIOp::create(builder, loc, index, constant(stride));
    if (base != 0)
      index = arith::AddIOp::create(builder, loc, index, constant(base));
    return index;
  }

  Value weightInLoop(OpBuilder &builder, WeightAtOp first, unsigned part,
                     unsigned i, Value index) {
    SmallVector<WeightOp> layers;
    for (unsigned k = 0; k < repetition.count; ++k)
      layers.push_back(weights.lookup(
          at(k, part).parameters[i].getDefiningOp<WeightAtOp>()));
    WeightOp bank = weights.bank(layers);
    for (auto [k, layer] : llvm::enumerate(layers))
      if (bank.isBank())
        places.try_emplace(layer.getSymNameAttr(), bank, k);
    auto reference = FlatSymbolRefAttr::get(bank.getSymNameAttr());
    return WeightAtOp::create(builder, first.getLoc(), first.getType(),
                              reference, bank.isBank() ? index : Value());
  }

  /// The loop's results take the place of the last segment's.
  void replace(scf::ForOp loop) {
    const Segment &last = at(repetition.count - 1, repetition.period - 1);
    Value(last.streamOut).replaceAllUsesWith(loop.getResult(0));
    if (last.cacheIn && last.cacheOut)
      Value(last.cacheOut).replaceAllUsesWith(loop.getResult(1));
    for (unsigned k = repetition.count; k-- > 0;)
      for (unsigned part = repetition.period; part-- > 0;)
        for (Operation *op : llvm::reverse(at(k, part).ops))
          op->erase();
    eraseUnusedReads(loop->getBlock());
    redirectOtherReads(loop->getBlock());
  }

  static void eraseUnusedReads(Block *block) {
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*block)))
      if (isa<WeightAtOp, arith::ConstantOp>(op) && op.use_empty())
        op.erase();
  }

  /// A weight that something else reads too stays one stored weight.
  void redirectOtherReads(Block *block) {
    for (auto at : llvm::make_early_inc_range(block->getOps<WeightAtOp>())) {
      auto place = places.find(at.getWeightAttr().getAttr());
      if (place == places.end())
        continue;
      OpBuilder builder(at);
      auto [bank, layer] = place->second;
      at.getLayerMutable().assign(
          Value(arith::ConstantIndexOp::create(builder, at.getLoc(), layer)));
      at.setWeight(bank.getSymName());
    }
  }

  Weights &weights;
  ArrayRef<Segment> segments;
  Repetition repetition;
  IRMapping mapping;
  /// Which layer of which bank a weight became.
  DenseMap<StringAttr, std::pair<WeightOp, unsigned>> places;
};

struct RollLayersPass
    : public mlir::fdpp::impl::FDPPRollLayersBase<RollLayersPass> {
  void runOnOperation() override {
    Weights weights(getOperation());
    for (func::FuncOp entry : entriesOf(getOperation())) {
      unsigned loops = 0;
      while (rollOnce(entry, weights))
        ++loops;
      if (loops == 0)
        explain(entry, weights);
    }
    weights.eraseUnused();
  }

  /// Rolls the repetition that covers most of the step.
  bool rollOnce(func::FuncOp entry, Weights &weights) {
    std::vector<Segment> segments = cutAtStream(entry, weights);
    std::optional<Repetition> repetition = findRepetition(segments);
    if (!repetition)
      return false;
    unsigned perIteration = 0;
    for (unsigned part = 0; part < repetition->period; ++part)
      perIteration += segments[repetition->start + part].ops.size();
    FailureOr<scf::ForOp> loop = Roller(weights, segments, *repetition).run();
    if (failed(loop))
      return false;
    remark::passed(loop->getLoc(), options(entry))
        << remark::add("rolled {0} repetitions into one loop",
                       repetition->count)
        << remark::metric("iterations", repetition->count)
        << remark::metric("operations", perIteration);
    return true;
  }

  void explain(func::FuncOp entry, Weights &weights) {
    std::vector<Segment> segments = cutAtStream(entry, weights);
    Difference difference = firstDifference(segments);
    if (findRepetition(segments))
      difference.reason = "what they share is computed by the first of them";
    Location loc =
        difference.second ? difference.second->getLoc() : entry.getLoc();
    remark::missed(loc, options(entry))
        << remark::add("no layers rolled: {0}", difference.reason);
  }

  static remark::RemarkOpts options(func::FuncOp entry) {
    return remark::RemarkOpts::name("roll-layers")
        .category("layers")
        .function(entry.getName());
  }
};

} // namespace
