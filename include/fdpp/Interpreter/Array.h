// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Array.h - Strided memory of the step interpreter ---------*- C++ -*-===//
//
// What tensors and memrefs are while the fdpp dialect is interpreted. Every
// element is a double: doubles hold all f32, f16 and bf16 numbers and all
// integers up to 2^53, so that one kind of memory serves tokens, activations
// and caches, and a computation is as exact as fp64 makes it. Narrower formats
// are a matter of rounding (Rounding.h).
//
// An array looks into a shared buffer of cells. In most buffers a cell is an
// element. A buffer of bytes (the planned phase's arena) has one cell a byte:
// an element of w bytes lives in its first cell, and writing it poisons the
// w - 1 others with NaN; where one of them is no NaN, the element reads as NaN.
// So buffers that wrongly share bytes are noticed, whatever the two types.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_INTERPRETER_ARRAY_H
#define FDPP_INTERPRETER_ARRAY_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallBitVector.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace mlir::fdpp {

/// What memory nobody has written reads as.
inline constexpr double kPoison = std::numeric_limits<double>::quiet_NaN();

class Array {
public:
  using Shape = SmallVector<int64_t, 6>;

  /// An array without a buffer; only assignment and isNull() are allowed.
  Array() = default;

  /// A fresh row-major array.
  static Array filled(ArrayRef<int64_t> shape, double value);
  /// A fresh row-major array of these elements.
  static Array of(ArrayRef<int64_t> shape, std::vector<double> values);
  /// A row-major array of the elements in this storage.
  static Array sharing(ArrayRef<int64_t> shape,
                       std::shared_ptr<std::vector<double>> values);

  bool isNull() const { return !cells; }
  ArrayRef<int64_t> shape() const { return extents; }
  int64_t dim(int64_t i) const { return extents[i]; }
  int64_t rank() const { return extents.size(); }
  int64_t size() const;
  /// Product of all extents but the last.
  int64_t rows() const;

  /// The cell of the element at `index`, relative to the buffer.
  int64_t cellOf(ArrayRef<int64_t> index) const {
    int64_t cell = start;
    for (size_t i = 0; i < index.size(); ++i)
      cell += index[i] * steps[i];
    return cell;
  }
  double load(int64_t cell) const {
    // An element is whole only if nobody wrote to its other bytes since.
    for (int64_t i = 1; i < width; ++i)
      if ((*cells)[cell + i] == (*cells)[cell + i])
        return kPoison;
    return (*cells)[cell];
  }
  void store(int64_t cell, double value) const {
    (*cells)[cell] = value;
    for (int64_t i = 1; i < width; ++i)
      (*cells)[cell + i] = kPoison;
  }

  /// True if `index` lies within the extents.
  bool contains(ArrayRef<int64_t> index) const;
  /// True if elements follow one another in row-major order.
  bool isContiguous() const;
  /// The elements in row-major order: the buffer itself if it is contiguous,
  /// else a copy in `storage`.
  ArrayRef<double> dense(std::vector<double> &storage) const;
  /// The whole buffer, if it holds the elements in row-major order and no more;
  /// else null.
  std::shared_ptr<std::vector<double>> storage() const;
  /// Overwrites all elements, in row-major order.
  void assign(ArrayRef<double> values) const;
  /// A contiguous array with a buffer of its own.
  Array copy() const;
  /// The same elements under another shape; must be contiguous.
  Array reshaped(ArrayRef<int64_t> shape) const;
  /// Part of this array. `strides` count elements of this array.
  Array slice(ArrayRef<int64_t> offsets, ArrayRef<int64_t> sizes,
              ArrayRef<int64_t> strides) const;
  /// Elements of `bytes` bytes in row-major order from byte `shift` of this
  /// array of bytes.
  Array view(int64_t shift, ArrayRef<int64_t> shape, int64_t bytes) const;
  /// Without the `dropped` dimensions, whose extents are 1.
  Array without(const llvm::SmallBitVector &dropped) const;

  /// The half-open range of cells that elements may lie in.
  std::pair<int64_t, int64_t> cellRange() const;
  /// True if the two share a cell range of one buffer.
  bool overlaps(const Array &other) const;
  /// Fills the cells of [first, end) with NaN.
  void poison(int64_t first, int64_t end) const;
  /// Fills the whole cell range with NaN.
  void poison() const;

private:
  /// Calls `fn(cell)` for every element in row-major order.
  template <typename Fn> void forEachCell(Fn fn) const;

  std::shared_ptr<std::vector<double>> cells;
  int64_t start = 0;
  int64_t width = 1; ///< Cells an element occupies.
  Shape extents, steps;
};

} // namespace mlir::fdpp

#endif // FDPP_INTERPRETER_ARRAY_H
