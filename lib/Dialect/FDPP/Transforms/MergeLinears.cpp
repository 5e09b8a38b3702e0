// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-merge-linears

#include "Dataflow.h"
#include "Weights.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/MapVector.h"

#include <numeric>

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPMERGELINEARS
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

/// Queries before keys before values, gates before ups: the order that
/// epilogues with partners need and readers expect.
static int rank(LinearOp op) {
  return llvm::StringSwitch<int>(linearRole(op))
      .Case("wq", 0)
      .Case("wk", 1)
      .Case("wv", 2)
      .Case("gate", 3)
      .Case("up", 4)
      .Default(5);
}

/// The number of a name such as "wq_1" with its underscore, or "".
static StringRef numberOf(StringRef name) {
  size_t at = name.rfind('_');
  if (at == StringRef::npos || at + 1 == name.size() ||
      !llvm::all_of(name.drop_front(at + 1), llvm::isDigit))
    return "";
  return name.drop_front(at);
}

/// "wqkv" for wq, wk and wv; "gate_up_1" for gate_1 and up_1.
static std::string mergedName(ArrayRef<WeightOp> weights) {
  StringRef number = numberOf(WeightOp(weights.front()).getSymName());
  SmallVector<StringRef> names;
  for (WeightOp weight : weights) {
    names.push_back(weight.getSymName());
    names.back().consume_back(number);
  }
  bool initials = llvm::all_of(names, [&](StringRef name) {
    return name.size() == 2 && name[0] == names[0][0];
  });
  std::string merged = names.front().str();
  for (StringRef name : ArrayRef(names).drop_front())
    merged += initials ? name.drop_front().str() : ("_" + name).str();
  return merged + number.str();
}

/// "bqkv" for wqkv, "gate_up_bias" for gate_up.
static std::string biasName(StringRef weight) {
  if (weight.starts_with("w"))
    return ("b" + weight.drop_front()).str();
  return (weight + "_bias").str();
}

namespace {

/// Linears that may become one, in the order of their columns.
struct Group {
  SmallVector<LinearOp> linears;

  WeightAtOp read(unsigned i) {
    return linears[i].getWeight().getDefiningOp<WeightAtOp>();
  }
  WeightAtOp biasRead(unsigned i) {
    Value bias = linears[i].getBias();
    return bias ? bias.getDefiningOp<WeightAtOp>() : WeightAtOp();
  }
  bool hasBias() {
    return llvm::any_of(linears, [](LinearOp op) { return op.getBias(); });
  }
};

class Merger {
public:
  Merger(Weights &weights, func::FuncOp entry)
      : weights(weights), entry(entry) {}

  void run() {
    llvm::MapVector<Value, Group> byInput;
    entry.walk(
        [&](LinearOp op) { byInput[op.getInput()].linears.push_back(op); });
    for (auto &[input, group] : byInput) {
      if (group.linears.size() < 2)
        continue;
      llvm::stable_sort(group.linears, [](LinearOp a, LinearOp b) {
        return rank(a) < rank(b);
      });
      std::string reason = obstacle(group);
      if (reason.empty())
        merge(group);
      else
        remark::missed(group.linears.front().getLoc(), options())
            << remark::add("{0} linears with one input stay apart: {1}",
                           group.linears.size(), reason);
    }
  }

private:
  remark::RemarkOpts options() {
    return remark::RemarkOpts::name("merge-linears")
        .category("fusion")
        .function(entry.getName());
  }

  /// Why the linears cannot be one, or "".
  std::string obstacle(Group &group) {
    LinearOp first = group.linears.front();
    for (unsigned i = 0; i < group.linears.size(); ++i) {
      LinearOp op = group.linears[i];
      if (!group.read(i) || (op.getBias() && !group.biasRead(i)))
        return "one reads a weight that is computed in the step";
      if (!op.getOuts().empty())
        return "one writes an argument of the step";
      if (op->getBlock() != first->getBlock())
        return "they are not in one block";
      if (cast<ShapedType>(op.getInput().getType()).getRank() != 2 ||
          getElementTypeOrSelf(op.getResult(0).getType()) !=
              getElementTypeOrSelf(first.getResult(0).getType()))
        return "their results have different types";
      if (std::string reason = weightObstacle(group, i); !reason.empty())
        return reason;
    }
    return "";
  }

  std::string weightObstacle(Group &group, unsigned i) {
    WeightAtOp read = group.read(i), first = group.read(0);
    WeightOp weight = weights.lookup(read);
    if (getElementTypeOrSelf(read.getType()) !=
        getElementTypeOrSelf(first.getType()))
      return "their weights have different types";
    if (read.getLayer() != first.getLayer() ||
        weight.getLayers() != weights.lookup(first).getLayers())
      return "they read different layers";
    if (group.biasRead(i) && group.biasRead(i).getLayer() != read.getLayer())
      return "a bias and a weight are of different layers";
    if (readers(weight) > 1)
      return "@" + weight.getSymName().str() +
             " is read elsewhere too and would be stored twice";
    return "";
  }

  unsigned readers(WeightOp weight) {
    unsigned count = 0;
    entry->getParentOp()->walk([&](WeightAtOp at) {
      if (at.getWeight() == weight.getSymName())
        count += at->getParentOfType<WeightOp>()
                     ? 1
                     : std::distance(at->use_begin(), at->use_end());
    });
    return count;
  }

