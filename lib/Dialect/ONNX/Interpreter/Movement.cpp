// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Movement.cpp - Rules of ops that move whole tensors ----------------===//
#include "Rules.h"

#include <cmath>
#include <numeric>

namespace mlir::fdpp::onnx::detail {

Tensor pick(const Tensor &data, ArrayRef<int64_t> indices,
            ArrayRef<int64_t> shape) {
  Tensor result(data.kind(), shape);
  if (data.isFloat()) {
    auto out = result.f();
    auto in = data.f();
    for (auto [n, index] : llvm::enumerate(indices))
      out[n] = in[index];
  } else {
    auto out = result.i();
    auto in = data.i();
    for (auto [n, index] : llvm::enumerate(indices))
      out[n] = in[index];
  }
  return result;
}

/// Row-major walk over `shape` with the given strides from `start`.
static std::vector<int64_t> walk(ArrayRef<int64_t> shape,
                                 ArrayRef<int64_t> strides, int64_t start) {
  std::vector<int64_t> indices(numElements(shape));
  Dims at(shape.size(), 0);
  int64_t index = start;
  for (int64_t &slot : indices) {
    slot = index;
    for (int64_t d = int64_t(shape.size()) - 1; d >= 0; --d) {
      index += strides[d];
      if (++at[d] < shape[d])
        break;
      index -= strides[d] * shape[d];
      at[d] = 0;
    }
  }
  return indices;
}

/// Block by block, so that both sides stay in the cache.
static Tensor transposed(const Tensor &data) {
  int64_t rows = data.dim(0), columns = data.dim(1), block = 16;
  Tensor result(TensorKind::Float, {columns, rows});
  ArrayRef<double> in = data.f();
  MutableArrayRef<double> out = result.f();
  for (int64_t r = 0; r < rows; r += block)
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t i = r; i < std::min(r + block, rows); ++i)
        out[c * rows + i] = in[i * columns + c];
  return result;
}

Tensor permuted(const Tensor &data, ArrayRef<int64_t> perm) {
  if (data.isFloat() && perm == ArrayRef<int64_t>({1, 0}))
    return transposed(data);
  auto strides = stridesOf(data.shape());
  Dims shape, steps;
  for (int64_t from : perm) {
    shape.push_back(data.dim(from));
    steps.push_back(strides[from]);
  }
  return pick(data, walk(shape, steps, 0), shape);
}

Tensor concatenated(ArrayRef<Tensor> parts, int64_t axis) {
  Dims shape(parts[0].shape());
  shape[axis] = 0;
  for (const Tensor &part : parts)
    shape[axis] += part.dim(axis);
  Tensor result(parts[0].kind(), shape);
  int64_t inner = numElements(ArrayRef(shape).drop_front(axis + 1));
  int64_t outer = numElements(ArrayRef(shape).take_front(axis));
  int64_t row = shape[axis] * inner, offset = 0;
  for (const Tensor &part : parts) {
    int64_t width = part.dim(axis) * inner;
    for (int64_t o = 0; o < outer; ++o) {
      if (result.isFloat())
        llvm::copy(part.f().slice(o * width, width),
                   result.f().begin() + o * row + offset);
      else
        llvm::copy(part.i().slice(o * width, width),
                   result.i().begin() + o * row + offset);
    }
    offset += width;
  }
  return result;
}

static LogicalResult transpose(Evaluation &e) {
  Dims perm(e.in(0).rank());
  std::iota(perm.rbegin(), perm.rend(), 0);
  if (auto attr = e.op->getAttrOfType<DenseI64ArrayAttr>("perm"))
    perm.assign(attr.asArrayRef().begin(), attr.asArrayRef().end());
  Dims sorted = perm;
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(e.in(0).rank())))
    return e.fail("perm is no permutation of the dimensions");
  return e.give(permuted(e.in(0), perm));
}

static LogicalResult concat(Evaluation &e) {
  ArrayRef<Tensor> parts = e.group(0);
  auto axis = e.axis(e.attr("axis", int64_t(0)), parts[0].rank());
  if (failed(axis))
    return failure();
  for (const Tensor &part : parts) {
    if (part.rank() != parts[0].rank())
      return e.fail("inputs differ in rank");
    for (int64_t d = 0; d < part.rank(); ++d)
      if (d != *axis && part.dim(d) != parts[0].dim(d))
        return e.fail("inputs differ in extent " + Twine(d));
  }
  return e.give(concatenated(parts, *axis));
}

/// The part of `data` from `start` on along `axis`.
static Tensor part(const Tensor &data, int64_t axis, int64_t start,
                   int64_t extent) {
  auto strides = stridesOf(data.shape());
  Dims shape(data.shape());
  shape[axis] = extent;
  return pick(data, walk(shape, strides, start * strides[axis]), shape);
}

