// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Weights.cpp - Elements of weights for the interpreter --------------===//
#include "fdpp/Interpreter/Weights.h"

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/FDPP/IR/Seeded.h"
#include "fdpp/Interpreter/Rounding.h"
#include "fdpp/Interpreter/Tensor.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::fdpp;
using llvm::Expected;

static llvm::Error sourceError(Attribute source, const llvm::Twine &why) {
  std::string text;
  llvm::raw_string_ostream(text) << source;
  return llvm::createStringError("weight source " + text + ": " + why);
}

static Expected<Array> readInline(DenseElementsAttr attr) {
  Tensor tensor = tensorFrom(attr);
  if (tensor.isAbsent())
    return sourceError(attr, "element type has no value in the interpreter");
  std::vector<double> values(tensor.size());
  for (int64_t i = 0; i < tensor.size(); ++i)
    values[i] = tensor.asDouble(i);
  return Array::of(attr.getType().getShape(), std::move(values));
}

WeightSource::~WeightSource() = default;

Expected<Array> WeightSource::read(Attribute source, RankedTensorType type) {
  if (auto dense = dyn_cast<DenseElementsAttr>(source))
    return readInline(dense);
  auto seeded = dyn_cast<SeededAttr>(source);
  if (!seeded)
    return sourceError(source, "cannot be read here");
  Rounder round = Rounder::to(type.getElementType());
  std::vector<double> values(type.getNumElements());
  SeededScale scale = SeededScale::of(type.getShape());
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = round(scale.element(seeded.getSeed(), i));
  return Array::of(type.getShape(), std::move(values));
}

/// Elements of the formats that weights have, at the speed of memory.
template <typename T, typename Fn>
static void decodeAll(const char *bytes, MutableArrayRef<double> values,
                      Fn toDouble) {
  for (auto [i, value] : llvm::enumerate(values))
    value = toDouble(llvm::support::endian::read<T, llvm::endianness::little>(
        bytes + i * sizeof(T)));
}

/// Element `i` of little-endian `bytes`.
static double decode(const char *bytes, Type type, int64_t i) {
  using namespace llvm::support;
  unsigned width = type.getIntOrFloatBitWidth() / 8;
  uint64_t bits = 0;
  for (unsigned b = 0; b < width; ++b)
    bits |= uint64_t(uint8_t(bytes[i * width + b])) << (8 * b);
  llvm::APInt raw(8 * width, bits);
  if (auto real = dyn_cast<FloatType>(type))
    return llvm::APFloat(real.getFloatSemantics(), raw).convertToDouble();
  return type.isUnsignedInteger() ? double(raw.getZExtValue())
                                  : double(raw.getSExtValue());
}

Expected<Array> FolderWeights::read(Attribute source, RankedTensorType type) {
  auto file = dyn_cast<FileAttr>(source);
  if (!file)
    return WeightSource::read(source, type);
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, file.getPath().getValue());
  auto buffer =
      llvm::MemoryBuffer::getFileSlice(path, file.getBytes(), file.getOffset());
  if (!buffer)
    return sourceError(source, path + ": " + buffer.getError().message());
  Type element = type.getElementType();
  int64_t count = type.getNumElements();
  if (int64_t((*buffer)->getBufferSize()) <
      count * (element.getIntOrFloatBitWidth() / 8))
    return sourceError(source, path + ": the range is shorter than the weight");
  std::vector<double> values(count);
  const char *bytes = (*buffer)->getBufferStart();
  if (element.isF32())
    decodeAll<uint32_t>(bytes, values, llvm::bit_cast<float, uint32_t>);
  else if (element.isBF16())
    decodeAll<uint16_t>(bytes, values, [](uint16_t bits) {
      return llvm::bit_cast<float>(uint32_t(bits) << 16);
    });
  else
    for (int64_t i = 0; i < count; ++i)
      values[i] = decode(bytes, element, i);
  return Array::of(type.getShape(), std::move(values));
}
