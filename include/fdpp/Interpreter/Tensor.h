// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Tensor.h - Host tensor of the interpreters ---------------*- C++ -*-===//
//
// The value every interpreter of this project computes with: a contiguous
// row-major array whose elements are double (all float types), int64_t (all
// integer types and index) or bool. Element widths live in the IR type; where
// a narrower format matters, roundTo() rounds a double to it. Storage is
// shared between copies and copied on the first write, so passing tensors by
// value is cheap and a tensor never changes behind its holder's back.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_INTERPRETER_TENSOR_H
#define FDPP_INTERPRETER_TENSOR_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace mlir::fdpp {

/// What a Tensor's elements are stored as.
enum class TensorKind : uint8_t { Float, Int, Bool };

class Tensor {
public:
  /// An absent value, as an omitted optional operand. Only isAbsent() and
  /// assignment are allowed on it.
  Tensor() = default;

  /// A tensor of zeros.
  Tensor(TensorKind kind, llvm::ArrayRef<int64_t> shape);

  static Tensor floats(llvm::ArrayRef<int64_t> shape,
                       std::vector<double> values);
  /// The same, sharing the storage with who else holds it.
  static Tensor sharing(llvm::ArrayRef<int64_t> shape,
                        std::shared_ptr<std::vector<double>> values);
  static Tensor ints(llvm::ArrayRef<int64_t> shape,
                     std::vector<int64_t> values);
  static Tensor bools(llvm::ArrayRef<int64_t> shape,
                      std::vector<int64_t> values);
  static Tensor scalar(double value) { return floats({}, {value}); }
  static Tensor scalarInt(int64_t value) { return ints({}, {value}); }

  bool isAbsent() const { return absent; }
  TensorKind kind() const { return elementKind; }
  bool isFloat() const { return elementKind == TensorKind::Float; }
  llvm::ArrayRef<int64_t> shape() const { return dims; }
  int64_t dim(int64_t i) const { return dims[i]; }
  int64_t rank() const { return dims.size(); }
  int64_t size() const { return count; }

  /// Elements of a Float tensor. Writing unshares.
  llvm::ArrayRef<double> f() const;
  llvm::MutableArrayRef<double> f();
  /// What holds them. Others must not write to it while tensors share it.
  const std::shared_ptr<std::vector<double>> &storage() const {
    return doubles;
  }
  /// Elements of an Int or Bool tensor (bools are 0 or 1). Writing unshares.
  llvm::ArrayRef<int64_t> i() const;
  llvm::MutableArrayRef<int64_t> i();

  /// Element `index` converted to double or to int64_t (truncated).
  double asDouble(int64_t index) const;
  int64_t asInt(int64_t index) const;
  /// Sets element `index`, converting to the tensor's kind.
  void set(int64_t index, double value);

  /// The same elements under another shape of equal size.
  Tensor reshaped(llvm::ArrayRef<int64_t> shape) const;
  /// Every element converted to another kind (to Bool: != 0; Float to Int
  /// truncates).
  Tensor converted(TensorKind kind) const;

  bool operator==(const Tensor &other) const;

private:
  TensorKind elementKind = TensorKind::Float;
  bool absent = true;
  int64_t count = 0;
  llvm::SmallVector<int64_t, 6> dims;
  std::shared_ptr<std::vector<double>> doubles;
  std::shared_ptr<std::vector<int64_t>> integers;
};

/// The product of the extents.
int64_t numElements(llvm::ArrayRef<int64_t> shape);

/// Row-major strides of `shape`.
llvm::SmallVector<int64_t, 6> stridesOf(llvm::ArrayRef<int64_t> shape);

/// numpy broadcasting of two shapes; false where they do not agree.
bool broadcastShapes(llvm::ArrayRef<int64_t> a, llvm::ArrayRef<int64_t> b,
                     llvm::SmallVectorImpl<int64_t> &result);

/// For each element of `to` in row-major order, the index of the element of a
/// `from`-shaped tensor that broadcasts to it. `from` must broadcast to `to`.
std::vector<int64_t> broadcastIndices(llvm::ArrayRef<int64_t> from,
                                      llvm::ArrayRef<int64_t> to);

/// Storage kind for an IR element type; nullopt for types no tensor holds.
std::optional<TensorKind> kindOf(mlir::Type elementType);

/// `value` rounded (to nearest, ties to even) to float type `type` and back.
double roundTo(mlir::FloatType type, double value);

/// `value` wrapped to integer type `type` and back (sign extended unless the
/// type is unsigned).
int64_t wrapTo(mlir::IntegerType type, int64_t value);

/// Rounds or wraps every element to `elementType`.
Tensor roundedTo(mlir::Type elementType, Tensor tensor);

/// A tensor with the elements of `attr`, absent if its type has no kind.
Tensor tensorFrom(mlir::DenseElementsAttr attr);

/// A dense attribute of element type `elementType`, rounding as needed.
mlir::DenseElementsAttr attrFrom(const Tensor &tensor, mlir::Type elementType);

} // namespace mlir::fdpp

#endif // FDPP_INTERPRETER_TENSOR_H
