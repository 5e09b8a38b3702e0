// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- AsyncAttention.cpp - The pair of the asynchronous softmax ----------===//
//
// docs/numerics.md states the rule that is followed here, word for word.
//
//===----------------------------------------------------------------------===//
#include "PagedAttention.h"

#include <cmath>

using namespace mlir;
using namespace mlir::fdpp;

static constexpr double kInfinity = std::numeric_limits<double>::infinity();
static constexpr double kLargestFloat = std::numeric_limits<float>::max();

/// What a number of this size is in fp32, but for its rounding.
static double inFloatRange(double value) {
  return std::fabs(value) > kLargestFloat ? std::copysign(kInfinity, value)
                                          : value;
}

namespace {
/// One kind of weights: their format, and the rule that goes with it.
struct AsyncWeights {
  Rounder round;
  double least;
  AsyncRule rule;

  AsyncWeights(Machine &machine, Type format)
      : least(format.isF16() ? 1 : 0x1p-84), rule(machine.options.asyncRule) {
    // In exact mode fp32 is a real number with a range.
    if (!format.isF32() || !machine.exact())
      round = Rounder::to(format);
    if (rule == AsyncRule::FixedThreshold)
      least = 0x1p-84;
  }

  static double unrounded(double y) {
    // As kernels do, to nothing where the number would be subnormal in fp32.
    return y < -87 ? 0 : inFloatRange(std::exp(y));
  }

  /// The row's result, and whether it is valid.
  bool run(const AttentionRow &row, double phi, const double *q, int64_t width,
           double *out) const {
    std::vector<double> logits = row.logits(q, width);
    std::vector<double> numerators(width, 0.0);
    double denominator = 0;
    for (auto [x, value] : llvm::zip(logits, row.values)) {
      double exact = unrounded(x - phi), p = round(exact);
      denominator += rule == AsyncRule::UnroundedSum ? exact : p;
      for (int64_t d = 0; d < width; ++d)
        numerators[d] += p * value[d];
    }
    denominator = inFloatRange(denominator);
    bool valid = denominator >= least && denominator < kInfinity;
    for (int64_t d = 0; d < width; ++d) {
      double numerator = inFloatRange(numerators[d]);
      valid &= rule == AsyncRule::NoNumerators || std::isfinite(numerator);
      out[d] = numerator / denominator;
    }
    return valid;
  }
};
} // namespace

template <typename OpTy>
static LogicalResult runAsync(Frame &frame, const Instr &instr) {
  if (failed(checkNoOverlap(frame, instr, 2)))
    return failure();
  PagedAttention<OpTy> attention(frame, instr);
  AsyncWeights weights(frame.machine, attention.in.op.getPType());
  std::vector<double> result = attention.kept(0), invalid = attention.kept(1);
  std::vector<double> storage;
  ArrayRef<double> phi = attention.in.array(Extra).dense(storage);
  int64_t width = attention.width;
  auto run = [&](const AttentionRow &row, int64_t head, const double *q,
                 int64_t at) {
    int64_t of = attention.layer * attention.queryHeads + head;
    bool valid = true;
    if (std::isnan(phi[of]) || row.keys.empty())
      row.run(q, width, &result[at]);
    else
      valid = weights.run(row, phi[of], q, width, &result[at]);
    invalid[at / width] = !valid;
  };
  if (failed(attention.forEachRow(run)) ||
      failed(deliver(frame, instr, 0, 2, attention.shape(), std::move(result))))
    return failure();
  return deliver(frame, instr, 1, 2,
                 {attention.shape()[0], attention.queryHeads},
                 std::move(invalid));
}

static LogicalResult runRecompute(Frame &frame, const Instr &instr) {
  if (failed(checkNoOverlap(frame, instr, 1)))
    return failure();
  PagedAttention<RecomputeRowsOp> attention(frame, instr);
  std::vector<double> result = attention.kept(0), storage;
  ArrayRef<double> invalid = attention.in.array(Extra).dense(storage);
  const auto &onRecompute = frame.machine.options.onRecompute;
  auto run = [&](const AttentionRow &row, int64_t head, const double *q,
                 int64_t at) {
    if (invalid[at / attention.width] == 0)
      return;
    row.run(q, attention.width, &result[at]);
    if (onRecompute)
      onRecompute(attention.layer, head);
  };
  if (failed(attention.forEachRow(run)))
    return failure();
  return deliver(frame, instr, 0, 1, attention.shape(), std::move(result));
}

void mlir::fdpp::addAsyncAttentionHandlers(HandlerMap &map) {
  map["fdpp.async_softmax_decode_attention"] = {
      runAsync<AsyncSoftmaxDecodeAttentionOp>};
  map["fdpp.async_softmax_prefill_attention"] = {
      runAsync<AsyncSoftmaxPrefillAttentionOp>};
  map["fdpp.recompute_rows"] = {runRecompute};
}
