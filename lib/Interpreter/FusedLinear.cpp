// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- FusedLinear.cpp - Linears with prologue and epilogues --------------===//
//
// Rows one after another: norm, products with every row of the weight, and
// then each segment's region once a column or pair.
//
//===----------------------------------------------------------------------===//
#include "Machine.h"

using namespace mlir;
using namespace mlir::fdpp;

namespace {
enum Group { Input, Weight, Gamma, Beta, EpsOfLayer, Outs };
/// Arguments of an epilogue region.
enum Argument { ValueArg, PartnerArg, RowArg, ColumnArg, OldArg };

struct FusedLinear {
  Operands<FusedLinearOp> in;
  Frame &frame;
  const Instr &instr;
  Rounder mode;
  SmallVector<Array, 2> dests;
  SmallVector<Rounder, 2> storage;
  std::vector<double> sums; ///< The row's products.
  /// What each segment stored, for who wants to see it.
  std::vector<std::vector<double>> stored;

  FusedLinear(Frame &frame, const Instr &instr)
      : in(frame, instr), frame(frame), instr(instr),
        mode(frame.machine.modeRounder) {
    for (unsigned i = 0; i < in.count(Outs); ++i) {
      const Array &outs = in.array(Outs, i);
      dests.push_back(instr.out.empty() ? outs : outs.copy());
      storage.push_back(frame.machine.storage(in.op.getOuts()[i].getType()));
    }
  }

  LogicalResult put(unsigned dest, ArrayRef<int64_t> index, double value) {
    if (!dests[dest].contains(index))
      return frame.fail(instr, "an epilogue stores outside destination " +
                                   Twine(dest));
    dests[dest].store(dests[dest].cellOf(index), storage[dest](value));
    return success();
  }

  /// Stores one value for `column` of the segment.
  LogicalResult store(SegmentAttr segment, const Instr &end, int64_t row,
                      int64_t column, double value) {
    unsigned dest = segment.getDest();
    auto kv = dyn_cast<KVStoreOp>(end.op);
    if (!kv)
      return put(dest, {row, column}, value);
    const Array &cache = dests[dest];
    int64_t slot = frame.integer(end.in[0]), layer = frame.integer(end.in[1]);
    int64_t pageTokens = cache.dim(4), width = cache.dim(5);
    if (slot < 0)
      return frame.fail(instr, "an epilogue stores to slot " + Twine(slot));
    return put(dest,
               {layer, slot / pageTokens, static_cast<int64_t>(kv.getPlane()),
                column / width, slot % pageTokens, column % width},
               mode(value));
  }

  /// Runs the region for a column, and its partner `distance` further if > 0.
  LogicalResult unit(const Code &code, SegmentAttr segment, int64_t row,
                     int64_t first, int64_t column, int64_t distance) {
    frame.real(code.args[ValueArg]) = sums[first + column];
    frame.real(code.args[PartnerArg]) =
        distance > 0 ? sums[first + column + distance] : kPoison;
    frame.integer(code.args[RowArg]) = row;
    frame.integer(code.args[ColumnArg]) = column;
    const Array &dest = dests[segment.getDest()];
    bool plain = isa<StoreOp>(code.end.op);
    frame.real(code.args[OldArg]) = plain && dest.contains({row, column})
                                        ? dest.load(dest.cellOf({row, column}))
                                        : kPoison;
    if (failed(frame.run(code)))
      return failure();
    ArrayRef<Slot> values = ArrayRef(code.end.in).drop_front(plain ? 0 : 2);
    for (auto [i, slot] : llvm::enumerate(values)) {
      int64_t at = column + i * distance;
      if (failed(store(segment, code.end, row, at, frame.real(slot))))
        return failure();
      if (!stored.empty())
        stored[&code - instr.regions.data()][row * widthOf(segment) + at] =
            frame.real(slot);
    }
    return success();
  }

  /// Columns that a segment stores: a gate and its up are one.
  static int64_t widthOf(SegmentAttr segment) {
    bool isPair = segment.getPartner() == PartnerKind::GateUp;
    return segment.getColumns() / (isPair ? 2 : 1);
  }

  void showStored(int64_t rows) {
    for (auto [i, values] : llvm::enumerate(stored)) {
      Operation *end = in.op.getEpilogues()[i].front().getTerminator();
      frame.machine.show(in.op, end->getLoc(),
                         {rows, widthOf(in.op.getSegment(i))}, values);
    }
  }

  LogicalResult segment(const Code &code, SegmentAttr segment, int64_t row,
                        int64_t first) {
    int64_t columns = segment.getColumns(), group = columns, distance = 0;
    if (segment.getPartner() == PartnerKind::Half)
      group = segment.getGroup();
    if (segment.getPartner() != PartnerKind::None)
      distance = group / 2;
    int64_t count = distance > 0 ? distance : group;
    for (int64_t base = 0; base < columns; base += group)
      for (int64_t c = 0; c < count; ++c)
        if (failed(unit(code, segment, row, first, base + c, distance)))
          return failure();
    return success();
  }

  LogicalResult run() {
    const Array &input = in.array(Input), &weight = in.array(Weight);
    int64_t rows = input.dim(0), k = weight.dim(1), n = weight.dim(0);
    std::vector<double> a, b, c, d, e;
    ArrayRef<double> x = input.dense(a), gamma, beta;
    ArrayRef<double> w = rounded(mode, weight.dense(b), c);
    if (in.count(Gamma))
      gamma = in.array(Gamma).dense(d);
    if (in.count(Beta))
      beta = in.array(Beta).dense(e);
    double eps =
        gamma.empty() ? 0 : f32ScalarOf(in, EpsOfLayer, in.op.getEpsAttr());
    std::vector<double> entry(k);
    sums.resize(n);
    if (frame.machine.options.onValue)
      for (unsigned i = 0; i < instr.regions.size(); ++i)
        stored.emplace_back(rows * widthOf(in.op.getSegment(i)));
    for (int64_t r = 0; r < rows; ++r) {
      ArrayRef<double> row = x.slice(r * k, k);
      if (gamma.empty())
        entry = row.vec();
      else if (in.op.getCentered())
        normaliseCentered(row, gamma, beta, eps, entry);
      else
        normalise(row, gamma, eps, entry);
      for (double &value : entry)
        value = mode(value);
      multiply(entry, w, 1, k, n, sums);
      int64_t first = 0;
      for (unsigned i = 0; i < instr.regions.size(); ++i) {
        SegmentAttr attr = in.op.getSegment(i);
        if (failed(segment(instr.regions[i], attr, r, first)))
          return failure();
        first += attr.getColumns();
      }
    }
    for (auto [slot, dest] : llvm::zip(instr.out, dests))
      frame.array(slot) = dest;
    showStored(rows);
    return success();
  }
};
} // namespace

static LogicalResult runFusedLinear(Frame &frame, const Instr &instr) {
  FusedLinear linear(frame, instr);
  if (failed(checkNoOverlap(frame, instr, linear.dests.size())))
    return failure();
  return linear.run();
}

void mlir::fdpp::addFusedHandlers(HandlerMap &map) {
  map["fdpp.fused_linear"] = {runFusedLinear};
}
