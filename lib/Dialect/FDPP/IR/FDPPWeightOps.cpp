// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights: where their elements come from and in which order they are stored.

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

using namespace mlir;
using namespace mlir::fdpp;

static LogicalResult verifySource(WeightOp op, Attribute source) {
  if (isa<SeededAttr>(source))
    return success();
  if (auto file = dyn_cast<FileAttr>(source)) {
    RankedTensorType type = op.getTensorType();
    int64_t bytes = type.getNumElements() *
                    llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    if (file.getBytes() != bytes)
      return op.emitOpError()
             << "of type " << type << " needs " << bytes
             << " bytes, the file range has " << file.getBytes();
    return success();
  }
  if (auto dense = dyn_cast<ElementsAttr>(source)) {
    if (dense.getShapedType() != op.getTensorType())
      return op.emitOpError()
             << "has inline elements of type " << dense.getShapedType()
             << ", expected " << op.getTensorType();
    return success();
  }
  return op.emitOpError() << "has an unknown source " << source;
}

static LogicalResult verifyInit(WeightOp op) {
  Block &body = op.getInit().front();
  if (body.getNumArguments() != 1 || !body.getArgument(0).getType().isIndex())
    return op.emitOpError("init region takes one index, the layer");
  auto yield = body.mightHaveTerminator()
                   ? dyn_cast<YieldOp>(body.getTerminator())
                   : YieldOp();
  if (!yield || yield.getNumOperands() != 1 ||
      yield.getOperand(0).getType() != op.getTensorType())
    return op.emitOpError()
           << "init region must yield one " << op.getTensorType();
  return success();
}

/// Larger than any kernel's, and small enough to be written out row by row.
static LogicalResult verifyLayout(WeightOp op, PanelsAttr layout) {
  constexpr int64_t mostRows = 1024, mostInterleaved = 64;
  if (op.getTensorType().getRank() != 2)
    return op.emitOpError("with a panel layout must be a matrix");
  if (layout.getPanel() < 1 || layout.getPanel() > mostRows ||
      layout.getInterleave() < 1 || layout.getInterleave() > mostInterleaved)
    return op.emitOpError()
           << "has panels of " << layout.getPanel() << " rows, interleaved by "
           << layout.getInterleave() << "; expected 1 to " << mostRows
           << " and 1 to " << mostInterleaved;
  constexpr int64_t tileBits = 128 * 8;
  Type element = op.getTensorType().getElementType();
  if (layout.getOrder() == PanelOrder::Tiles &&
      (layout.getPanel() % 16 != 0 || !element.isIntOrFloat() ||
       layout.getInterleave() * element.getIntOrFloatBitWidth() != tileBits))
    return op.emitOpError()
           << "has tiles of " << layout.getPanel() << " rows of "
           << layout.getInterleave() << " " << element
           << "; expected 16 rows, or a multiple, of 128 "
              "bytes";
  if (layout.getSegments().empty())
    return success();
  const int64_t rows = op.getTensorType().getDimSize(0);
  int64_t left = rows;
  for (SegmentAttr segment : layout.getSegments())
    left = left < segment.getColumns() ? -1 : left - segment.getColumns();
  if (left != 0)
    return op.emitOpError()
           << "has " << rows << " rows, which are not those of its segments";
  return success();
}

LogicalResult WeightOp::verify() {
  RankedTensorType type = getTensorType();
  if (!type.hasStaticShape())
    return emitOpError() << "must have a static shape, not " << type;
  if (getLayers() < 1)
    return emitOpError() << "has " << getLayers() << " layers";
  if (getLayout() && failed(verifyLayout(*this, *getLayout())))
    return failure();
  bool hasInit = !getInit().empty();
  if (hasInit == getSources().has_value())
    return emitOpError("needs either sources or an init region");
  if (hasInit)
    return verifyInit(*this);
  if (getSources()->size() != static_cast<uint64_t>(getLayers()))
    return emitOpError() << "has " << getLayers() << " layers and "
                         << getSources()->size() << " sources";
  ArrayAttr sources = *getSources();
  for (Attribute source : sources)
    if (failed(verifySource(*this, source)))
      return failure();
  return success();
}

LogicalResult WeightAtOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto weight =
      symbolTable.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight)
    return emitOpError() << "no weight @" << getWeight();
  auto type = cast<ShapedType>(getResult().getType());
  if (type.getShape() != weight.getTensorType().getShape() ||
      type.getElementType() != weight.getTensorType().getElementType())
    return emitOpError() << "@" << getWeight() << " is a "
                         << weight.getTensorType() << ", not a " << type;
  if (weight.isBank() != static_cast<bool>(getLayer()))
    return emitOpError() << "@" << getWeight()
                         << (weight.isBank()
                                 ? " is a bank and needs a layer"
                                 : " is no bank and takes no layer");
  return success();
}

LogicalResult LayerConstantOp::verify() {
  auto type = cast<ShapedType>(getValues().getType());
  if (type.getRank() == 1 && type.getElementType() == getResult().getType())
    return success();
  return emitOpError() << "has values of type " << type << ", expected a list "
                       << "of " << getResult().getType();
}

LogicalResult TransposeOp::verify() {
  auto input = cast<ShapedType>(getInput().getType());
  auto result = cast<ShapedType>(getResult().getType());
  if (input.getRank() != 2 || result.getRank() != 2 ||
      input.getDimSize(0) != result.getDimSize(1) ||
      input.getDimSize(1) != result.getDimSize(0) ||
      input.getElementType() != result.getElementType())
    return emitOpError() << "cannot turn " << input << " into " << result;
  return success();
}

//===----------------------------------------------------------------------===//
// Panel order.
//===----------------------------------------------------------------------===//

namespace {
/// Appends a panel, or a half: rows `first`, `first + 1`, ... up to `count`
/// valid ones.
void appendPanel(SmallVectorImpl<int64_t> &rows, int64_t first, int64_t count,
                 int64_t panel) {
  for (int64_t i = 0; i < panel; ++i)
    rows.push_back(i < count ? first + i : -1);
}

/// Appends panels of `count` rows from `first`, each followed by the panel of
/// its partners `distance` rows further when `distance` > 0.
void appendRun(SmallVectorImpl<int64_t> &rows, int64_t first, int64_t count,
               int64_t distance, int64_t panel) {
  for (int64_t i = 0; i < count; i += panel) {
    int64_t valid = std::min(panel, count - i);
    appendPanel(rows, first + i, valid, panel);
    if (distance > 0)
      appendPanel(rows, first + i + distance, valid, panel);
  }
}
} // namespace

SmallVector<int64_t> mlir::fdpp::getPanelRows(PanelsAttr layout, int64_t rows) {
  SmallVector<int64_t> order;
  int64_t panel = layout.getPanel();
  // Rows that lie together before their partners do.
  int64_t run = layout.getOrder() == PanelOrder::Tiles ? panel / 2 : panel;
  if (layout.getSegments().empty()) {
    appendRun(order, 0, rows, 0, panel);
    return order;
  }
  int64_t first = 0;
  for (SegmentAttr segment : layout.getSegments()) {
    int64_t columns = segment.getColumns();
    switch (segment.getPartner()) {
    case PartnerKind::None:
      appendRun(order, first, columns, 0, panel);
      break;
    case PartnerKind::Half:
      for (int64_t g = 0; g < columns; g += segment.getGroup())
        appendRun(order, first + g, segment.getGroup() / 2,
                  segment.getGroup() / 2, run);
      break;
    case PartnerKind::GateUp:
      appendRun(order, first, columns / 2, columns / 2, run);
      break;
    }
    first += columns;
  }
  return order;
}
