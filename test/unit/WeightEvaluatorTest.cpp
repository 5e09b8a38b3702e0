// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/WeightEvaluator.h"
#include "fdpp/Engine/Safetensors.h"
#include "fdpp/Engine/StoredWeight.h"

#include "fdpp/Dialect/FDPP/IR/Seeded.h"
#include "kernels/common/packing.h"
#include "kernels/common/tiles.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <cstring>
#include <fstream>
#include <unistd.h>

using namespace mlir;
using namespace mlir::fdpp;
namespace kernels = ::fdpp;

namespace {

class WeightEvaluatorTest : public testing::Test {
protected:
  WeightEvaluatorTest() {
    context.loadDialect<arith::ArithDialect, func::FuncDialect,
                        tensor::TensorDialect, FDPPDialect>();
    EXPECT_FALSE(llvm::sys::fs::createUniqueDirectory("fdpp-weights", folder));
  }
  ~WeightEvaluatorTest() override { llvm::sys::fs::remove_directories(folder); }

  void parse(const std::string &text) {
    module = parseSourceString<ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    evaluator = std::make_unique<WeightEvaluator>(*module, folder);
  }

  WeightOp weight(StringRef name) {
    return module->lookupSymbol<WeightOp>(name);
  }

  /// All stored bytes of @name, as elements of T.
  template <typename T> std::vector<T> stored(StringRef name) {
    llvm::Expected<EvaluatedWeight> opened = evaluator->open(weight(name));
    EXPECT_TRUE(bool(opened)) << llvm::toString(opened.takeError());
    std::vector<char> bytes, block;
    for (int64_t i = 0; i < opened->getNumBlocks(); ++i) {
      opened->readBlock(i, block);
      bytes.insert(bytes.end(), block.begin(), block.end());
    }
    EXPECT_EQ(int64_t(bytes.size()), getStoredBytes(weight(name)));
    std::vector<T> elements(bytes.size() / sizeof(T));
    std::memcpy(elements.data(), bytes.data(), bytes.size());
    return elements;
  }

  std::string errorOf(StringRef name) {
    llvm::Expected<EvaluatedWeight> opened = evaluator->open(weight(name));
    return opened ? "opened" : llvm::toString(opened.takeError());
  }

