// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Indexing.cpp - Rules of gather and scatter -------------------------===//
#include "Rules.h"

namespace mlir::fdpp::onnx::detail {

/// `index` counted from the front of an extent.
static FailureOr<int64_t> wrap(Evaluation &e, int64_t index, int64_t extent) {
  if (index < -extent || index >= extent)
    return e.fail("index " + Twine(index) + " is outside an extent of " +
                  Twine(extent));
  return index < 0 ? index + extent : index;
}

static LogicalResult gather(Evaluation &e) {
  const Tensor &data = e.in(0), &at = e.in(1);
  auto axis = e.axis(e.attr("axis", int64_t(0)), data.rank());
  if (failed(axis))
    return failure();
  int64_t inner = numElements(data.shape().drop_front(*axis + 1));
  int64_t outer = numElements(data.shape().take_front(*axis));
  int64_t extent = data.dim(*axis);
  std::vector<int64_t> indices;
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t n = 0; n < at.size(); ++n) {
      auto index = wrap(e, at.i()[n], extent);
      if (failed(index))
        return failure();
      for (int64_t i = 0; i < inner; ++i)
        indices.push_back((o * extent + *index) * inner + i);
    }
  Dims shape(data.shape().take_front(*axis));
  shape.append(at.shape().begin(), at.shape().end());
  shape.append(data.shape().begin() + *axis + 1, data.shape().end());
  return e.give(pick(data, indices, shape));
}

/// For each element of `at`, the data element that replaces its coordinate on
/// `axis` by the index.
static FailureOr<std::vector<int64_t>> elementIndices(Evaluation &e,
                                                      const Tensor &data,
                                                      const Tensor &at,
                                                      int64_t axis) {
  if (at.rank() != data.rank())
    return e.fail("indices and data differ in rank");
  auto from = stridesOf(at.shape()), to = stridesOf(data.shape());
  std::vector<int64_t> indices(at.size());
  for (int64_t n = 0; n < at.size(); ++n) {
    auto index = wrap(e, at.i()[n], data.dim(axis));
    if (failed(index))
      return failure();
    int64_t target = *index * to[axis];
    for (int64_t d = 0; d < at.rank(); ++d)
      if (d != axis)
        target += n / from[d] % at.dim(d) * to[d];
    indices[n] = target;
  }
  return indices;
}

static LogicalResult gatherElements(Evaluation &e) {
  auto axis = e.axis(e.attr("axis", int64_t(0)), e.in(0).rank());
  if (failed(axis))
    return failure();
  auto indices = elementIndices(e, e.in(0), e.in(1), *axis);
  if (failed(indices))
    return failure();
  return e.give(pick(e.in(0), *indices, e.in(1).shape()));
}

/// Writes one element, combined with the old one as `reduction` says.
static void store(Tensor &result, int64_t index, const Tensor &updates,
                  int64_t from, StringRef reduction) {
  double old = result.asDouble(index), next = updates.asDouble(from);
  if (reduction == "add")
    next += old;
  else if (reduction == "mul")
    next *= old;
  else if (reduction == "max")
    next = std::max(old, next);
  else if (reduction == "min")
    next = std::min(old, next);
  if (!result.isFloat() && reduction == "none")
    result.i()[index] = updates.i()[from];
  else
    result.set(index, next);
}

static StringRef reductionOf(Evaluation &e) {
  auto attr = e.op->getAttrOfType<StringAttr>("reduction");
  return attr ? attr.getValue() : "none";
}

static LogicalResult scatterElements(Evaluation &e) {
  Tensor result = e.in(0);
  auto axis = e.axis(e.attr("axis", int64_t(0)), result.rank());
  if (failed(axis))
    return failure();
  auto indices = elementIndices(e, result, e.in(1), *axis);
  if (failed(indices))
    return failure();
  for (auto [n, index] : llvm::enumerate(*indices))
    store(result, index, e.in(2), n, reductionOf(e));
  return e.give(std::move(result));
}

