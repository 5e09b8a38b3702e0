// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- MaskedAttention.cpp - Attention before a graph is raised -----------===//
#include "Machine.h"

using namespace mlir;
using namespace mlir::fdpp;

namespace {
enum Group { Q, K, V, Past, Padding };

struct MaskedAttention {
  Operands<MaskedAttentionOp> in;
  Frame &frame;
  int64_t batch, queries, heads, queryHeads, width, past, total;

  MaskedAttention(Frame &frame, const Instr &instr)
      : in(frame, instr), frame(frame), batch(in.array(Q).dim(0)),
        queries(in.array(Q).dim(1)), heads(in.op.getKvHeads()),
        queryHeads(in.array(Q).dim(2) / in.op.getHeadDim()),
        width(in.op.getHeadDim()),
        past(in.count(Past) ? in.array(Past).dim(2) : 0),
        total(past + queries) {}

  /// [B, Hkv, total, D]: the past, then the rows of group `fresh`.
  std::vector<double> append(unsigned fresh, unsigned plane) {
    std::vector<double> storage[2], result(batch * heads * total * width);
    ArrayRef<double> rows = in.array(fresh).dense(storage[0]), old;
    if (in.count(Past))
      old = in.array(Past, plane).dense(storage[1]);
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t i = 0; i < total * width; ++i) {
          int64_t j = i / width - past, d = i % width;
          result[(b * heads + h) * total * width + i] =
              j < 0 ? old[(b * heads + h) * past * width + i]
                    : frame.machine.modeRounder(
                          rows[((b * queries + j) * heads + h) * width + d]);
        }
    return result;
  }

  bool visible(int64_t b, int64_t query, int64_t key,
               ArrayRef<double> padding) {
    MaskAttr mask = in.op.getMask();
    if (mask.getCausal() && key > query)
      return false;
    if (mask.getWindow() > 0 && key <= query - mask.getWindow())
      return false;
    return padding.empty() || padding[b * total + key] != 0;
  }

  LogicalResult run() {
    std::vector<double> keys = append(K, 0), values = append(V, 1);
    std::vector<double> storage[3], result(in.array(Q).size());
    ArrayRef<double> padding,
        q = rounded(frame.machine.modeRounder, in.array(Q).dense(storage[0]),
                    storage[1]);
    if (in.count(Padding))
      padding = in.array(Padding).dense(storage[2]);
    if (!padding.empty() &&
        in.array(Padding).shape() != ArrayRef<int64_t>({batch, total}))
      return frame.fail(in.instr, "the attention mask does not cover " +
                                      Twine(total) + " keys");
    AttentionRow row;
    row.scale = toDouble(in.op.getScaleAttr());
    row.softcap = toDouble(in.op.getSoftcapAttr());
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t i = 0; i < queries; ++i)
        for (int64_t h = 0; h < queryHeads; ++h) {
          row.keys.clear();
          row.values.clear();
          int64_t kv = (b * heads + h / (queryHeads / heads)) * total;
          for (int64_t key = 0; key < total; ++key)
            if (visible(b, past + i, key, padding)) {
              row.keys.push_back(&keys[(kv + key) * width]);
              row.values.push_back(&values[(kv + key) * width]);
            }
          int64_t at = ((b * queries + i) * queryHeads + h) * width;
          row.run(&q[at], width, &result[at]);
        }
    return give(std::move(result), std::move(keys), std::move(values));
  }

  LogicalResult give(std::vector<double> output, std::vector<double> keys,
                     std::vector<double> values) {
    ArrayRef<Slot> out = in.instr.out;
    Rounder round = frame.machine.storage(in.op.getOutput().getType());
    for (double &value : output)
      value = round(value);
    frame.array(out[0]) = Array::of(in.array(Q).shape(), std::move(output));
    if (out.size() == 1)
      return success();
    int64_t shape[] = {batch, heads, total, width};
    frame.array(out[1]) = Array::of(shape, std::move(keys));
    frame.array(out[2]) = Array::of(shape, std::move(values));
    return success();
  }
};
} // namespace

static LogicalResult runSlotPositions(Frame &frame, const Instr &instr) {
  ArrayRef<int64_t> shape = frame.array(instr.in[0]).shape();
  int64_t past = instr.in.size() > 1 ? frame.array(instr.in[1]).dim(2) : 0;
  std::vector<double> positions;
  for (int64_t b = 0; b < shape[0]; ++b)
    for (int64_t i = 0; i < shape[1]; ++i)
      positions.push_back(past + i);
  frame.array(instr.out[0]) = Array::of(shape, std::move(positions));
  return success();
}

void mlir::fdpp::addMaskedAttentionHandlers(HandlerMap &map) {
  map["fdpp.slot_positions"] = {runSlotPositions};
  map["fdpp.masked_attention"] = {[](Frame &frame, const Instr &instr) {
    return MaskedAttention(frame, instr).run();
  }};
}
