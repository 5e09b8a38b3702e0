// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- FusedLinear.cpp - Linears with prologue and epilogues --------------===//
//
// Rows one after another: norm, products with every row of the weight, and
// then each segment's region once a column or pair. The parts of a library's
// linear are the same, each an operation of its own.
//
//===----------------------------------------------------------------------===//
#include "Machine.h"

using namespace mlir;
using namespace mlir::fdpp;

namespace {
/// Arguments of an epilogue region.
enum Argument { ValueArg, PartnerArg, RowArg, ColumnArg, OldArg };

/// The end of a linear: its regions, which store in the last operands.
struct Epilogues {
  EpilogueInterface op;
  Frame &frame;
  const Instr &instr;
  Rounder mode;
  SmallVector<Array, 2> dests;
  SmallVector<Rounder, 2> storage;
  /// What each segment stored, for who wants to see it.
  std::vector<std::vector<double>> stored;

  Epilogues(Frame &frame, const Instr &instr, int64_t rows)
      : op(cast<EpilogueInterface>(instr.op)), frame(frame), instr(instr),
        mode(frame.machine.modeRounder) {
    unsigned first = instr.in.size() - op.getOuts().size();
    for (auto [i, out] : llvm::enumerate(op.getOuts())) {
      const Array &outs = frame.array(instr.in[first + i]);
      dests.push_back(instr.out.empty() ? outs : outs.copy());
      storage.push_back(frame.machine.storage(out.getType()));
    }
    if (frame.machine.options.onValue)
      for (unsigned i = 0; i < instr.regions.size(); ++i)
        stored.emplace_back(rows * widthOf(op.getSegment(i)));
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

  /// Runs the region for a column of `sums`, the segment's products, and its
  /// partner `distance` further if > 0.
  LogicalResult unit(const Code &code, SegmentAttr segment, int64_t row,
                     ArrayRef<double> sums, int64_t column, int64_t distance) {
    frame.real(code.args[ValueArg]) = sums[column];
    frame.real(code.args[PartnerArg]) =
        distance > 0 ? sums[column + distance] : kPoison;
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

  LogicalResult segment(const Code &code, SegmentAttr segment, int64_t row,
                        ArrayRef<double> sums) {
    int64_t columns = segment.getColumns(), group = columns, distance = 0;
    if (segment.getPartner() == PartnerKind::Half)
      group = segment.getGroup();
    if (segment.getPartner() != PartnerKind::None)
      distance = group / 2;
    int64_t count = distance > 0 ? distance : group;
    for (int64_t base = 0; base < columns; base += group)
      for (int64_t c = 0; c < count; ++c)
        if (failed(unit(code, segment, row, sums, base + c, distance)))
          return failure();
    return success();
  }

  /// All segments of a row, whose products are `sums`.
  LogicalResult run(int64_t row, ArrayRef<double> sums) {
    for (unsigned i = 0; i < instr.regions.size(); ++i) {
      SegmentAttr attr = op.getSegment(i);
      if (failed(segment(instr.regions[i], attr, row, sums)))
        return failure();
      sums = sums.drop_front(attr.getColumns());
    }
    return success();
  }

  void finish(int64_t rows) {
    for (auto [slot, dest] : llvm::zip(instr.out, dests))
      frame.array(slot) = dest;
    for (auto [i, values] : llvm::enumerate(stored)) {
      Operation *end = op.getEpilogues()[i].front().getTerminator();
      frame.machine.show(op, end->getLoc(), {rows, widthOf(op.getSegment(i))},
                         values);
    }
  }
};

/// Rows on their way into a linear: operand 0 of a fused linear or of a
/// prologue; gamma, beta and eps are the operand groups from `gammaGroup` on.
template <typename OpTy> struct Prologue {
  Operands<OpTy> in;
  Rounder mode;
  std::vector<double> a, b, c;
  ArrayRef<double> x, gamma, beta;
  int64_t columns;
  double eps = 0;

  Prologue(Frame &frame, const Instr &instr, unsigned gammaGroup)
      : in(frame, instr), mode(frame.machine.modeRounder),
        x(in.array(0).dense(a)), columns(in.array(0).dim(1)) {
    if (in.count(gammaGroup))
      gamma = in.array(gammaGroup).dense(b);
    if (in.count(gammaGroup + 1))
      beta = in.array(gammaGroup + 1).dense(c);
    if (!gamma.empty())
      eps = f32ScalarOf(in, gammaGroup + 2, in.op.getEpsAttr());
  }

  void run(int64_t r, std::vector<double> &entry) {
    ArrayRef<double> row = x.slice(r * columns, columns);
    if (gamma.empty())
      entry = row.vec();
    else if (in.op.getCentered())
      normaliseCentered(row, gamma, beta, eps, entry);
    else
      normalise(row, gamma, eps, entry);
    for (double &value : entry)
      value = mode(value);
  }
};
} // namespace

static LogicalResult runFusedLinear(Frame &frame, const Instr &instr) {
  Operands<FusedLinearOp> in(frame, instr);
  if (failed(checkNoOverlap(frame, instr, in.op.getOuts().size())))
    return failure();
  const Array &weight = in.array(1);
  int64_t rows = in.array(0).dim(0), k = weight.dim(1), n = weight.dim(0);
  Prologue<FusedLinearOp> prologue(frame, instr, 2);
  Epilogues epilogues(frame, instr, rows);
  std::vector<double> a, b, entry(k), sums(n);
  ArrayRef<double> w = rounded(frame.machine.modeRounder, weight.dense(a), b);
  for (int64_t row = 0; row < rows; ++row) {
    prologue.run(row, entry);
    multiply(entry, w, 1, k, n, sums);
    if (failed(epilogues.run(row, sums)))
      return failure();
  }
  epilogues.finish(rows);
  return success();
}

static LogicalResult runPrologue(Frame &frame, const Instr &instr) {
  Prologue<PrologueOp> prologue(frame, instr, 1);
  int64_t rows = prologue.in.array(0).dim(0), k = prologue.columns;
  std::vector<double> entry(k), values;
  for (int64_t row = 0; row < rows; ++row) {
    prologue.run(row, entry);
    llvm::append_range(values, entry);
  }
  return deliver(frame, instr, 0, 1, {rows, k}, std::move(values));
}

/// Columns in the order of W's rows, and nothing behind them: where the kernel
/// has them is its own affair.
static LogicalResult runLibraryGemm(Frame &frame, const Instr &instr) {
  Operands<LibraryGemmOp> in(frame, instr);
  const Array &input = in.array(0), &weight = in.array(1);
  int64_t rows = input.dim(0), k = weight.dim(1), n = weight.dim(0);
  int64_t width = in.array(2).dim(1);
  std::vector<double> a, b, c, sums(n), values(rows * width, kPoison);
  ArrayRef<double> x = input.dense(a);
  ArrayRef<double> w = rounded(frame.machine.modeRounder, weight.dense(b), c);
  for (int64_t row = 0; row < rows; ++row) {
    multiply(x.slice(row * k, k), w, 1, k, n, sums);
    llvm::copy(sums, values.begin() + row * width);
  }
  return deliver(frame, instr, 0, 1, {rows, width}, std::move(values));
}

static LogicalResult runEpilogue(Frame &frame, const Instr &instr) {
  Operands<EpilogueOp> in(frame, instr);
  if (failed(checkNoOverlap(frame, instr, in.op.getOuts().size())))
    return failure();
  const Array &given = in.array(0);
  int64_t rows = given.dim(0), width = given.dim(1);
  std::vector<double> storage;
  ArrayRef<double> sums = given.dense(storage);
  Epilogues epilogues(frame, instr, rows);
  for (int64_t row = 0; row < rows; ++row)
    if (failed(epilogues.run(row, sums.slice(row * width, width))))
      return failure();
  epilogues.finish(rows);
  return success();
}

void mlir::fdpp::addFusedHandlers(HandlerMap &map) {
  map["fdpp.fused_linear"] = {runFusedLinear};
  map["fdpp.prologue"] = {runPrologue};
  map["fdpp.library_gemm"] = {runLibraryGemm};
  map["fdpp.epilogue"] = {runEpilogue};
}
