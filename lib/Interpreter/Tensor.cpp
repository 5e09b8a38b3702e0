// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Tensor.cpp - Host tensor of the interpreters -----------------------===//
#include "fdpp/Interpreter/Tensor.h"

#include "mlir/IR/BuiltinTypeInterfaces.h"
#include "llvm/ADT/APFloat.h"

#include <cassert>
#include <cmath>

using namespace mlir;
using llvm::APFloat;
using llvm::ArrayRef;

namespace mlir::fdpp {

int64_t numElements(ArrayRef<int64_t> shape) {
  int64_t product = 1;
  for (int64_t extent : shape)
    product *= extent;
  return product;
}

llvm::SmallVector<int64_t, 6> stridesOf(ArrayRef<int64_t> shape) {
  llvm::SmallVector<int64_t, 6> strides(shape.size(), 1);
  for (int64_t i = int64_t(shape.size()) - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

Tensor::Tensor(TensorKind kind, ArrayRef<int64_t> shape)
    : elementKind(kind), absent(false), count(numElements(shape)),
      dims(shape.begin(), shape.end()) {
  if (isFloat())
    doubles = std::make_shared<std::vector<double>>(count, 0.0);
  else
    integers = std::make_shared<std::vector<int64_t>>(count, 0);
}

Tensor Tensor::floats(ArrayRef<int64_t> shape, std::vector<double> values) {
  return sharing(shape,
                 std::make_shared<std::vector<double>>(std::move(values)));
}

Tensor Tensor::sharing(ArrayRef<int64_t> shape,
                       std::shared_ptr<std::vector<double>> values) {
  Tensor result(TensorKind::Float, {0});
  result.dims.assign(shape.begin(), shape.end());
  result.count = numElements(shape);
  assert(result.count == int64_t(values->size()) && "shape and data disagree");
  result.doubles = std::move(values);
  return result;
}

Tensor Tensor::ints(ArrayRef<int64_t> shape, std::vector<int64_t> values) {
  Tensor result(TensorKind::Int, {0});
  result.dims.assign(shape.begin(), shape.end());
  result.count = numElements(shape);
  assert(result.count == int64_t(values.size()) && "shape and data disagree");
  result.integers = std::make_shared<std::vector<int64_t>>(std::move(values));
  return result;
}

Tensor Tensor::bools(ArrayRef<int64_t> shape, std::vector<int64_t> values) {
  for (int64_t &value : values)
    value = value != 0;
  Tensor result = ints(shape, std::move(values));
  result.elementKind = TensorKind::Bool;
  return result;
}

ArrayRef<double> Tensor::f() const {
  assert(doubles && "not a float tensor");
  return *doubles;
}

llvm::MutableArrayRef<double> Tensor::f() {
  assert(doubles && "not a float tensor");
  if (doubles.use_count() > 1)
    doubles = std::make_shared<std::vector<double>>(*doubles);
  return *doubles;
}

ArrayRef<int64_t> Tensor::i() const {
  assert(integers && "not an integer tensor");
  return *integers;
}

llvm::MutableArrayRef<int64_t> Tensor::i() {
  assert(integers && "not an integer tensor");
  if (integers.use_count() > 1)
    integers = std::make_shared<std::vector<int64_t>>(*integers);
  return *integers;
}

/// Float to integer as C does where it is defined, saturating elsewhere.
static int64_t toInt(double value) {
  if (std::isnan(value))
    return 0;
  if (value >= 9223372036854775807.0)
    return INT64_MAX;
  if (value <= -9223372036854775808.0)
    return INT64_MIN;
  return static_cast<int64_t>(value);
}

double Tensor::asDouble(int64_t index) const {
  return isFloat() ? f()[index] : static_cast<double>(i()[index]);
}

int64_t Tensor::asInt(int64_t index) const {
  return isFloat() ? toInt(f()[index]) : i()[index];
}

void Tensor::set(int64_t index, double value) {
  if (isFloat())
    f()[index] = value;
  else if (elementKind == TensorKind::Bool)
    i()[index] = value != 0;
  else
    i()[index] = toInt(value);
}

Tensor Tensor::reshaped(ArrayRef<int64_t> shape) const {
  assert(numElements(shape) == count && "reshape changes the size");
  Tensor result = *this;
  result.dims.assign(shape.begin(), shape.end());
  return result;
}

Tensor Tensor::converted(TensorKind kind) const {
  if (kind == elementKind)
    return *this;
  Tensor result(kind, dims);
  if (kind == TensorKind::Float) {
    auto out = result.f();
    for (int64_t n = 0; n < count; ++n)
      out[n] = asDouble(n);
    return result;
  }
  auto out = result.i();
  bool toBool = kind == TensorKind::Bool;
  for (int64_t n = 0; n < count; ++n)
    out[n] = toBool ? (isFloat() ? f()[n] != 0 : i()[n] != 0) : asInt(n);
  return result;
}

bool Tensor::operator==(const Tensor &other) const {
  if (absent || other.absent)
    return absent == other.absent;
  if (elementKind != other.elementKind || dims != other.dims)
    return false;
  return isFloat() ? *doubles == *other.doubles : *integers == *other.integers;
}

bool broadcastShapes(ArrayRef<int64_t> a, ArrayRef<int64_t> b,
                     llvm::SmallVectorImpl<int64_t> &result) {
  size_t rank = std::max(a.size(), b.size());
  result.assign(rank, 1);
  for (size_t n = 0; n < rank; ++n) {
    int64_t x = n < a.size() ? a[a.size() - 1 - n] : 1;
    int64_t y = n < b.size() ? b[b.size() - 1 - n] : 1;
    if (x != y && x != 1 && y != 1)
      return false;
    result[rank - 1 - n] = x == 1 ? y : x;
  }
  return true;
}

std::vector<int64_t> broadcastIndices(ArrayRef<int64_t> from,
                                      ArrayRef<int64_t> to) {
  llvm::SmallVector<int64_t, 6> step(to.size(), 0), at(to.size(), 0);
  auto strides = stridesOf(from);
  size_t lead = to.size() - from.size();
  for (size_t d = 0; d < from.size(); ++d)
    step[lead + d] = from[d] == 1 ? 0 : strides[d];
  std::vector<int64_t> indices(numElements(to));
  int64_t index = 0;
  for (int64_t &slot : indices) {
    slot = index;
    for (int64_t d = int64_t(to.size()) - 1; d >= 0; --d) {
      index += step[d];
      if (++at[d] < to[d])
        break;
      index -= step[d] * to[d];
      at[d] = 0;
    }
  }
  return indices;
}

std::optional<TensorKind> kindOf(Type elementType) {
  if (isa<FloatType>(elementType))
    return TensorKind::Float;
  if (elementType.isInteger(1))
    return TensorKind::Bool;
  if (isa<IndexType>(elementType))
    return TensorKind::Int;
  auto integer = dyn_cast<IntegerType>(elementType);
  if (integer && integer.getWidth() <= 64)
    return TensorKind::Int;
  return std::nullopt;
}

static APFloat toAPFloat(FloatType type, double value) {
  APFloat result(value);
  bool losesInfo = false;
  result.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                 &losesInfo);
  return result;
}

double roundTo(FloatType type, double value) {
  if (type.isF64())
    return value;
  if (type.isF32())
    return static_cast<float>(value);
  return toAPFloat(type, value).convertToDouble();
}

int64_t wrapTo(IntegerType type, int64_t value) {
  unsigned unused = 64 - type.getWidth();
  if (unused == 0)
    return value;
  uint64_t shifted = static_cast<uint64_t>(value) << unused;
  if (type.isUnsigned() || type.getWidth() == 1)
    return shifted >> unused;
  return static_cast<int64_t>(shifted) >> unused;
}

Tensor roundedTo(Type elementType, Tensor tensor) {
  if (auto type = dyn_cast<FloatType>(elementType)) {
    if (!type.isF64())
      for (double &value : tensor.f())
        value = roundTo(type, value);
  } else if (auto type = dyn_cast<IntegerType>(elementType)) {
    if (type.getWidth() < 64)
      for (int64_t &value : tensor.i())
        value = wrapTo(type, value);
  }
  return tensor;
}

Tensor tensorFrom(DenseElementsAttr attr) {
  Type elementType = attr.getElementType();
  std::optional<TensorKind> kind = kindOf(elementType);
  if (!kind)
    return Tensor();
  Tensor result(*kind, attr.getType().getShape());
  if (*kind == TensorKind::Float) {
    auto out = result.f();
    int64_t n = 0;
    for (APFloat value : attr.getValues<APFloat>())
      out[n++] = value.convertToDouble();
    return result;
  }
  bool isUnsigned = elementType.isInteger(1) || elementType.isUnsignedInteger();
  auto out = result.i();
  int64_t n = 0;
  for (llvm::APInt value : attr.getValues<llvm::APInt>())
    out[n++] = isUnsigned ? value.getZExtValue() : value.getSExtValue();
  return result;
}

DenseElementsAttr attrFrom(const Tensor &tensor, Type elementType) {
  auto type = RankedTensorType::get(tensor.shape(), elementType);
  if (auto floatType = dyn_cast<FloatType>(elementType)) {
    llvm::SmallVector<APFloat> values;
    values.reserve(tensor.size());
    for (double value : tensor.f())
      values.push_back(toAPFloat(floatType, value));
    return DenseElementsAttr::get(type, values);
  }
  unsigned width = isa<IndexType>(elementType)
                       ? IndexType::kInternalStorageBitWidth
                       : elementType.getIntOrFloatBitWidth();
  llvm::SmallVector<llvm::APInt> values;
  values.reserve(tensor.size());
  for (int64_t value : tensor.i())
    values.emplace_back(width, static_cast<uint64_t>(value), /*isSigned=*/true,
                        /*implicitTrunc=*/true);
  return DenseElementsAttr::get(type, values);
}

} // namespace mlir::fdpp
