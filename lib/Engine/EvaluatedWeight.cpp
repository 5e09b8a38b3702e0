// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Blocks of a weight in the order in which an engine stores them.

#include "RowSource.h"
#include "fdpp/Engine/StoredWeight.h"
#include "fdpp/Engine/WeightEvaluator.h"

#include <cstring>

using namespace mlir;
using namespace mlir::fdpp;

/// Bytes a block aims at: small enough for the cache of a core, large enough
/// that handing blocks around costs nothing.
static constexpr int64_t kBlockBytes = 1 << 20;

EvaluatedWeight::EvaluatedWeight(
    WeightOp weight, std::vector<std::unique_ptr<const RowSource>> layers)
    : weight(weight), layers(std::move(layers)) {
  MatrixShape shape = MatrixShape::of(weight.getTensorType().getShape());
  rows = shape.rows;
  columns = shape.columns;
  elementBytes = getStoredType(weight.getTensorType().getElementType())->bytes;
  if (std::optional<PanelsAttr> layout = weight.getLayout()) {
    order = getPanelRows(*layout, rows);
    panel = layout->getPanel();
    interleave = layout->getInterleave();
    tiles = layout->getOrder() == PanelOrder::Tiles;
  }
  units = order.empty() ? rows : order.size() / panel;
  int64_t unitBytes = panel * columns * elementBytes;
  unitsPerBlock =
      std::max<int64_t>(1, kBlockBytes / std::max<int64_t>(1, unitBytes));
  blocksPerLayer = llvm::divideCeil(units, unitsPerBlock);
}

EvaluatedWeight::EvaluatedWeight(EvaluatedWeight &&) = default;
EvaluatedWeight::~EvaluatedWeight() = default;

void EvaluatedWeight::readBlock(int64_t index, std::vector<char> &out) const {
  const RowSource &source = *layers[index / blocksPerLayer];
  int64_t first = index % blocksPerLayer * unitsPerBlock;
  int64_t count = std::min(unitsPerBlock, units - first);
  if (order.empty())
    readRows(source, first, count, out);
  else
    readPanels(source, first, count, out);
}

void EvaluatedWeight::readRows(const RowSource &source, int64_t first,
                               int64_t count, std::vector<char> &out) const {
  out.resize(count * columns * elementBytes);
  source.read({first, count, 0, columns}, out.data());
}

namespace {
/// Stores `panel` rows, given row-major, side by side: `interleave` elements of
/// one row, then those of the next. A short last group is filled with zeros.
template <typename Group>
void interleaveRows(const char *rows, int64_t panel, int64_t rowBytes,
                    char *out) {
  int64_t whole = rowBytes / sizeof(Group), rest = rowBytes % sizeof(Group);
  for (int64_t g = 0; g < whole; ++g)
    for (int64_t r = 0; r < panel; ++r)
      std::memcpy(out + (g * panel + r) * sizeof(Group),
                  rows + r * rowBytes + g * sizeof(Group), sizeof(Group));
  if (rest == 0)
    return;
  out += whole * panel * sizeof(Group);
  std::memset(out, 0, panel * sizeof(Group));
  for (int64_t r = 0; r < panel; ++r)
    std::memcpy(out + r * sizeof(Group),
                rows + r * rowBytes + whole * sizeof(Group), rest);
}

/// The same for groups of 128 bytes, whose 16-byte chunk c goes to c xor
/// (r mod 8).
void swizzleRows(const char *rows, int64_t panel, int64_t rowBytes, char *out) {
  constexpr int64_t tileBytes = 128, chunk = 16;
  for (int64_t at = 0; at < rowBytes; at += tileBytes, out += panel * tileBytes)
    for (int64_t r = 0; r < panel; ++r) {
      char row[tileBytes] = {};
      std::memcpy(row, rows + r * rowBytes + at,
                  std::min(tileBytes, rowBytes - at));
      for (int64_t c = 0; c < tileBytes / chunk; ++c)
        std::memcpy(out + r * tileBytes + (c ^ (r & 7)) * chunk,
                    row + c * chunk, chunk);
    }
}

void interleaveRows(const char *rows, int64_t panel, int64_t rowBytes,
                    int64_t groupBytes, char *out) {
  switch (groupBytes) {
  case 1:
    return interleaveRows<uint8_t>(rows, panel, rowBytes, out);
  case 2:
    return interleaveRows<uint16_t>(rows, panel, rowBytes, out);
  case 4:
    return interleaveRows<uint32_t>(rows, panel, rowBytes, out);
  case 8:
    return interleaveRows<uint64_t>(rows, panel, rowBytes, out);
  }
  llvm_unreachable("interleaved elements of this size");
}
} // namespace

void EvaluatedWeight::readPanels(const RowSource &source, int64_t first,
                                 int64_t count, std::vector<char> &out) const {
  int64_t groupBytes = interleave * elementBytes;
  int64_t rowBytes = columns * elementBytes;
  int64_t panelBytes =
      llvm::divideCeil(columns, interleave) * panel * groupBytes;
  out.resize(count * panelBytes);
  std::vector<char> gathered(panel * rowBytes);
  for (int64_t p = 0; p < count; ++p) {
    ArrayRef<int64_t> wanted =
        ArrayRef<int64_t>(order).slice((first + p) * panel, panel);
    for (int64_t r = 0, run; r < panel; r += run) {
      // Neighbouring rows of the source are read together.
      for (run = 1; r + run < panel && wanted[r] >= 0 &&
                    wanted[r + run] == wanted[r] + run;)
        ++run;
      char *to = gathered.data() + r * rowBytes;
      if (wanted[r] >= 0)
        source.read({wanted[r], run, 0, columns}, to);
      else
        std::memset(to, 0, rowBytes);
    }
    char *to = out.data() + p * panelBytes;
    if (tiles)
      swizzleRows(gathered.data(), panel, rowBytes, to);
    else
      interleaveRows(gathered.data(), panel, rowBytes, groupBytes, to);
  }
}
