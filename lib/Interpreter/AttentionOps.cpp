// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- AttentionOps.cpp - The paged cache and attention over it -----------===//
#include "PagedAttention.h"

#include <cmath>

using namespace mlir;
using namespace mlir::fdpp;

std::vector<double> AttentionRow::logits(const double *q, int64_t width) const {
  std::vector<double> scores;
  for (const double *key : keys) {
    double score = 0;
    for (int64_t d = 0; d < width; ++d)
      score += q[d] * key[d];
    score *= scale;
    if (softcap > 0)
      score = softcap * std::tanh(score / softcap);
    scores.push_back(score);
  }
  return scores;
}

void AttentionRow::run(const double *q, int64_t width, double *out) const {
  std::fill(out, out + width, 0.0);
  std::vector<double> scores = logits(q, width);
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  for (double score : scores)
    top = std::max(top, score);
  for (double &score : scores)
    sum += score = std::exp(score - top);
  for (auto [score, value] : llvm::zip(scores, values))
    for (int64_t d = 0; d < width; ++d)
      out[d] += score / sum * value[d];
}

//===----------------------------------------------------------------------===//
// Places in the cache.
//===----------------------------------------------------------------------===//

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

template <typename OpTy>
static LogicalResult runAttention(Frame &frame, const Instr &instr) {
  if (failed(checkNoOverlap(frame, instr, 1)))
    return failure();
  PagedAttention<OpTy> attention(frame, instr);
  std::vector<double> result = attention.kept(0);
  int64_t width = attention.width;
  auto row = [&](const AttentionRow &keys, int64_t, const double *q,
                 int64_t at) { keys.run(q, width, &result[at]); };
  if (failed(attention.forEachRow(row)))
    return failure();
  return deliver(frame, instr, 0, 1, attention.shape(), std::move(result));
}

void mlir::fdpp::addAttentionHandlers(HandlerMap &map) {
  map["fdpp.token_slots"] = {runTokenSlots};
  map["fdpp.kv_append"] = {runKVAppend};
  map["fdpp.attention"] = {runAttention<AttentionOp>};
  map["fdpp.prefill_attention"] = {runAttention<PrefillAttentionOp>};
  map["fdpp.decode_attention"] = {runAttention<DecodeAttentionOp>};
  addAsyncAttentionHandlers(map);
}
