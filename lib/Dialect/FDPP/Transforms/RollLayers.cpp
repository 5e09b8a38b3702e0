// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-roll-layers

#include "Dataflow.h"
#include "LayerSegments.h"
#include "RopeTableBank.h"
#include "fdpp/Dialect/FDPP/IR/Provenance.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
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
    stackTables(builder);
    scf::ForOp loop = createLoop(builder, point->getLoc(), first);
    builder.setInsertionPointToStart(loop.getBody());
    mapping.map(first.streamIn, loop.getRegionIterArg(0));
    if (first.cacheIn)
      mapping.map(first.cacheIn, loop.getRegionIterArg(1));
    cloneBody(builder, loop);
    replace(loop);
    return loop;
  }

  /// Scalars and rotary tables that became banks.
  unsigned numBanks() const { return banks; }

private:
  const Segment &at(unsigned iteration, unsigned part) const {
    return segments[repetition.start + iteration * repetition.period + part];
  }

  LogicalResult hoistInvariants(Operation *point) {
    for (unsigned part = 0; part < repetition.period; ++part)
      for (Value value : at(0, part).invariants)
        if (failed(hoistBefore(value, point)))
          return failure();
    for (unsigned k = 0; k < repetition.count; ++k)
      for (unsigned part = 0; part < repetition.period; ++part)
        for (RopeTableOp table : at(k, part).tables)
          if (failed(hoistBefore(table.getResult(0), point)))
            return failure();
    return success();
  }

  /// Rotary tables in which the repetitions differ become one, before the loop.
  void stackTables(OpBuilder &builder) {
    tables.resize(repetition.period);
    for (unsigned part = 0; part < repetition.period; ++part)
      for (unsigned i = 0; i < at(0, part).tables.size(); ++i) {
        SmallVector<RopeTableOp> ofLayers;
        for (unsigned k = 0; k < repetition.count; ++k)
          ofLayers.push_back(at(k, part).tables[i]);
        tables[part].emplace_back();
        if (!llvm::all_equal(ofLayers)) {
          tables[part].back() = RopeTableBank(builder, weights, ofLayers);
          ++banks;
        }
      }
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
    for (unsigned part = 0; part < repetition.period; ++part)
      clonePart(builder, part, loop.getInductionVar());
    const Segment &last = at(0, repetition.period - 1);
    SmallVector<Value> yielded{mapping.lookup(last.streamOut)};
    if (last.cacheIn)
      yielded.push_back(mapping.lookupOrDefault(last.cacheOut));
    scf::YieldOp::create(builder, loop.getLoc(), yielded);
  }

  void clonePart(OpBuilder &builder, unsigned part, Value index) {
    const Segment &model = at(0, part);
    DenseMap<Value, unsigned> parameters;
    for (auto [i, parameter] : llvm::enumerate(model.parameters))
      parameters[parameter] = i;
    DenseMap<Value, Value> aliases(model.aliases.begin(), model.aliases.end());
    // Another part may have read the same weight or table, of other layers.
    for (Value parameter : model.parameters)
      mapping.erase(parameter);
    for (auto [alias, parameter] : model.aliases)
      mapping.erase(alias);
    for (auto [i, table] : llvm::enumerate(model.tables))
      mapTable(builder, table, tables[part][i], index);
    for (auto [i, op] : llvm::enumerate(model.ops)) {
      // Each parameter stands before its first use.
      for (Value operand : op->getOperands()) {
        Value known = aliases.lookup(operand);
        auto found = parameters.find(known ? known : operand);
        if (found != parameters.end() && !mapping.contains(operand))
          mapping.map(operand,
                      parameterInLoop(builder, part, found->second, index));
      }
      SmallVector<std::pair<StringRef, Value>> scalars =
          scalarsInLoop(builder, part, op, index);
      Operation *clone = builder.clone(*op, mapping);
      clone->setLoc(locationInLoop(part, i));
      for (auto [name, value] : scalars)
        setOfLayer(clone, name, value);
    }
  }

  /// Operation `i` of a part stands for one in every repetition.
  Location locationInLoop(unsigned part, unsigned i) const {
    SmallVector<Location> locations;
    for (unsigned k = 0; k < repetition.count; ++k)
      locations.push_back(at(k, part).ops[i]->getLoc());
    return locationOfIterations(locations);
  }

  void mapTable(OpBuilder &builder, RopeTableOp table,
                const std::optional<RopeTableBank> &bank, Value index) {
    for (Value result : table->getResults())
      mapping.erase(result);
    if (!bank)
      return;
    auto [cos, sin] = bank->ofLayer(builder, index);
    mapping.map(table.getResult(0), cos);
    mapping.map(table.getResult(1), sin);
  }

  /// The scalars of `op` that are not the same in every repetition.
  SmallVector<std::pair<StringRef, Value>>
  scalarsInLoop(OpBuilder &builder, unsigned part, Operation *op, Value index) {
    SmallVector<std::pair<StringRef, Value>> scalars;
    for (auto [i, scalar] : llvm::enumerate(at(0, part).scalars)) {
      if (scalar.op != op)
        continue;
      SmallVector<TypedAttr> values;
      for (unsigned k = 0; k < repetition.count; ++k)
        values.push_back(at(k, part).scalars[i].value);
      if (llvm::all_equal(values))
        continue;
      scalars.push_back({scalar.name, createLayerConstant(builder, op->getLoc(),
                                                          values, index)});
      ++banks;
    }
    return scalars;
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
      if (isa<WeightAtOp, RopeTableOp, arith::ConstantOp>(op) && op.use_empty())
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
  /// Of each part's tables, the bank that stands for it, if it needs one.
  SmallVector<SmallVector<std::optional<RopeTableBank>>> tables;
  unsigned banks = 0;
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
    Roller roller(weights, segments, *repetition);
    FailureOr<scf::ForOp> loop = roller.run();
    if (failed(loop))
      return false;
    remark::passed(loop->getLoc(), options(entry))
        << remark::add("rolled {0} repetitions into one loop",
                       repetition->count)
        << remark::metric("iterations", repetition->count)
        << remark::metric("operations", perIteration)
        << remark::metric("banks of scalars", roller.numBanks());
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