  /// A file of the floats 0, 1, 2, ... after `skip` bytes.
  void writeFloats(StringRef name, int64_t count, int64_t skip) {
    std::ofstream file((folder + "/" + name).str(), std::ios::binary);
    file << std::string(skip, 'x');
    for (int64_t i = 0; i < count; ++i) {
      float value = i;
      file.write(reinterpret_cast<const char *>(&value), sizeof(value));
    }
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::unique_ptr<WeightEvaluator> evaluator;
  SmallString<128> folder;
};

TEST_F(WeightEvaluatorTest, FileRangesAndBanks) {
  writeFloats("w.data", 12, 8);
  parse(R"(fdpp.weight @w bank 2 [#fdpp.file<"w.data", 8, 24>,
                                  #fdpp.file<"w.data", 32, 24>] : tensor<2x3xf32>
           fdpp.weight @s [dense<2.5> : tensor<3xf32>] : tensor<3xf32>)");
  EXPECT_THAT(stored<float>("w"),
              testing::ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_THAT(stored<float>("s"), testing::ElementsAre(2.5, 2.5, 2.5));
  EXPECT_THAT(evaluator->getFiles(), testing::ElementsAre("w.data"));
}

TEST_F(WeightEvaluatorTest, InitRegions) {
  parse(R"(
    fdpp.weight @a bank 2 [dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>,
                           dense<[[5.0, 6.0], [7.0, 8.0]]> : tensor<2x2xf32>] : tensor<2x2xf32>
    fdpp.weight @b [dense<[[9.0], [1.00390625]]> : tensor<2x1xf32>] : tensor<2x1xf32>
    fdpp.weight @c bank 2 init {
    ^bb0(%layer: index):
      %one = arith.constant 1 : index
      %a = fdpp.weight_at @a[%layer] : tensor<2x2xf32>
      %last = fdpp.weight_at @a[%one] : tensor<2x2xf32>
      %b = fdpp.weight_at @b : tensor<2x1xf32>
      %t = fdpp.transpose %b : tensor<2x1xf32> -> tensor<1x2xf32>
      %at = fdpp.transpose %a : tensor<2x2xf32> -> tensor<2x2xf32>
      %all = tensor.concat dim(0) %at, %t, %last
        : (tensor<2x2xf32>, tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<5x2xf32>
      fdpp.yield %all : tensor<5x2xf32>
    } : tensor<5x2xf32>
    fdpp.weight @d init {
    ^bb0(%layer: index):
      %b = fdpp.weight_at @b : tensor<2x1xf32>
      %r = arith.truncf %b : tensor<2x1xf32> to tensor<2x1xbf16>
      %e = arith.extf %r : tensor<2x1xbf16> to tensor<2x1xf32>
      fdpp.yield %e : tensor<2x1xf32>
    } : tensor<2x1xf32>)");
  EXPECT_THAT(stored<float>("c"),
              testing::ElementsAre(1, 3, 2, 4, 9, 1.00390625, 5, 6, 7, 8, //
                                   5, 7, 6, 8, 9, 1.00390625, 5, 6, 7, 8));
  // 1 + 2^-8 lies half way between two bf16 and goes to the even one.
  EXPECT_THAT(stored<float>("d"), testing::ElementsAre(9, 1));
}

TEST_F(WeightEvaluatorTest, TransposedPanelsOfAFile) {
  writeFloats("w.data", 5 * 40, 0);
  parse(R"(
    fdpp.weight @w [#fdpp.file<"w.data", 0, 800>] : tensor<5x40xf32>
    fdpp.weight @t layout <panel = 16, interleave = 1> init {
    ^bb0(%layer: index):
      %w = fdpp.weight_at @w : tensor<5x40xf32>
      %t = fdpp.transpose %w : tensor<5x40xf32> -> tensor<40x5xf32>
      fdpp.yield %t : tensor<40x5xf32>
    } : tensor<40x5xf32>)");
  std::vector<float> packed = stored<float>("t");
  ASSERT_EQ(packed.size(), 3u * 16 * 5);
  for (int row = 0; row < 48; ++row)
    for (int k = 0; k < 5; ++k)
      EXPECT_EQ(packed[kernels::packed_index<float>(row, k, 5)],
                row < 40 ? k * 40 + row : 0);
}

/// Packs seeded<1> with the segments and compares with packing.h.
template <typename E>
void expectKernelOrder(ArrayRef<E> packed, int k,
                       ArrayRef<kernels::ColumnSegment> segments) {
  int64_t rows = 0;
  for (const kernels::ColumnSegment &segment : segments)
    rows += kernels::source_rows(segment);
  SeededScale scale = SeededScale::of({rows, k});
  int panel = 0;
  int64_t first = 0, real = 0;
  for (const kernels::ColumnSegment &segment : segments) {
    int count = kernels::segment_panels(segment) * kernels::panel_rows;
    for (int r = 0; r < count; ++r) {
      int row = kernels::source_row(segment, r);
      real += row >= 0;
      for (int c = 0; c < kernels::packed_k<E>(k); ++c) {
        E element = packed[kernels::packed_index<E>(
            panel * kernels::panel_rows + r, c, k)];
        bool zero = row < 0 || c >= k;
        float expected = zero ? 0 : scale.element(1, (first + row) * k + c);
        ASSERT_EQ(kernels::to_float(element),
                  kernels::to_float(kernels::from_float<E>(expected)))
            << "packed row " << r << ", k " << c;
      }
    }
    panel += kernels::segment_panels(segment);
    first += kernels::source_rows(segment);
  }
  EXPECT_EQ(real, rows);
  EXPECT_EQ(int64_t(packed.size()), kernels::packed_elements<E>(panel, k));
}

TEST_F(WeightEvaluatorTest, PanelsAreInTheKernelsOrder) {
  parse(R"(
    fdpp.weight @qkv [#fdpp.seeded<1>] layout <panel = 16, interleave = 2,
      [#fdpp.segment<columns = 144, partner = half, group = 48, dest = 0>,
       #fdpp.segment<columns = 20, dest = 1>]> : tensor<164x7xbf16>
    fdpp.weight @mlp [#fdpp.seeded<1>] layout <panel = 16, interleave = 1,
      [#fdpp.segment<columns = 74, partner = gate_up, dest = 0>]> : tensor<74x9xf16>
    fdpp.weight @head [#fdpp.seeded<1>] layout <panel = 16, interleave = 1> : tensor<50x3xf32>)");
  using kernels::Partner;
  expectKernelOrder<kernels::bf16>(
      stored<kernels::bf16>("qkv"), 7,
      {{Partner::half, 144, 48}, {Partner::none, 20}});
  expectKernelOrder<kernels::f16>(stored<kernels::f16>("mlp"), 9,
                                  {{Partner::gate_up, 37}});
  expectKernelOrder<float>(stored<float>("head"), 3, {{Partner::none, 50}});
}

/// Packs seeded<1> with the segments and compares with tiles.h.
template <typename E>
void expectTileOrder(ArrayRef<E> packed, int k,
                     ArrayRef<kernels::ColumnSegment> segments) {
  int64_t rows = 0;
  for (const kernels::ColumnSegment &segment : segments)
    rows += kernels::source_rows(segment);
  SeededScale scale = SeededScale::of({rows, k});
  int units = 0;
  int64_t first = 0, real = 0;
  const int whole = kernels::tiles_of(k) * kernels::tile_k;
  for (const kernels::ColumnSegment &segment : segments) {
    int count = kernels::tile_units(segment) * kernels::tile_rows;
    for (int r = 0; r < count; ++r) {
      int row = kernels::tile_source_row(segment, r);
      real += row >= 0;
      for (int c = 0; c < whole; ++c) {
        E element =
            packed[kernels::tile_index(units * kernels::tile_rows + r, c, k)];
        bool zero = row < 0 || c >= k;
        float expected = zero ? 0 : scale.element(1, (first + row) * k + c);
        ASSERT_EQ(kernels::to_float(element),
                  kernels::to_float(kernels::from_float<E>(expected)))
            << "packed row " << r << ", k " << c;
      }
    }
    units += kernels::tile_units(segment);
    first += kernels::source_rows(segment);
  }
  EXPECT_EQ(real, rows);
  EXPECT_EQ(int64_t(packed.size()), kernels::tile_elements(units, k));
}

TEST_F(WeightEvaluatorTest, TilesAreInTheKernelsOrder) {
  parse(R"(
    fdpp.weight @qkv [#fdpp.seeded<1>] layout <panel = 16, interleave = 64 as tiles,
      [#fdpp.segment<columns = 144, partner = half, group = 48, dest = 0>,
       #fdpp.segment<columns = 40, partner = half, group = 20, dest = 0>,
       #fdpp.segment<columns = 20, dest = 1>]> : tensor<204x130xbf16>
    fdpp.weight @mlp [#fdpp.seeded<1>] layout <panel = 16, interleave = 64 as tiles,
      [#fdpp.segment<columns = 74, partner = gate_up, dest = 0>]> : tensor<74x9xf16>
    fdpp.weight @head [#fdpp.seeded<1>] layout <panel = 16, interleave = 64 as tiles>
      : tensor<50x64xbf16>)");
  using kernels::Partner;
  expectTileOrder<kernels::bf16>(
      stored<kernels::bf16>("qkv"), 130,
      {{Partner::half, 144, 48}, {Partner::half, 40, 20}, {Partner::none, 20}});
  expectTileOrder<kernels::f16>(stored<kernels::f16>("mlp"), 9,
                                {{Partner::gate_up, 37}});
  expectTileOrder<kernels::bf16>(stored<kernels::bf16>("head"), 64,
                                 {{Partner::none, 50}});
}

TEST_F(WeightEvaluatorTest, SeededElementsAreThoseOfTheDocs) {
  // docs/engine-format.md, evaluated with Python integers and numpy.float32.
  EXPECT_EQ(seededUnit(0, 0), 0x1.d2a404p-1f);
  EXPECT_EQ(seededUnit(1, 0), -0x1.e5181p-3f);
  EXPECT_EQ(seededUnit(7, 123456789), -0x1.5167bp-2f);
}

TEST_F(WeightEvaluatorTest, Failures) {
  writeFloats("w.data", 6, 0);
  ASSERT_EQ(symlink("w.data", (folder + "/link.data").str().c_str()), 0);
  parse(R"(
    fdpp.weight @missing [#fdpp.file<"no.data", 0, 24>] : tensor<2x3xf32>
    fdpp.weight @short [#fdpp.file<"w.data", 4, 24>] : tensor<2x3xf32>
    fdpp.weight @before [#fdpp.file<"w.data", -4, 24>] : tensor<2x3xf32>
    fdpp.weight @up [#fdpp.file<"../w.data", 0, 24>] : tensor<2x3xf32>
    fdpp.weight @absolute [#fdpp.file<"/w.data", 0, 24>] : tensor<2x3xf32>
    fdpp.weight @link [#fdpp.file<"link.data", 0, 24>] : tensor<2x3xf32>
    fdpp.weight @type [dense<1> : tensor<2xi64>] : tensor<2xi64>
    fdpp.weight @op init {
    ^bb0(%layer: index):
      %w = fdpp.weight_at @short : tensor<2x3xf32>
      %n = arith.negf %w : tensor<2x3xf32>
      fdpp.yield %n : tensor<2x3xf32>
    } : tensor<2x3xf32>
    fdpp.weight @loop init {
    ^bb0(%layer: index):
      %w = fdpp.weight_at @loop : tensor<2x3xf32>
      fdpp.yield %w : tensor<2x3xf32>
    } : tensor<2x3xf32>)");
  using testing::HasSubstr;
  EXPECT_THAT(errorOf("missing"), HasSubstr("cannot read the weights"));
  EXPECT_THAT(errorOf("short"),
              HasSubstr("has 24 bytes, but weight @short lies at 4 to 28"));
  EXPECT_THAT(errorOf("before"), HasSubstr("lies at -4 to 20"));
  EXPECT_THAT(errorOf("up"), HasSubstr("leaves the model's folder"));
  EXPECT_THAT(errorOf("absolute"), HasSubstr("leaves the model's folder"));
  EXPECT_THAT(errorOf("link"), HasSubstr("is a link"));
  EXPECT_THAT(errorOf("type"), HasSubstr("elements of type i64"));
  EXPECT_THAT(errorOf("op"), HasSubstr("init region holds arith.negf"));
  EXPECT_THAT(errorOf("loop"), HasSubstr("reads the weight itself"));
}

TEST_F(WeightEvaluatorTest, SafetensorsAreAlignedAndInOrder) {
  parse(R"(
    fdpp.weight @unused [#fdpp.seeded<1>] : tensor<4xf32>
    fdpp.weight @norm bank 3 [#fdpp.seeded<1>, #fdpp.seeded<2>, #fdpp.seeded<3>] : tensor<5xf32>
    fdpp.weight @w [#fdpp.seeded<4>] layout <panel = 16, interleave = 2> : tensor<700x1000xbf16>
    func.func @f(%l: index) {
      %n = fdpp.weight_at @norm[%l] : tensor<5xf32>
      %w = fdpp.weight_at @w : tensor<700x1000xbf16>
      return
    })");
  std::vector<EvaluatedWeight> weights;
  for (WeightOp op : getStoredWeights(*module))
    weights.push_back(llvm::cantFail(evaluator->open(op)));
  ASSERT_EQ(weights.size(), 2u);
  std::string path = (folder + "/w.safetensors").str();
  uint64_t told = 0;
  llvm::Expected<FileDigest> digest = writeSafetensors(
      weights, path, 3, [&](uint64_t done, uint64_t) { told = done; });
  ASSERT_TRUE(bool(digest)) << llvm::toString(digest.takeError());
  auto file = llvm::MemoryBuffer::getFile(path);
  ASSERT_TRUE(bool(file));
  StringRef bytes = (*file)->getBuffer();
  EXPECT_EQ(bytes.size(), digest->bytes);
  EXPECT_EQ(told, digest->bytes);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  auto header = llvm::cantFail(llvm::json::parse(bytes.substr(8, length)));
  for (StringRef name : {"norm", "w"}) {
    auto *tensor = header.getAsObject()->getObject(name);
    ASSERT_TRUE(tensor);
    auto *offsets = tensor->getArray("data_offsets");
    uint64_t begin = *(*offsets)[0].getAsInteger() + 8 + length;
    EXPECT_EQ(begin % 64, 0u);
    std::vector<char> expected = stored<char>(name);
    EXPECT_TRUE(bytes.substr(begin, expected.size()) ==
                StringRef(expected.data(), expected.size()));
  }
  EXPECT_EQ(header.getAsObject()->size(), 2u);
}

} // namespace
