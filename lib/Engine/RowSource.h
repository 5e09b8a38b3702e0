// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights seen as matrices whose windows can be read one at a time, so that a
// bank of gigabytes is never held in memory.

#ifndef FDPP_LIB_ENGINE_ROWSOURCE_H
#define FDPP_LIB_ENGINE_ROWSOURCE_H

#include "fdpp/Dialect/FDPP/IR/Seeded.h"

#include "mlir/IR/BuiltinTypes.h"

#include <memory>
#include <vector>

namespace mlir::fdpp {

/// A tensor as a matrix: dimension 0 by the product of the others. A scalar is
/// one row of one.
struct MatrixShape {
  int64_t rows, columns;
  static MatrixShape of(llvm::ArrayRef<int64_t> shape);
};

/// A rectangle of a matrix.
struct Window {
  int64_t row, rows, column, columns;
  int64_t size() const { return rows * columns; }
};

/// A matrix that can be read by windows. Reading is thread-safe and cannot
/// fail: whatever can is checked when a source is made.
class RowSource {
public:
  virtual ~RowSource() = default;
  /// Writes the window's elements to `out`, row-major and without gaps.
  virtual void read(Window window, char *out) const = 0;
};

using RowSourcePtr = std::unique_ptr<const RowSource>;

/// Elements that lie in memory, row-major; the memory outlives the source.
RowSourcePtr makeBytesSource(const char *data, MatrixShape shape,
                             int64_t elementBytes);

/// The same `elementBytes` bytes everywhere.
RowSourcePtr makeSplatSource(llvm::StringRef element);

/// Elements of a `#fdpp.seeded` tensor, of a type castFloats() knows.
RowSourcePtr makeSeededSource(uint64_t seed, SeededScale scale,
                              MatrixShape shape, Type element);

/// Matrices of equally many columns, one below another.
struct RowPart {
  int64_t rows;
  RowSourcePtr source;
};
RowSourcePtr makeConcatSource(std::vector<RowPart> parts, int64_t elementBytes);

/// `source` with rows and columns exchanged.
RowSourcePtr makeTransposeSource(RowSourcePtr source, int64_t elementBytes);

/// `source` converted from one float type to another.
RowSourcePtr makeCastSource(RowSourcePtr source, Type from, Type to);

/// Whether castFloats knows the type: f32, bf16, f16.
bool isCastable(Type element);

/// Converts `count` elements; rounds to nearest, ties to even. `in` and `out`
/// do not overlap.
void castFloats(const char *in, Type from, char *out, Type to, int64_t count);

} // namespace mlir::fdpp

#endif // FDPP_LIB_ENGINE_ROWSOURCE_H