static LogicalResult split(Evaluation &e) {
  const Tensor &data = e.in(0);
  auto axis = e.axis(e.attr("axis", int64_t(0)), data.rank());
  if (failed(axis))
    return failure();
  int64_t parts = e.op->getNumResults(), extent = data.dim(*axis);
  int64_t chunk = (extent + parts - 1) / parts, start = 0;
  for (int64_t i = 0; i < parts; ++i) {
    int64_t width = e.has(1)
                        ? e.in(1).asInt(i)
                        : std::max<int64_t>(0, std::min(chunk, extent - start));
    if (width < 0 || start + width > extent)
      return e.fail("sizes exceed the extent");
    e.results[i] = part(data, *axis, start, width);
    start += width;
  }
  return start == extent ? success() : e.fail("sizes do not cover the extent");
}

static LogicalResult slice(Evaluation &e) {
  const Tensor &data = e.in(0);
  auto strides = stridesOf(data.shape());
  Dims shape(data.shape()), steps(strides);
  int64_t origin = 0;
  for (int64_t i = 0; i < e.in(1).size(); ++i) {
    auto axis = e.axis(e.has(3) ? e.in(3).asInt(i) : i, data.rank());
    if (failed(axis))
      return failure();
    int64_t extent = data.dim(*axis), step = e.has(4) ? e.in(4).asInt(i) : 1;
    if (step == 0)
      return e.fail("has step 0");
    auto clamp = [&](int64_t at, int64_t low, int64_t high) {
      at = at < 0 ? at + extent : at;
      return std::min(std::max(at, low), high);
    };
    int64_t down = step < 0; // a backward slice starts at most at the last
    int64_t from = clamp(e.in(1).asInt(i), 0, extent - down);
    int64_t to = clamp(e.in(2).asInt(i), -down, extent - down);
    // INT64_MIN as end of a backward slice means 'through the first'.
    if (down && e.in(2).asInt(i) < -extent)
      to = -1;
    int64_t count =
        down ? (from - to - step - 1) / -step : (to - from + step - 1) / step;
    shape[*axis] = std::max<int64_t>(0, count);
    origin += from * strides[*axis];
    steps[*axis] = step * strides[*axis];
  }
  return e.give(pick(data, walk(shape, steps, origin), shape));
}

static LogicalResult reshape(Evaluation &e) {
  const Tensor &data = e.in(0);
  Dims shape;
  int64_t known = 1, hole = -1;
  for (int64_t d = 0; d < e.in(1).size(); ++d) {
    int64_t extent = e.in(1).asInt(d);
    if (extent == 0 && !e.attr("allowzero", int64_t(0))) {
      if (d >= data.rank())
        return e.fail("copies an extent that the input does not have");
      extent = data.dim(d);
    }
    if (extent == -1)
      hole = d;
    else
      known *= extent;
    shape.push_back(extent);
  }
  if (hole >= 0)
    shape[hole] = known > 0 ? data.size() / known : 0;
  if (numElements(shape) != data.size())
    return e.fail("cannot reshape " + Twine(data.size()) + " elements");
  return e.give(data.reshaped(shape));
}

static LogicalResult flatten(Evaluation &e) {
  const Tensor &data = e.in(0);
  int64_t axis = e.attr("axis", int64_t(1));
  axis = axis < 0 ? axis + data.rank() : axis;
  int64_t rows = numElements(data.shape().take_front(axis));
  return e.give(data.reshaped({rows, rows ? data.size() / rows : 0}));
}

static LogicalResult unsqueeze(Evaluation &e) {
  int64_t rank = e.in(0).rank() + e.in(1).size();
  SmallVector<bool> fresh(rank, false);
  for (int64_t i = 0; i < e.in(1).size(); ++i) {
    auto axis = e.axis(e.in(1).asInt(i), rank);
    if (failed(axis))
      return failure();
    fresh[*axis] = true;
  }
  Dims shape;
  int64_t from = 0;
  for (bool isNew : fresh)
    shape.push_back(isNew ? 1 : e.in(0).dim(from++));
  return e.give(e.in(0).reshaped(shape));
}

static LogicalResult squeeze(Evaluation &e) {
  const Tensor &data = e.in(0);
  SmallVector<bool> gone(data.rank(), false);
  for (int64_t d = 0; !e.has(1) && d < data.rank(); ++d)
    gone[d] = data.dim(d) == 1;
  for (int64_t i = 0; e.has(1) && i < e.in(1).size(); ++i) {
    auto axis = e.axis(e.in(1).asInt(i), data.rank());
    if (failed(axis))
      return failure();
    if (data.dim(*axis) != 1)
      return e.fail("squeezed extent is not 1");
    gone[*axis] = true;
  }
  Dims shape;
  for (int64_t d = 0; d < data.rank(); ++d)
    if (!gone[d])
      shape.push_back(data.dim(d));
  return e.give(data.reshaped(shape));
}

