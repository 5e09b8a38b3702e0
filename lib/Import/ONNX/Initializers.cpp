// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Initializers.cpp - TensorProto to constants and weights ------------===//
#include "Initializers.h"

#include "ModelFile.h"
#include "WireScan.h"
#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"
#include "fdpp/Import/ONNX/ImportONNX.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CheckedArithmetic.h"

using llvm::StringRef;
using llvm::Twine;

namespace mlir::fdpp {

static llvm::Error fail(const Twine &message) {
  return llvm::createStringError(message);
}

/// Bits an element takes in a file.
static unsigned storedBits(Type elementType) {
  return elementType.isInteger(1) ? 8 : elementType.getIntOrFloatBitWidth();
}

llvm::Expected<RankedTensorType> tensorType(MLIRContext *context,
                                            int32_t elementType,
                                            llvm::ArrayRef<int64_t> dims) {
  Type element = onnx::elementTypeOf(context, elementType);
  if (!element)
    return fail("has element type " + onnx::elementTypeName(elementType) +
                " (" + Twine(elementType) + "), which is not supported");
  int64_t bits = storedBits(element);
  for (int64_t extent : dims) {
    if (extent < 0)
      return fail("has the negative extent " + Twine(extent));
    auto product =
        llvm::checkedMul<int64_t>(bits, std::max<int64_t>(extent, 1));
    if (!product)
      return fail("has a shape whose size overflows");
    bits = *product;
  }
  return RankedTensorType::get(dims, element);
}

uint64_t storedBytes(RankedTensorType type) {
  uint64_t bits = storedBits(type.getElementType());
  return (type.getNumElements() * bits + 7) / 8;
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

DenseElementsAttr elementsFrom(RankedTensorType type, StringRef bytes) {
  Type element = type.getElementType();
  unsigned bits = storedBits(element);
  if (bits >= 8 && !element.isInteger(1)) {
    llvm::ArrayRef<char> raw(bytes.data(), bytes.size());
    // A single element would read as a splat of itself, which it is.
    return DenseElementsAttr::getFromRawBuffer(type, raw);
  }
  if (element.isInteger(1)) {
    llvm::SmallVector<bool> truths(bytes.size());
    llvm::transform(bytes, truths.begin(), [](char byte) { return byte != 0; });
    return DenseElementsAttr::get(type, truths);
  }
  llvm::SmallVector<llvm::APInt> values;
  unsigned width = element.getIntOrFloatBitWidth();
  for (int64_t n = 0, e = type.getNumElements(); n < e; ++n) {
    uint8_t byte = bytes[n * bits / 8];
    uint64_t value = (byte >> (n * bits % 8)) & ((1u << bits) - 1);
    values.emplace_back(width, value);
  }
  if (auto floatType = dyn_cast<FloatType>(element)) {
    llvm::SmallVector<llvm::APFloat> floats;
    for (const llvm::APInt &value : values)
      floats.emplace_back(floatType.getFloatSemantics(), value);
    return DenseElementsAttr::get(type, floats);
  }
  return DenseElementsAttr::get(type, values);
}

template <typename T, typename Field>
static std::string pack(const Field &field) {
  std::string bytes;
  bytes.reserve(field.size() * sizeof(T));
  for (auto value : field) {
    T narrow = static_cast<T>(value);
    bytes.append(reinterpret_cast<const char *>(&narrow), sizeof(T));
  }
  return bytes;
}

/// The elements of the typed field that `proto`'s type is stored in, packed
/// as raw_data would be.
static std::string typedData(const ::onnx::TensorProto &proto,
                             Type elementType) {
  unsigned bits = storedBits(elementType);
  if (elementType.isF32())
    return pack<float>(proto.float_data());
  if (elementType.isF64())
    return pack<double>(proto.double_data());
  if (elementType.isSignlessInteger(64))
    return pack<int64_t>(proto.int64_data());
  if (elementType.isUnsignedInteger(64))
    return pack<uint64_t>(proto.uint64_data());
  if (elementType.isUnsignedInteger(32))
    return pack<uint32_t>(proto.uint64_data());
  if (bits == 32)
    return pack<int32_t>(proto.int32_data());
  if (bits == 16)
    return pack<uint16_t>(proto.int32_data());
  return pack<uint8_t>(proto.int32_data());
}

//===----------------------------------------------------------------------===//
// Sources
//===----------------------------------------------------------------------===//

namespace {
struct ExternalEntries {
  std::string location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
};
} // namespace

static llvm::Expected<ExternalEntries>
readEntries(const ::onnx::TensorProto &proto) {
  ExternalEntries entries;
  for (const auto &entry : proto.external_data()) {
    StringRef key = entry.key(), value = entry.value();
    uint64_t number = 0;
    if (key == "location") {
      entries.location = value.str();
    } else if (key == "offset" || key == "length") {
      if (value.getAsInteger(10, number))
        return fail("external data has the " + key + " '" + value +
                    "', which is not a byte count");
      if (key == "offset")
        entries.offset = number;
      else
        entries.length = number;
    }
  }
  return entries;
}

/// The payload place that stripPayloads() left, if there is one.
static std::optional<FileRange> strippedRange(const ::onnx::TensorProto &proto,
                                              const ModelPlace &place) {
  const auto &fields = proto.GetReflection()->GetUnknownFields(proto);
  FileRange range{place.fileName, 0, 0};
  bool found = false;
  for (int i = 0; i < fields.field_count(); ++i) {
    const auto &field = fields.field(i);
    if (field.number() == kPayloadOffsetField)
      range.offset = field.varint();
    if (field.number() == kPayloadSizeField) {
      range.size = field.varint();
      found = true;
    }
  }
  return found ? std::optional(range) : std::nullopt;
}

static Attribute fileAttr(MLIRContext *context, const FileRange &range) {
  return FileAttr::get(context, StringAttr::get(context, range.path),
                       range.offset, range.size);
}

static llvm::Error sizeMismatch(uint64_t have, uint64_t need) {
  return fail("has " + Twine(have) + " bytes of data, but its shape needs " +
              Twine(need));
}

static llvm::Error readExternal(const ::onnx::TensorProto &proto,
                                const ModelPlace &place, uint64_t bytes,
                                Initializer &result) {
  auto entries = readEntries(proto);
  if (!entries)
    return entries.takeError();
  if (entries->length && *entries->length != bytes)
    return sizeMismatch(*entries->length, bytes);
  MLIRContext *context = result.type.getContext();
  if (entries->location == kSeededLocation) {
    result.source = SeededAttr::get(context, entries->offset);
    return llvm::Error::success();
  }
  auto range = checkExternalData(place.folder, entries->location,
                                 entries->offset, bytes);
  if (!range)
    return range.takeError();
  if (bytes > kMaxConstantBytes) {
    result.source = fileAttr(context, *range);
    return llvm::Error::success();
  }
  auto data = readRange(place.folder, *range);
  if (!data)
    return data.takeError();
  if (data->size() != bytes)
    return sizeMismatch(data->size(), bytes);
  result.elements = elementsFrom(result.type, *data);
  return llvm::Error::success();
}

llvm::Expected<Initializer> readInitializer(const ::onnx::TensorProto &proto,
                                            const ModelPlace &place,
                                            MLIRContext *context) {
  if (proto.has_segment())
    return fail("is stored in segments, which is not supported");
  llvm::SmallVector<int64_t> dims(proto.dims().begin(), proto.dims().end());
  auto type = tensorType(context, proto.data_type(), dims);
  if (!type)
    return type.takeError();
  Initializer result{*type, {}, {}};
  uint64_t bytes = storedBytes(*type);
  if (proto.data_location() == ::onnx::TensorProto::EXTERNAL) {
    if (llvm::Error error = readExternal(proto, place, bytes, result))
      return std::move(error);
    return result;
  }
  if (auto range = strippedRange(proto, place)) {
    if (range->size != bytes)
      return sizeMismatch(range->size, bytes);
    result.source = fileAttr(context, *range);
    return result;
  }
  std::string data = proto.has_raw_data()
                         ? proto.raw_data()
                         : typedData(proto, type->getElementType());
  if (data.size() != bytes)
    return sizeMismatch(data.size(), bytes);
  result.elements = elementsFrom(*type, data);
  return result;
}

} // namespace mlir::fdpp
