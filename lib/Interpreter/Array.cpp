// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Array.cpp - Strided memory of the step interpreter -----------------===//
#include "fdpp/Interpreter/Array.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <cassert>

using namespace mlir;
using namespace mlir::fdpp;

static int64_t product(ArrayRef<int64_t> extents) {
  int64_t result = 1;
  for (int64_t extent : extents)
    result *= extent;
  return result;
}

/// Steps between elements that occupy `width` cells each.
static Array::Shape rowMajor(ArrayRef<int64_t> shape, int64_t width) {
  Array::Shape steps(shape.size(), width);
  for (int64_t i = int64_t(shape.size()) - 2; i >= 0; --i)
    steps[i] = steps[i + 1] * shape[i + 1];
  return steps;
}

Array Array::filled(ArrayRef<int64_t> shape, double value) {
  return of(shape, std::vector<double>(product(shape), value));
}

Array Array::of(ArrayRef<int64_t> shape, std::vector<double> values) {
  return sharing(shape,
                 std::make_shared<std::vector<double>>(std::move(values)));
}

Array Array::sharing(ArrayRef<int64_t> shape,
                     std::shared_ptr<std::vector<double>> values) {
  assert(product(shape) == int64_t(values->size()) &&
         "shape and data disagree");
  Array result;
  result.cells = std::move(values);
  result.extents.assign(shape.begin(), shape.end());
  result.steps = rowMajor(shape, 1);
  return result;
}

int64_t Array::size() const { return product(extents); }

int64_t Array::rows() const {
  return product(ArrayRef<int64_t>(extents).drop_back());
}

bool Array::contains(ArrayRef<int64_t> index) const {
  for (size_t i = 0; i < index.size(); ++i)
    if (index[i] < 0 || index[i] >= extents[i])
      return false;
  return true;
}

bool Array::isContiguous() const {
  int64_t expected = 1;
  for (int64_t i = rank() - 1; i >= 0; --i) {
    if (extents[i] != 1 && steps[i] != expected)
      return false;
    expected *= extents[i];
  }
  return width == 1;
}

template <typename Fn> void Array::forEachCell(Fn fn) const {
  if (size() == 0)
    return;
  Shape at(rank(), 0);
  int64_t cell = start;
  for (;;) {
    fn(cell);
    int64_t d = rank() - 1;
    for (; d >= 0; --d) {
      cell += steps[d];
      if (++at[d] < extents[d])
        break;
      cell -= steps[d] * extents[d];
      at[d] = 0;
    }
    if (d < 0)
      return;
  }
}

ArrayRef<double> Array::dense(std::vector<double> &storage) const {
  if (isContiguous())
    return ArrayRef<double>(*cells).slice(start, size());
  storage.clear();
  storage.reserve(size());
  forEachCell([&](int64_t cell) { storage.push_back(load(cell)); });
  return storage;
}

std::shared_ptr<std::vector<double>> Array::storage() const {
  bool whole = cells && isContiguous() && start == 0 &&
               size() == static_cast<int64_t>(cells->size());
  return whole ? cells : nullptr;
}

void Array::assign(ArrayRef<double> values) const {
  assert(int64_t(values.size()) == size() && "sizes differ");
  if (isContiguous()) {
    std::copy(values.begin(), values.end(), cells->begin() + start);
    return;
  }
  size_t next = 0;
  forEachCell([&](int64_t cell) { store(cell, values[next++]); });
}

Array Array::copy() const {
  std::vector<double> storage;
  return of(extents, dense(storage).vec());
}

Array Array::reshaped(ArrayRef<int64_t> shape) const {
  assert(isContiguous() && product(shape) == size() && "cannot reshape");
  Array result = *this;
  result.extents.assign(shape.begin(), shape.end());
  result.steps = rowMajor(shape, width);
  return result;
}

Array Array::slice(ArrayRef<int64_t> offsets, ArrayRef<int64_t> sizes,
                   ArrayRef<int64_t> strides) const {
  Array result = *this;
  result.start = cellOf(offsets);
  result.extents.assign(sizes.begin(), sizes.end());
  for (size_t i = 0; i < strides.size(); ++i)
    result.steps[i] = steps[i] * strides[i];
  return result;
}

Array Array::view(int64_t shift, ArrayRef<int64_t> shape, int64_t bytes) const {
  assert(rank() == 1 && isContiguous() && "views look into bytes");
  Array result = *this;
  result.start = start + shift;
  result.width = bytes;
  result.extents.assign(shape.begin(), shape.end());
  result.steps = rowMajor(shape, bytes);
  return result;
}

Array Array::without(const llvm::SmallBitVector &dropped) const {
  Array result = *this;
  result.extents.clear();
  result.steps.clear();
  for (int64_t i = 0; i < rank(); ++i) {
    if (dropped[i])
      continue;
    result.extents.push_back(extents[i]);
    result.steps.push_back(steps[i]);
  }
  return result;
}

std::pair<int64_t, int64_t> Array::cellRange() const {
  if (size() == 0)
    return {start, start};
  int64_t last = start;
  for (int64_t i = 0; i < rank(); ++i)
    last += steps[i] * (extents[i] - 1);
  return {start, last + width};
}

bool Array::overlaps(const Array &other) const {
  if (cells != other.cells || isNull())
    return false;
  auto [first, end] = cellRange();
  auto [otherFirst, otherEnd] = other.cellRange();
  return std::max(first, otherFirst) < std::min(end, otherEnd);
}

void Array::poison(int64_t first, int64_t end) const {
  std::fill(cells->begin() + first, cells->begin() + end, kPoison);
}

void Array::poison() const {
  auto [first, end] = cellRange();
  poison(first, end);
}