  void merge(Group &group) {
    LinearOp first =
        *llvm::min_element(group.linears, [](LinearOp a, LinearOp b) {
          return a->isBeforeInBlock(b);
        });
    OpBuilder builder(first);
    Location loc = commonLocation(group);
    Value layer = group.read(0).getLayer();
    std::string name = nameOf(group);
    WeightOp weight = concat(group, name, /*biases=*/false);
    Value w = read(builder, loc, weight, layer), b;
    WeightOp biases =
        group.hasBias() ? concat(group, biasName(name), true) : WeightOp();
    if (biases)
      b = read(builder, loc, biases, layer);
    auto old = cast<RankedTensorType>(first.getResult(0).getType());
    int64_t columns = weight.getTensorType().getDimSize(0);
    auto type = RankedTensorType::get({old.getDimSize(0), columns},
                                      old.getElementType());
    auto merged = LinearOp::create(builder, loc, type, first.getInput(), w, b,
                                   ValueRange());
    slice(builder, group, merged.getResult(0));
    remark::passed(loc, options())
        << remark::add("merged {0} linears into @{1}", group.linears.size(),
                       weight.getSymName().str())
        << remark::metric("columns", columns)
        << remark::metric("k", weight.getTensorType().getDimSize(1));
  }

  /// The merged value is none of the graph's: its parts are.
  static Location commonLocation(Group &group) {
    SmallVector<Location> locations;
    for (LinearOp op : group.linears)
      locations.push_back(op.getLoc());
    return FusedLoc::get(locations.front().getContext(), locations);
  }

  static Value read(OpBuilder &builder, Location loc, WeightOp weight,
                    Value layer) {
    return WeightAtOp::create(builder, loc, weight.getTensorType(),
                              FlatSymbolRefAttr::get(weight.getSymNameAttr()),
                              layer);
  }

  std::string nameOf(Group &group) {
    SmallVector<WeightOp> read;
    for (unsigned i = 0; i < group.linears.size(); ++i)
      read.push_back(weights.lookup(group.read(i)));
    return mergedName(read);
  }

  /// The weights, or the biases with zeros for missing ones, one below another.
  WeightOp concat(Group &group, StringRef name, bool biases) {
    SmallVector<WeightOp> parts;
    SmallVector<int64_t> rows;
    for (unsigned i = 0; i < group.linears.size(); ++i) {
      rows.push_back(
          weights.lookup(group.read(i)).getTensorType().getDimSize(0));
      WeightAtOp at = biases ? group.biasRead(i) : group.read(i);
      parts.push_back(at ? weights.lookup(at) : WeightOp());
    }
    SmallVector<WeightOp> given;
    llvm::copy_if(parts, std::back_inserter(given),
                  [](WeightOp w) { return static_cast<bool>(w); });
    WeightOp like = given.front();
    SmallVector<int64_t> shape(like.getTensorType().getShape());
    shape[0] = std::accumulate(rows.begin(), rows.end(), int64_t(0));
    RankedTensorType type = like.getTensorType().clone(shape);
    return weights.create(
        name, like, type, [&](OpBuilder &builder, Value layer) {
          SmallVector<Value> values;
          for (auto [part, count] : llvm::zip(parts, rows))
            values.push_back(part ? read(builder, like.getLoc(), part, layer)
                                  : zeros(builder, like, count));
          return tensor::ConcatOp::create(builder, like.getLoc(), type,
                                          /*dim=*/0, values);
        });
  }

  static Value zeros(OpBuilder &builder, WeightOp like, int64_t count) {
    RankedTensorType type = like.getTensorType().clone({count});
    return arith::ConstantOp::create(builder, like.getLoc(),
                                     builder.getZeroAttr(type));
  }

  /// Replaces the linears by column ranges of the merged one.
  static void slice(OpBuilder &builder, Group &group, Value merged) {
    int64_t offset = 0;
    OpFoldResult rows = rowCount(builder, merged);
    OpFoldResult zero = builder.getIndexAttr(0), one = builder.getIndexAttr(1);
    for (LinearOp op : group.linears) {
      auto type = cast<RankedTensorType>(op.getResult(0).getType());
      int64_t columns = type.getDimSize(1);
      Value part = tensor::ExtractSliceOp::create(
          builder, op.getLoc(), type, merged,
          ArrayRef<OpFoldResult>{zero, builder.getIndexAttr(offset)},
          ArrayRef<OpFoldResult>{rows, builder.getIndexAttr(columns)},
          ArrayRef<OpFoldResult>{one, one});
      op.getResult(0).replaceAllUsesWith(part);
      offset += columns;
    }
    for (LinearOp op : group.linears)
      op.erase();
  }

  Weights &weights;
  func::FuncOp entry;
};

struct MergeLinearsPass
    : public mlir::fdpp::impl::FDPPMergeLinearsBase<MergeLinearsPass> {
  void runOnOperation() override {
    Weights weights(getOperation());
    for (func::FuncOp entry : entriesOf(getOperation())) {
      Merger(weights, entry).run();
      eraseUnusedReads(entry);
    }
  }

  static void eraseUnusedReads(func::FuncOp entry) {
    entry.walk([](WeightAtOp at) {
      if (at->use_empty())
        at.erase();
    });
  }
};

} // namespace