static LogicalResult shapeOf(Evaluation &e) {
  int64_t rank = e.in(0).rank();
  auto clamp = [&](int64_t at) {
    return std::min(std::max<int64_t>(at < 0 ? at + rank : at, 0), rank);
  };
  int64_t from = clamp(e.attr("start", int64_t(0)));
  int64_t to = std::max(from, clamp(e.attr("end", rank)));
  ArrayRef<int64_t> dims = e.in(0).shape().slice(from, to - from);
  return e.give(Tensor::ints({to - from}, dims.vec()));
}

static LogicalResult sizeOf(Evaluation &e) {
  return e.give(Tensor::scalarInt(e.in(0).size()));
}

static LogicalResult range(Evaluation &e) {
  const Tensor &start = e.in(0), &limit = e.in(1), &delta = e.in(2);
  if (start.size() != 1 || limit.size() != 1 || delta.size() != 1 ||
      delta.asDouble(0) == 0)
    return e.fail("needs scalars and a delta that is not 0");
  double count =
      std::ceil((limit.asDouble(0) - start.asDouble(0)) / delta.asDouble(0));
  if (!(count < 1e9))
    return e.fail("is too long");
  Tensor result(start.kind(), {count > 0 ? int64_t(count) : 0});
  for (int64_t n = 0; n < result.size(); ++n) {
    if (result.isFloat())
      result.f()[n] = start.asDouble(0) + n * delta.asDouble(0);
    else
      result.i()[n] = start.asInt(0) + n * delta.asInt(0);
  }
  return e.give(std::move(result));
}

static LogicalResult expand(Evaluation &e) {
  Dims shape, wanted(e.in(1).i());
  if (!broadcastShapes(e.in(0).shape(), wanted, shape))
    return e.fail("does not broadcast to the shape");
  return e.give(pick(e.in(0), broadcastIndices(e.in(0).shape(), shape), shape));
}

static LogicalResult tile(Evaluation &e) {
  Tensor result = e.in(0);
  if (e.in(1).size() != result.rank())
    return e.fail("repeats do not fit the rank");
  for (int64_t d = 0; d < result.rank(); ++d) {
    int64_t repeats = e.in(1).asInt(d);
    if (repeats < 0)
      return e.fail("repeats are negative");
    if (repeats == 0) {
      Dims shape(result.shape());
      shape[d] = 0;
      result = Tensor(result.kind(), shape);
    } else {
      result = concatenated(SmallVector<Tensor>(repeats, result), d);
    }
  }
  return e.give(std::move(result));
}

static LogicalResult constantOfShape(Evaluation &e) {
  Tensor value = Tensor::scalar(0);
  if (auto attr = e.op->getAttrOfType<DenseElementsAttr>("value"))
    value = tensorFrom(attr);
  if (value.isAbsent() || value.size() != 1)
    return e.fail("has a value that is not one element");
  Dims shape(e.in(0).i());
  if (llvm::any_of(shape, [](int64_t extent) { return extent < 0; }))
    return e.fail("has a negative extent");
  std::vector<int64_t> zeros(numElements(shape), 0);
  return e.give(pick(value, zeros, shape));
}

/// Keeps one triangle of the last two dimensions, zero elsewhere.
static LogicalResult trilu(Evaluation &e) {
  Tensor result = e.in(0);
  if (result.rank() < 2)
    return e.fail("needs a matrix");
  bool upper = e.attr("upper", int64_t(1));
  int64_t k = e.has(1) ? e.in(1).asInt(0) : 0;
  int64_t columns = result.dim(result.rank() - 1);
  int64_t rows = result.dim(result.rank() - 2);
  for (int64_t n = 0; n < result.size(); ++n) {
    int64_t row = n / columns % rows, column = n % columns;
    if (upper ? column - row < k : column - row > k)
      result.set(n, 0);
  }
  return e.give(std::move(result));
}

void addMovementRules(RuleTable &table) {
  add(table, {"Transpose"}, transpose);
  add(table, {"Concat"}, concat);
  add(table, {"Split"}, split);
  add(table, {"Slice"}, slice);
  add(table, {"Reshape"}, reshape);
  add(table, {"Flatten"}, flatten);
  add(table, {"Unsqueeze"}, unsqueeze);
  add(table, {"Squeeze"}, squeeze);
  add(table, {"Shape"}, shapeOf);
  add(table, {"Size"}, sizeOf);
  add(table, {"Range"}, range);
  add(table, {"Expand"}, expand);
  add(table, {"Tile"}, tile);
  add(table, {"ConstantOfShape"}, constantOfShape);
  add(table, {"Trilu"}, trilu);
}

} // namespace mlir::fdpp::onnx::detail