/// Offsets in `data` of the slices that index tuples name, after `batch`
/// leading dimensions shared with the indices; `width` becomes their size.
static FailureOr<std::vector<int64_t>>
sliceOffsets(Evaluation &e, const Tensor &data, const Tensor &at, int64_t batch,
             int64_t &width) {
  int64_t length = at.rank() ? at.dim(at.rank() - 1) : 0;
  if (length == 0 || batch + length > data.rank())
    return e.fail("index tuples do not fit the data's rank");
  auto strides = stridesOf(data.shape());
  width = numElements(data.shape().drop_front(batch + length));
  int64_t batches = numElements(data.shape().take_front(batch));
  int64_t tuples = at.size() / length, batchSize = data.size() / batches;
  std::vector<int64_t> offsets(tuples);
  for (int64_t n = 0; n < tuples; ++n) {
    int64_t offset = batch ? n / (tuples / batches) * batchSize : 0;
    for (int64_t d = 0; d < length; ++d) {
      auto index = wrap(e, at.i()[n * length + d], data.dim(batch + d));
      if (failed(index))
        return failure();
      offset += *index * strides[batch + d];
    }
    offsets[n] = offset;
  }
  return offsets;
}

static LogicalResult gatherND(Evaluation &e) {
  const Tensor &data = e.in(0), &at = e.in(1);
  int64_t batch = e.attr("batch_dims", int64_t(0)), width = 0;
  auto offsets = sliceOffsets(e, data, at, batch, width);
  if (failed(offsets))
    return failure();
  std::vector<int64_t> indices;
  for (int64_t offset : *offsets)
    for (int64_t i = 0; i < width; ++i)
      indices.push_back(offset + i);
  Dims shape(at.shape().drop_back());
  int64_t taken = batch + at.dim(at.rank() - 1);
  shape.append(data.shape().begin() + taken, data.shape().end());
  return e.give(pick(data, indices, shape));
}

static LogicalResult scatterND(Evaluation &e) {
  Tensor result = e.in(0);
  int64_t width = 0;
  auto offsets = sliceOffsets(e, result, e.in(1), 0, width);
  if (failed(offsets))
    return failure();
  for (auto [n, offset] : llvm::enumerate(*offsets))
    for (int64_t i = 0; i < width; ++i)
      store(result, offset + i, e.in(2), n * width + i, reductionOf(e));
  return e.give(std::move(result));
}

/// A cache with `update` written at a start index per batch.
static LogicalResult tensorScatter(Evaluation &e) {
  Tensor result = e.in(0);
  const Tensor &update = e.in(1);
  auto axis = e.axis(e.attr("axis", int64_t(-2)), result.rank());
  if (failed(axis))
    return failure();
  auto mode = e.op->getAttrOfType<StringAttr>("mode");
  bool circular = mode && mode.getValue() == "circular";
  auto from = stridesOf(update.shape()), to = stridesOf(result.shape());
  for (int64_t n = 0; n < update.size(); ++n) {
    int64_t target = 0;
    for (int64_t d = 0; d < update.rank(); ++d) {
      int64_t at = n / from[d] % update.dim(d);
      if (d == *axis && e.has(2))
        at += e.in(2).asInt(n / from[0]);
      if (d == *axis && circular)
        at %= result.dim(d);
      if (at >= result.dim(d))
        return e.fail("writes behind the end of the cache");
      target += at * to[d];
    }
    result.set(target, update.asDouble(n));
  }
  return e.give(std::move(result));
}

void addIndexingRules(RuleTable &table) {
  add(table, {"Gather"}, gather);
  add(table, {"GatherElements"}, gatherElements);
  add(table, {"GatherND"}, gatherND);
  add(table, {"ScatterElements"}, scatterElements);
  add(table, {"ScatterND"}, scatterND);
  add(table, {"TensorScatter"}, tensorScatter);
}

} // namespace mlir::fdpp::onnx::detail
