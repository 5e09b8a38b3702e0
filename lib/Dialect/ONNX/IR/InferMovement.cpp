// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- InferMovement.cpp - Shapes of ops that move elements ---------------===//
#include "InferShapes.h"

#include "fdpp/Interpreter/Tensor.h"

#include "llvm/Support/MathExtras.h"

#include <cmath>

namespace mlir::fdpp::onnx::detail {

/// `axis` counted from the front; nullopt if outside [-rank, rank).
static std::optional<int64_t> normalise(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    return std::nullopt;
  return axis < 0 ? axis + rank : axis;
}

static Dims dynamicDims(int64_t rank) { return Dims(rank, kDynamic); }

/// What is known of the elements of a 1-D (or scalar) integer tensor, as far
/// as the few ops that exporters build shapes with tell: kDynamic where not.
static std::optional<Dims> knownInts(Value value, int depth = 0) {
  if (!value || depth > 16)
    return std::nullopt;
  if (auto constant = constantInts(value))
    return Dims(*constant);
  auto type = dyn_cast<RankedTensorType>(value.getType());
  auto op = value.getDefiningOp<Operator>();
  auto unknown = [&]() -> std::optional<Dims> {
    if (type && type.getRank() == 1 && !type.isDynamicDim(0) &&
        type.getDimSize(0) <= 64)
      return dynamicDims(type.getDimSize(0));
    return std::nullopt;
  };
  if (!op)
    return unknown();
  llvm::StringRef name = op.getSchema().name;
  if (name == "Shape" && intAttr(op, "start", 0) == 0 && !op->getAttr("end")) {
    if (auto in = dyn_cast<RankedTensorType>(op.inputAt(0).getType()))
      return Dims(in.getShape());
    return unknown();
  }
  if (name == "Unsqueeze" || name == "Squeeze" || name == "Cast" ||
      name == "Identity")
    if (auto inner = knownInts(op.inputAt(0), depth + 1))
      return inner;
  if (name == "Concat") {
    Dims all;
    for (Value part : op.inputGroup(0)) {
      auto inner = knownInts(part, depth + 1);
      if (!inner)
        return unknown();
      all.append(*inner);
    }
    return all;
  }
  if (name == "Gather") {
    auto data = knownInts(op.inputAt(0), depth + 1);
    auto index = constantInts(op.inputAt(1));
    if (data && index && index->size() == 1)
      if (auto at = normalise(index->front(), data->size()))
        return Dims{(*data)[*at]};
  }
  if (type && type.getRank() == 0)
    return dynamicDims(1);
  return unknown();
}

LogicalResult concatShape(ShapeRule &rule) {
  Shape result;
  for (Value operand : rule.op.inputGroup(0)) {
    auto type = dyn_cast<RankedTensorType>(operand.getType());
    if (!type)
      return success();
    if (!result) {
      result = Dims(type.getShape());
      continue;
    }
    if (int64_t(result->size()) != type.getRank())
      return rule.fail("inputs differ in rank");
    auto axis = normalise(rule.attr("axis", 0), type.getRank());
    if (!axis)
      return rule.fail("axis is out of range");
    for (int64_t d = 0; d < type.getRank(); ++d) {
      int64_t &mine = (*result)[d], extent = type.getDimSize(d);
      if (d == *axis)
        mine =
            mine == kDynamic || extent == kDynamic ? kDynamic : mine + extent;
      else if (mine == kDynamic)
        mine = extent;
      else if (extent != kDynamic && extent != mine)
        return rule.fail("inputs differ in extent " + llvm::Twine(d));
    }
  }
  rule.results[0] = result;
  return success();
}

LogicalResult splitShape(ShapeRule &rule) {
  Shape in = rule.input(0);
  if (!in)
    return success();
  auto axis = normalise(rule.attr("axis", 0), in->size());
  if (!axis)
    return rule.fail("axis is out of range");
  int64_t parts = rule.op->getNumResults(), extent = (*in)[*axis];
  auto sizes = constantInts(rule.op.inputAt(1));
  if (sizes && (int64_t(sizes->size()) != parts ||
                llvm::any_of(*sizes, [](int64_t size) { return size < 0; })))
    return rule.fail("split sizes do not fit the outputs");
  for (int64_t i = 0; i < parts; ++i) {
    Dims part = *in;
    if (sizes)
      part[*axis] = (*sizes)[i];
    else if (rule.op.inputAt(1) || extent == kDynamic)
      part[*axis] = kDynamic;
    else {
      int64_t chunk = (extent + parts - 1) / parts;
      part[*axis] = std::min(chunk, std::max<int64_t>(extent - i * chunk, 0));
    }
    rule.results[i] = part;
  }
  return success();
}

/// The extent of a slice of `extent` elements, all values known.
static int64_t sliceExtent(int64_t extent, int64_t start, int64_t end,
                           int64_t step) {
  auto clamp = [&](int64_t at, int64_t low, int64_t high) {
    at = at < 0 ? at + extent : at;
    return std::min(std::max(at, low), high);
  };
  if (step > 0) {
    start = clamp(start, 0, extent);
    end = clamp(end, 0, extent);
    return end > start ? (end - start - 1) / step + 1 : 0;
  }
  start = clamp(start, 0, extent - 1);
  end = end < -extent ? -1 : clamp(end, -1, extent - 1);
  return start > end ? -((start - end - 1) / step) + 1 : 0;
}

LogicalResult sliceShape(ShapeRule &rule) {
  Shape in = rule.input(0);
  if (!in)
    return success();
  auto starts = constantInts(rule.op.inputAt(1));
  auto ends = constantInts(rule.op.inputAt(2));
  auto axes = constantInts(rule.op.inputAt(3));
  auto steps = constantInts(rule.op.inputAt(4));
  if (rule.op.inputAt(3) && !axes) {
    rule.results[0] = dynamicDims(in->size());
    return success();
  }
  auto count = knownInts(rule.op.inputAt(1));
  // The first list tells how many there are.
  std::optional<size_t> length;
  for (const auto &list : {starts, ends, axes, steps})
    if (list && list->size() != length.value_or(list->size()))
      return rule.fail("starts, ends, axes and steps differ in number");
    else if (list)
      length = list->size();
  int64_t n = length ? *length : count ? count->size() : in->size();
  Dims result = *in;
  for (int64_t i = 0; i < n; ++i) {
    auto axis = normalise(axes ? (*axes)[i] : i, in->size());
    if (!axis)
      return rule.fail("axis is out of range");
    bool stepKnown = steps || !rule.op.inputAt(4);
    int64_t step = steps ? (*steps)[i] : 1;
    if (step == 0)
      return rule.fail("step is 0");
    bool known = starts && ends && stepKnown && (*in)[*axis] != kDynamic;
    result[*axis] =
        known ? sliceExtent((*in)[*axis], (*starts)[i], (*ends)[i], step)
              : kDynamic;
  }
  rule.results[0] = result;
  return success();
}

LogicalResult gatherShape(ShapeRule &rule) {
  Shape data = rule.input(0), indices = rule.input(1);
  if (!data || !indices)
    return success();
  auto axis = normalise(rule.attr("axis", 0), data->size());
  if (!axis)
    return rule.fail("axis is out of range");
  Dims result(data->begin(), data->begin() + *axis);
  result.append(*indices);
  result.append(data->begin() + *axis + 1, data->end());
  rule.results[0] = result;
  return success();
}

LogicalResult gatherElementsShape(ShapeRule &rule) {
  rule.results[0] = rule.input(1);
  return success();
}

LogicalResult gatherNDShape(ShapeRule &rule) {
  Shape data = rule.input(0), indices = rule.input(1);
  if (!data || !indices || indices->empty() || indices->back() == kDynamic)
    return success();
  int64_t rank = data->size(), lead = rule.attr("batch_dims", 0);
  if (lead < 0 || lead > rank || indices->back() > rank - lead)
    return rule.fail("indices are longer than the data's rank");
  int64_t from = lead + indices->back();
  Dims result(indices->begin(), indices->end() - 1);
  result.append(data->begin() + from, data->end());
  rule.results[0] = result;
  return success();
}

LogicalResult reshapeShape(ShapeRule &rule) {
  auto wanted = knownInts(rule.op.inputAt(1));
  if (!wanted)
    return success();
  Shape in = rule.input(0);
  int64_t known = 1, hole = -1;
  bool allKnown = true;
  for (auto [d, extent] : llvm::enumerate(*wanted)) {
    if (extent == 0 && !rule.attr("allowzero", 0))
      extent = in && d < in->size() ? (*in)[d] : kDynamic;
    if (extent == -1) {
      if (hole >= 0)
        return rule.fail("shape has more than one -1");
      hole = d;
      extent = kDynamic;
    } else if (extent == kDynamic) {
      allKnown = false;
    } else if (extent < 0) {
      return rule.fail("shape has the negative extent " + llvm::Twine(extent));
    } else if (llvm::MulOverflow(known, extent, known)) {
      return rule.fail("shape asks for too many elements");
    }
  }
  bool inStatic = in && !llvm::is_contained(*in, kDynamic);
  if (inStatic && allKnown) {
    int64_t total = 1;
    for (int64_t extent : *in)
      total *= extent;
    if (hole >= 0 && known > 0 && total % known == 0)
      (*wanted)[hole] = total / known;
    else if (hole >= 0 || known != total)
      return rule.fail("cannot reshape " + llvm::Twine(total) +
                       " elements to the shape asked for");
  }
  rule.results[0] = *wanted;
  return success();
}

LogicalResult transposeShape(ShapeRule &rule) {
  Shape in = rule.input(0);
  if (!in)
    return success();
  Dims result(in->rbegin(), in->rend());
  if (auto perm = rule.op->getAttrOfType<DenseI64ArrayAttr>("perm")) {
    if (perm.size() != int64_t(in->size()))
      return rule.fail("perm does not fit the rank");
    llvm::SmallVector<bool> seen(in->size(), false);
    for (auto [d, from] : llvm::enumerate(perm.asArrayRef())) {
      if (from < 0 || from >= perm.size() || seen[from])
        return rule.fail("perm is not a permutation");
      seen[from] = true;
      result[d] = (*in)[from];
    }
  }
  rule.results[0] = result;
  return success();
}

LogicalResult unsqueezeShape(ShapeRule &rule) {
  Shape in = rule.input(0);
  auto axes = constantInts(rule.op.inputAt(1));
  if (!in || !axes)
    return success();
  int64_t rank = in->size() + axes->size();
  llvm::SmallVector<bool> isNew(rank, false);
  for (int64_t axis : *axes) {
    auto at = normalise(axis, rank);
    if (!at || isNew[*at])
      return rule.fail("axes are out of range or repeated");
    isNew[*at] = true;
  }
  Dims result;
  size_t from = 0;
  for (bool fresh : isNew)
    result.push_back(fresh ? 1 : (*in)[from++]);
  rule.results[0] = result;
  return success();
}

LogicalResult squeezeShape(ShapeRule &rule) {
  Shape in = rule.input(0);
  if (!in)
    return success();
  llvm::SmallVector<bool> gone(in->size(), false);
  if (rule.op.inputAt(1)) {
    auto axes = constantInts(rule.op.inputAt(1));
    if (!axes)
      return success();
    for (int64_t axis : *axes) {
      auto at = normalise(axis, in->size());
      if (!at)
        return rule.fail("axis is out of range");
      if ((*in)[*at] != 1 && (*in)[*at] != kDynamic)
        return rule.fail("squeezed extent is not 1");
      gone[*at] = true;
    }
  } else {
    if (llvm::is_contained(*in, kDynamic))
      return success();
    for (auto [d, extent] : llvm::enumerate(*in))
      gone[d] = extent == 1;
  }
  Dims result;
  for (auto [d, extent] : llvm::enumerate(*in))
    if (!gone[d])
      result.push_back(extent);
  rule.results[0] = result;
  return success();
}

LogicalResult flattenShape(ShapeRule &rule) {
  Shape in = rule.input(0);
  if (!in)
    return success();
  int64_t axis = rule.attr("axis", 1);
  axis = axis < 0 ? axis + in->size() : axis;
  Dims result{1, 1};
  for (auto [d, extent] : llvm::enumerate(*in)) {
    int64_t &side = result[int64_t(d) >= axis];
    side = side == kDynamic || extent == kDynamic ? kDynamic : side * extent;
  }
  rule.results[0] = result;
  return success();
}

LogicalResult shapeOf(ShapeRule &rule) {
  Shape in = rule.input(0);
  if (!in) {
    rule.results[0] = Dims{kDynamic};
    return success();
  }
  int64_t rank = in->size();
  auto clamp = [&](int64_t at) {
    return std::min(std::max<int64_t>(at < 0 ? at + rank : at, 0), rank);
  };
  int64_t start = clamp(rule.attr("start", 0)),
          end = clamp(rule.attr("end", rank));
  rule.results[0] = Dims{std::max<int64_t>(0, end - start)};
  return success();
}

/// The only element of a constant.
static std::optional<double> constantScalar(Value value) {
  DenseElementsAttr attr = constantOf(value);
  Tensor tensor = attr ? tensorFrom(attr) : Tensor();
  if (tensor.isAbsent() || tensor.size() != 1)
    return std::nullopt;
  return tensor.asDouble(0);
}

LogicalResult rangeShape(ShapeRule &rule) {
  auto start = constantScalar(rule.op.inputAt(0));
  auto limit = constantScalar(rule.op.inputAt(1));
  auto delta = constantScalar(rule.op.inputAt(2));
  int64_t extent = kDynamic;
  if (delta && *delta == 0)
    return rule.fail("delta is 0");
  if (start && limit && delta) {
    double count = std::ceil((*limit - *start) / *delta);
    if (!(count < 1e9))
      return rule.fail("is too long");
    extent = count > 0 ? int64_t(count) : 0;
  }
  rule.results[0] = Dims{extent};
  return success();
}

LogicalResult expandShape(ShapeRule &rule) {
  Shape in = rule.input(0);
  auto wanted = knownInts(rule.op.inputAt(1));
  if (!in || !wanted)
    return success();
  if (!mergeBroadcast(*wanted, *in))
    return rule.fail("input does not broadcast to the shape");
  rule.results[0] = *wanted;
  return success();
}

LogicalResult tileShape(ShapeRule &rule) {
  Shape in = rule.input(0);
  if (!in)
    return success();
  auto repeats = constantInts(rule.op.inputAt(1));
  if (repeats && repeats->size() != in->size())
    return rule.fail("repeats do not fit the rank");
  for (auto [d, extent] : llvm::enumerate(*in))
    if (!repeats || extent == kDynamic)
      extent = kDynamic;
    else if ((*repeats)[d] < 0 ||
             llvm::MulOverflow(extent, (*repeats)[d], extent))
      return rule.fail("repeats are negative or too large");
  rule.results[0] = in;
  return success();
}

LogicalResult constantOfShapeShape(ShapeRule &rule) {
  if (auto wanted = knownInts(rule.op.inputAt(0)))
    rule.results[0] = *wanted;
  return success();
}

LogicalResult reduceShape(ShapeRule &rule) {
  Shape in = rule.input(0);
  if (!in)
    return success();
  bool keep = rule.attr("keepdims", 1);
  llvm::SmallVector<bool> reduced(in->size(), !rule.op.inputAt(1));
  if (!rule.op.inputAt(1) && rule.attr("noop_with_empty_axes", 0))
    reduced.assign(in->size(), false);
  if (rule.op.inputAt(1)) {
    auto axes = constantInts(rule.op.inputAt(1));
    if (!axes) {
      if (keep)
        rule.results[0] = dynamicDims(in->size());
      return success();
    }
    for (int64_t axis : *axes) {
      auto at = normalise(axis, in->size());
      if (!at)
        return rule.fail("axis is out of range");
      reduced[*at] = true;
    }
    if (axes->empty() && !rule.attr("noop_with_empty_axes", 0))
      reduced.assign(in->size(), true);
  }
  Dims result;
  for (auto [d, extent] : llvm::enumerate(*in)) {
    if (!reduced[d])
      result.push_back(extent);
    else if (keep)
      result.push_back(1);
  }
  rule.results[0] = result;
  return success();
}

} // namespace mlir::fdpp::onnx::detail
