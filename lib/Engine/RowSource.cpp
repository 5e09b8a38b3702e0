// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "RowSource.h"

#include "kernels/common/types.h"

#include <cassert>
#include <cstring>
#include <string>

using namespace mlir;
using namespace mlir::fdpp;

namespace storage = ::fdpp;

MatrixShape MatrixShape::of(llvm::ArrayRef<int64_t> shape) {
  if (shape.empty())
    return {1, 1};
  return {shape[0], ShapedType::getNumElements(shape.drop_front())};
}

//===----------------------------------------------------------------------===//
// Conversions.
//===----------------------------------------------------------------------===//

/// Calls `body` with a value of the storage type that holds `element`.
template <typename Body> static void withStorage(Type element, Body body) {
  if (element.isF32())
    return body(float());
  if (element.isBF16())
    return body(storage::bf16());
  assert(element.isF16() && "not castable");
  body(storage::f16());
}

bool mlir::fdpp::isCastable(Type element) {
  return element.isF32() || element.isBF16() || element.isF16();
}

void mlir::fdpp::castFloats(const char *in, Type from, char *out, Type to,
                            int64_t count) {
  withStorage(from, [&](auto source) {
    withStorage(to, [&](auto target) {
      using Source = decltype(source);
      using Target = decltype(target);
      for (int64_t i = 0; i < count; ++i) {
        Source value;
        std::memcpy(&value, in + i * sizeof(Source), sizeof(Source));
        Target result = storage::from_float<Target>(storage::to_float(value));
        std::memcpy(out + i * sizeof(Target), &result, sizeof(Target));
      }
    });
  });
}

//===----------------------------------------------------------------------===//
// Sources.
//===----------------------------------------------------------------------===//

namespace {

class BytesSource : public RowSource {
public:
  BytesSource(const char *data, MatrixShape shape, int64_t elementBytes)
      : data(data), shape(shape), elementBytes(elementBytes) {}

  void read(Window window, char *out) const override {
    const char *first =
        data + (window.row * shape.columns + window.column) * elementBytes;
    if (window.columns == shape.columns) {
      std::memcpy(out, first, window.size() * elementBytes);
      return;
    }
    int64_t rowBytes = window.columns * elementBytes;
    for (int64_t r = 0; r < window.rows; ++r)
      std::memcpy(out + r * rowBytes, first + r * shape.columns * elementBytes,
                  rowBytes);
  }

private:
  const char *data;
  MatrixShape shape;
  int64_t elementBytes;
};

class SplatSource : public RowSource {
public:
  explicit SplatSource(llvm::StringRef element) : element(element) {}

  void read(Window window, char *out) const override {
    for (int64_t i = 0; i < window.size(); ++i)
      std::memcpy(out + i * element.size(), element.data(), element.size());
  }

private:
  std::string element;
};

class SeededSource : public RowSource {
public:
  SeededSource(uint64_t seed, SeededScale scale, MatrixShape shape,
               Type element)
      : seed(seed), scale(scale), shape(shape), element(element) {}

  void read(Window window, char *out) const override {
    withStorage(element, [&](auto stored) {
      using Stored = decltype(stored);
      for (int64_t r = 0; r < window.rows; ++r) {
        uint64_t index = (window.row + r) * shape.columns + window.column;
        for (int64_t c = 0; c < window.columns; ++c) {
          Stored value =
              storage::from_float<Stored>(scale.element(seed, index + c));
          std::memcpy(out, &value, sizeof(Stored));
          out += sizeof(Stored);
        }
      }
    });
  }

private:
  uint64_t seed;
  SeededScale scale;
  MatrixShape shape;
  Type element;
};

class ConcatSource : public RowSource {
public:
  ConcatSource(std::vector<RowPart> parts, int64_t elementBytes)
      : parts(std::move(parts)), elementBytes(elementBytes) {}

  void read(Window window, char *out) const override {
    int64_t begin = 0;
    for (const RowPart &part : parts) {
      int64_t end = begin + part.rows;
      int64_t first = std::max(window.row, begin);
      int64_t last = std::min(window.row + window.rows, end);
      if (first < last) {
        Window within{first - begin, last - first, window.column,
                      window.columns};
        part.source->read(within, out);
        out += within.size() * elementBytes;
      }
      begin = end;
    }
  }

private:
  std::vector<RowPart> parts;
  int64_t elementBytes;
};

class TransposeSource : public RowSource {
public:
  TransposeSource(RowSourcePtr source, int64_t elementBytes)
      : source(std::move(source)), elementBytes(elementBytes) {}

  void read(Window window, char *out) const override {
    std::vector<char> flipped(window.size() * elementBytes);
    source->read({window.column, window.columns, window.row, window.rows},
                 flipped.data());
    if (elementBytes == 4)
      return exchange<uint32_t>(flipped.data(), window, out);
    if (elementBytes == 2)
      return exchange<uint16_t>(flipped.data(), window, out);
    assert(elementBytes == 1 && "element size");
    exchange<uint8_t>(flipped.data(), window, out);
  }

private:
  /// `in` is columns x rows of `window`, `out` rows x columns.
  template <typename T>
  static void exchange(const char *in, Window window, char *out) {
    for (int64_t c = 0; c < window.columns; ++c)
      for (int64_t r = 0; r < window.rows; ++r)
        std::memcpy(out + (r * window.columns + c) * sizeof(T),
                    in + (c * window.rows + r) * sizeof(T), sizeof(T));
  }

  RowSourcePtr source;
  int64_t elementBytes;
};

class CastSource : public RowSource {
public:
  CastSource(RowSourcePtr source, Type from, Type to)
      : source(std::move(source)), from(from), to(to) {}

  void read(Window window, char *out) const override {
    std::vector<char> raw(window.size() * from.getIntOrFloatBitWidth() / 8);
    source->read(window, raw.data());
    castFloats(raw.data(), from, out, to, window.size());
  }

private:
  RowSourcePtr source;
  Type from, to;
};

} // namespace

RowSourcePtr mlir::fdpp::makeBytesSource(const char *data, MatrixShape shape,
                                         int64_t elementBytes) {
  return std::make_unique<BytesSource>(data, shape, elementBytes);
}

RowSourcePtr mlir::fdpp::makeSplatSource(llvm::StringRef element) {
  return std::make_unique<SplatSource>(element);
}

RowSourcePtr mlir::fdpp::makeSeededSource(uint64_t seed, SeededScale scale,
                                          MatrixShape shape, Type element) {
  return std::make_unique<SeededSource>(seed, scale, shape, element);
}

RowSourcePtr mlir::fdpp::makeConcatSource(std::vector<RowPart> parts,
                                          int64_t elementBytes) {
  return std::make_unique<ConcatSource>(std::move(parts), elementBytes);
}

RowSourcePtr mlir::fdpp::makeTransposeSource(RowSourcePtr source,
                                             int64_t elementBytes) {
  return std::make_unique<TransposeSource>(std::move(source), elementBytes);
}

RowSourcePtr mlir::fdpp::makeCastSource(RowSourcePtr source, Type from,
                                        Type to) {
  return std::make_unique<CastSource>(std::move(source), from, to);
}
