// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/Safetensors.h"

#include "OrderedBlocks.h"
#include "OutputFile.h"
#include "fdpp/Engine/StoredWeight.h"

#include "llvm/Support/Endian.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::fdpp;

static constexpr uint64_t kAlignment = 64;

/// The length field and the JSON header, padded so that data begins aligned.
static std::string makeHeader(ArrayRef<EvaluatedWeight> weights) {
  std::string text(8, '\0');
  llvm::raw_string_ostream stream(text);
  llvm::json::OStream json(stream);
  uint64_t begin = 0;
  json.objectBegin();
  for (const EvaluatedWeight &evaluated : weights) {
    WeightOp weight = evaluated.getWeight();
    uint64_t end = begin + getStoredBytes(weight);
    SmallVector<int64_t> shape = getStoredShape(weight);
    if (weight.isBank())
      shape.insert(shape.begin(), weight.getLayers());
    json.attributeObject(weight.getSymName(), [&] {
      json.attribute(
          "dtype",
          getStoredType(weight.getTensorType().getElementType())->safetensors);
      json.attributeArray("shape", [&] {
        for (int64_t extent : shape)
          json.value(extent);
      });
      json.attributeArray("data_offsets", [&] {
        json.value(begin);
        json.value(end);
      });
    });
    begin = llvm::alignTo(end, kAlignment);
  }
  json.objectEnd();
  stream.flush();
  text.resize(llvm::alignTo(text.size(), kAlignment), ' ');
  llvm::support::endian::write64le(text.data(), text.size() - 8);
  return text;
}

namespace {
/// Blocks of all weights under one running number.
class BlockTable {
public:
  explicit BlockTable(ArrayRef<EvaluatedWeight> weights) : weights(weights) {
    for (const EvaluatedWeight &weight : weights)
      ends.push_back(count() + weight.getNumBlocks());
  }
  int64_t count() const { return ends.empty() ? 0 : ends.back(); }
  void read(int64_t index, std::vector<char> &out) const {
    size_t weight = llvm::upper_bound(ends, index) - ends.begin();
    weights[weight].readBlock(index - (weight ? ends[weight - 1] : 0), out);
  }
  bool endsWeight(int64_t index) const {
    return llvm::is_contained(ends, index + 1);
  }

private:
  ArrayRef<EvaluatedWeight> weights;
  std::vector<int64_t> ends;
};
} // namespace

llvm::Expected<FileDigest> mlir::fdpp::writeSafetensors(
    ArrayRef<EvaluatedWeight> weights, StringRef path, unsigned threads,
    llvm::function_ref<void(uint64_t, uint64_t)> progress) {
  std::string header = makeHeader(weights);
  uint64_t total = header.size();
  for (const EvaluatedWeight &weight : weights)
    total =
        llvm::alignTo(total, kAlignment) + getStoredBytes(weight.getWeight());
  llvm::Expected<OutputFile> file = OutputFile::create(path, total);
  if (!file)
    return file.takeError();
  if (llvm::Error error = file->append(header))
    return std::move(error);
  BlockTable blocks(weights);
  auto produce = [&](int64_t index, std::vector<char> &block) {
    blocks.read(index, block);
  };
  auto consume = [&](int64_t index, ArrayRef<char> block) -> llvm::Error {
    if (llvm::Error error = file->append({block.data(), block.size()}))
      return error;
    progress(file->size(), total);
    static constexpr char zeros[kAlignment] = {};
    uint64_t gap =
        llvm::offsetToAlignment(file->size(), llvm::Align(kAlignment));
    if (!blocks.endsWeight(index) || index + 1 == blocks.count())
      return llvm::Error::success();
    return file->append({zeros, gap});
  };
  if (llvm::Error error =
          streamBlocks(blocks.count(), threads, produce, consume))
    return std::move(error);
  return file->finish();
}
