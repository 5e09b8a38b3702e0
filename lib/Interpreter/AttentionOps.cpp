// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- AttentionOps.cpp - The paged cache and attention over it -----------===//
#include "Machine.h"

#include <cmath>

using namespace mlir;
using namespace mlir::fdpp;

void AttentionRow::run(const double *q, int64_t width, double *out) const {
  std::fill(out, out + width, 0.0);
  std::vector<double> scores;
  double top = -std::numeric_limits<double>::infinity();
  for (const double *key : keys) {
    double score = 0;
    for (int64_t d = 0; d < width; ++d)
      score += q[d] * key[d];
    score *= scale;
    if (softcap > 0)
      score = softcap * std::tanh(score / softcap);
    scores.push_back(score);
    top = std::max(top, score);
  }
  double sum = 0;
  for (double &score : scores)
    sum += score = std::exp(score - top);
  for (auto [score, value] : llvm::zip(scores, values))
    for (int64_t d = 0; d < width; ++d)
      out[d] += score / sum * value[d];
}

//===----------------------------------------------------------------------===//
// Places in the cache.
//===----------------------------------------------------------------------===//

namespace {
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
} // namespace

static LogicalResult runTokenSlots(Frame &frame, const Instr &instr) {
  auto op = cast<TokenSlotsOp>(instr.op);
  int64_t tokens = frame.array(instr.in[0]).size();
  StepShape step(frame.array(instr.in[1]), frame.array(instr.in[2]),
                 frame.array(instr.in[3]));
  if (!step.valid(tokens))
    return frame.fail(instr, "offsets and context do not describe " +
                                 Twine(tokens) + " tokens");
  std::vector<double> slots;
  for (int64_t s = 0; s < step.sequences; ++s)
    for (int64_t t = step.begin(s); t < step.begin(s + 1); ++t) {
      int64_t position = step.position(s, t);
      slots.push_back(step.slot(s, position, op.getPageTokens()));
      if (slots.back() < 0)
        return frame.fail(instr, "sequence " + Twine(s) +
                                     " has no page for position " +
                                     Twine(position));
    }
  return deliver(frame, instr, 0, 1, {tokens}, std::move(slots));
}

static LogicalResult runKVAppend(Frame &frame, const Instr &instr) {
  const Array &outs = frame.array(instr.in[4]);
  Array cache = instr.out.empty() ? outs : outs.copy();
  int64_t layer = frame.integer(instr.in[3]);
  int64_t heads = cache.dim(3), pageTokens = cache.dim(4), width = cache.dim(5);
  std::vector<double> a, b, c;
  ArrayRef<double> rows[2] = {frame.array(instr.in[0]).dense(a),
                              frame.array(instr.in[1]).dense(b)};
  ArrayRef<double> slots = frame.array(instr.in[2]).dense(c);
  Rounder mode = frame.machine.modeRounder;
  Rounder storage = frame.machine.storage(instr.op->getOperand(4).getType());
  for (size_t t = 0; t < slots.size(); ++t) {
    auto slot = static_cast<int64_t>(slots[t]);
    for (int64_t plane = 0; plane < 2; ++plane)
      for (int64_t i = 0; i < heads * width; ++i) {
        int64_t index[6] = {layer,     slot / pageTokens, plane,
                            i / width, slot % pageTokens, i % width};
        if (slot < 0 || !cache.contains(index))
          return frame.fail(instr, "layer " + Twine(layer) + ", slot " +
                                       Twine(slot) + " is not in the cache");
        double value = rows[plane][t * heads * width + i];
        cache.store(cache.cellOf(index), storage(mode(value)));
      }
  }
  if (!instr.out.empty())
    frame.array(instr.out[0]) = cache;
  return success();
}

//===----------------------------------------------------------------------===//
// Attention.
//===----------------------------------------------------------------------===//

namespace {
enum Group {
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
  Outs
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

  LogicalResult sequence(int64_t s, MutableArrayRef<double> result) {
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
        row.run(&queries[at], width, &result[at]);
      }
    return success();
  }

  LogicalResult run() {
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
    // Rows of other sequences keep what the destination holds.
    std::vector<double> result(queries.size(), kPoison), storage;
    if (in.count(Outs))
      result = in.array(Outs).dense(storage).vec();
    for (int64_t s = first; s < end; ++s)
      if (failed(sequence(s, result)))
        return failure();
    return deliver(frame, in.instr, 0, 1, in.array(Q).shape(),
                   std::move(result));
  }
};
} // namespace

template <typename OpTy>
static LogicalResult runAttention(Frame &frame, const Instr &instr) {
  if (failed(checkNoOverlap(frame, instr, 1)))
    return failure();
  return PagedAttention<OpTy>(frame, instr).run();
}

void mlir::fdpp::addAttentionHandlers(HandlerMap &map) {
  map["fdpp.token_slots"] = {runTokenSlots};
  map["fdpp.kv_append"] = {runKVAppend};
  map["fdpp.attention"] = {runAttention<AttentionOp>};
  map["fdpp.prefill_attention"] = {runAttention<PrefillAttentionOp>};
  map["fdpp.decode_attention"] = {runAttention<DecodeAttentionOp>};
}
