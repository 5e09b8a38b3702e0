// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- PagedAttention.h - What attentions over the cache share --*- C++ -*-===//
#ifndef FDPP_LIB_INTERPRETER_PAGEDATTENTION_H
#define FDPP_LIB_INTERPRETER_PAGEDATTENTION_H

#include "Machine.h"

namespace mlir::fdpp {

/// Which token of which sequence stands where: the integers of a step.
struct StepShape {
  std::vector<double> storage[3];
  ArrayRef<double> offsets, context, pages;
  int64_t sequences, maxPages;

  StepShape(const Array &offsetsArray, const Array &contextArray,
            const Array &pagesArray)
      : offsets(offsetsArray.dense(storage[0])),
        context(contextArray.dense(storage[1])),
        pages(pagesArray.dense(storage[2])), sequences(contextArray.size()),
        maxPages(pagesArray.dim(1)) {}

  /// True if the arrays describe steps of `tokens` tokens.
  bool valid(int64_t tokens) const {
    if (static_cast<int64_t>(offsets.size()) != sequences + 1 ||
        offsets.front() != 0 || offsets.back() != tokens)
      return false;
    for (int64_t s = 0; s < sequences; ++s)
      if (offsets[s] > offsets[s + 1] ||
          context[s] < offsets[s + 1] - offsets[s])
        return false;
    return true;
  }
  int64_t begin(int64_t s) const { return static_cast<int64_t>(offsets[s]); }
  /// The place of token t in its sequence s.
  int64_t position(int64_t s, int64_t t) const {
    return static_cast<int64_t>(context[s]) - (begin(s + 1) - t);
  }
  /// The slot of position p of sequence s, or -1.
  int64_t slot(int64_t s, int64_t p, int64_t pageTokens) const {
    if (p < 0 || p / pageTokens >= maxPages)
      return -1;
    auto page = static_cast<int64_t>(pages[s * maxPages + p / pageTokens]);
    return page < 0 ? -1 : page * pageTokens + p % pageTokens;
  }
};

/// Operand groups of every attention. Those that take one more have it in the
/// place of Outs, and Outs behind it.
enum AttentionGroup {
  Q,
  Cache,
  Layer,
  Offsets,
  Context,
  Pages,
  First,
  End,
  ScaleOfLayer,
  WindowOfLayer,
  SoftcapOfLayer,
  Extra
};

template <typename OpTy> struct PagedAttention {
  Operands<OpTy> in;
  Frame &frame;
  StepShape step;
  const Array &cache;
  int64_t layer, heads, pageTokens, width, queryHeads;
  std::vector<double> cacheStorage, queryStorage, roundedQueries;
  ArrayRef<double> elements, queries;

  PagedAttention(Frame &frame, const Instr &instr)
      : in(frame, instr), frame(frame),
        step(in.array(Offsets), in.array(Context), in.array(Pages)),
        cache(in.array(Cache)), layer(frame.integer(in.slot(Layer))),
        heads(cache.dim(3)), pageTokens(cache.dim(4)), width(cache.dim(5)),
        queryHeads(in.array(Q).dim(1) / width),
        elements(cache.dense(cacheStorage)),
        queries(rounded(frame.machine.modeRounder,
                        in.array(Q).dense(queryStorage), roundedQueries)) {}

  ArrayRef<int64_t> shape() { return in.array(Q).shape(); }

  /// What destination k holds, or poison without one. Rows of sequences that
  /// the op is not for keep it.
  std::vector<double> kept(unsigned k) {
    auto outs = in.op.getOuts();
    if (outs.empty()) {
      int64_t columns = k == 0 ? in.array(Q).dim(1) : queryHeads;
      return std::vector<double>(in.array(Q).dim(0) * columns, kPoison);
    }
    unsigned first = in.op->getNumOperands() - outs.size();
    std::vector<double> storage;
    return frame.array(in.instr.in[first + k]).dense(storage).vec();
  }

  /// Calls row(keys, head, q, at) for every row of the op's sequences; `at` is
  /// the row's first element among the queries.
  template <typename RowFn> LogicalResult forEachRow(RowFn row) {
    int64_t tokens = in.array(Q).dim(0);
    if (!step.valid(tokens))
      return frame.fail(in.instr, "offsets and context do not describe " +
                                      Twine(tokens) + " tokens");
    if (layer < 0 || layer >= cache.dim(0))
      return frame.fail(in.instr, "the cache has no layer " + Twine(layer));
    bool partial = in.count(First);
    int64_t first = partial ? frame.integer(in.slot(First)) : 0;
    int64_t end = partial ? frame.integer(in.slot(End)) : step.sequences;
    if (first < 0 || first > end || end > step.sequences)
      return frame.fail(in.instr,
                        "no sequences " + Twine(first) + " to " + Twine(end));
    for (int64_t s = first; s < end; ++s)
      if (failed(sequence(s, row)))
        return failure();
    return success();
  }

private:
  /// The element after which head h's row of the slot begins, or -1.
  int64_t place(int64_t slot, int64_t plane, int64_t head) const {
    if (slot < 0 || slot / pageTokens >= cache.dim(1))
      return -1;
    int64_t page = layer * cache.dim(1) + slot / pageTokens;
    return (((page * 2 + plane) * heads + head) * pageTokens +
            slot % pageTokens) *
           width;
  }

  /// Collects the rows a query at `position` sees; false if one has no place.
  bool collect(int64_t s, int64_t position, int64_t head, AttentionRow &row) {
    int64_t window = in.count(WindowOfLayer)
                         ? frame.integer(in.slot(WindowOfLayer))
                         : in.op.getWindow();
    int64_t first =
        window > 0 ? std::max<int64_t>(0, position - window + 1) : 0;
    row.keys.clear();
    row.values.clear();
    for (int64_t p = first; p <= position; ++p) {
      int64_t slot = step.slot(s, p, pageTokens);
      int64_t key = place(slot, 0, head), value = place(slot, 1, head);
      if (key < 0)
        return false;
      row.keys.push_back(&elements[key]);
      row.values.push_back(&elements[value]);
    }
    return true;
  }

  template <typename RowFn> LogicalResult sequence(int64_t s, RowFn &run) {
    AttentionRow row;
    row.scale = scalarOf(in, ScaleOfLayer, in.op.getScaleAttr());
    row.softcap = scalarOf(in, SoftcapOfLayer, in.op.getSoftcapAttr());
    for (int64_t t = step.begin(s); t < step.begin(s + 1); ++t)
      for (int64_t h = 0; h < queryHeads; ++h) {
        int64_t position = step.position(s, t);
        if (!collect(s, position, h / (queryHeads / heads), row))
          return frame.fail(in.instr, "position " + Twine(position) +
                                          " of sequence " + Twine(s) +
                                          " sees a slot without a page");
        int64_t at = (t * queryHeads + h) * width;
        run(row, h, &queries[at], at);
      }
    return success();
  }
};

} // namespace mlir::fdpp

#endif // FDPP_LIB_INTERPRETER_PAGEDATTENTION_H
