// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --fdpp-pack-weights

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/FDPP/Transforms/Passes.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Remarks.h"

namespace mlir::fdpp {
#define GEN_PASS_DEF_FDPPPACKWEIGHTS
#include "fdpp/Dialect/FDPP/Transforms/Passes.h.inc"
} // namespace mlir::fdpp

using namespace mlir;
using namespace mlir::fdpp;

/// Rows of a panel: the 16 lanes of f32 every kernel of a CPU works on, and a
/// tile of matrix units.
static constexpr int64_t kPanelRows = 16;

/// The segments as far as the order of rows goes. Segments without partners
/// that follow each other on whole panels are one, so that a plain linear and
/// a table that is only gathered agree.
static SmallVector<SegmentAttr> rowOrder(FusedLinearOp op) {
  SmallVector<SegmentAttr> segments;
  for (unsigned i = 0; i < op.getSegments().size(); ++i) {
    SegmentAttr s = op.getSegment(i);
    segments.push_back(SegmentAttr::get(op.getContext(), s.getColumns(),
                                        s.getPartner(), s.getGroup(), 0));
  }
  bool plain =
      segments.size() == 1 && segments[0].getPartner() == PartnerKind::None;
  return plain ? SmallVector<SegmentAttr>() : segments;
}

/// Bytes of a row of a tile.
static constexpr int64_t kTileBytes = 128;

static PanelsAttr layoutForCPU(FusedLinearOp op) {
  auto type = cast<ShapedType>(op.getWeight().getType());
  int64_t interleave = type.getElementType().isBF16() ? 2 : 1;
  return PanelsAttr::get(op.getContext(), kPanelRows, interleave,
                         PanelOrder::Rows, rowOrder(op));
}

static PanelsAttr layoutForCUDA(FusedLinearOp op) {
  auto type = cast<ShapedType>(op.getWeight().getType());
  if (type.getElementTypeBitWidth() != 16)
    return {};
  return PanelsAttr::get(op.getContext(), kPanelRows, kTileBytes / 2,
                         PanelOrder::Tiles, rowOrder(op));
}

static LogicalResult pack(FusedLinearOp op, bool forCUDA,
                          SymbolTableCollection &symbols) {
  auto at = op.getWeight().getDefiningOp<WeightAtOp>();
  if (!at)
    return op.emitOpError("reads a weight that is computed in the step; a "
                          "packed weight must be an fdpp.weight");
  auto weight =
      symbols.lookupNearestSymbolFrom<WeightOp>(at, at.getWeightAttr());
  PanelsAttr layout = forCUDA ? layoutForCUDA(op) : layoutForCPU(op);
  if (!layout)
    return op.emitOpError() << "has weights in "
                            << cast<ShapedType>(at.getType()).getElementType()
                            << "; cuda takes bf16 or f16 (--dtype)";
  if (!weight.getLayout()) {
    weight.setLayoutAttr(layout);
    remark::passed(weight.getLoc(),
                   remark::RemarkOpts::name("pack-weights").category("layout"))
        << "@" << weight.getSymName() << " packed in panels of "
        << std::to_string(kPanelRows) << " rows, k interleaved by "
        << std::to_string(layout.getInterleave());
    return success();
  }
  if (*weight.getLayout() != layout)
    return op.emitOpError()
           << "needs @" << weight.getSymName() << " in layout " << layout
           << ", another use needs " << *weight.getLayout();
  return success();
}

namespace {
struct PackWeightsPass
    : public mlir::fdpp::impl::FDPPPackWeightsBase<PackWeightsPass> {
  using Base::Base;

  void runOnOperation() override {
    if (target != "cpu" && target != "cuda") {
      getOperation().emitError("target '") << target << "' is not cpu or cuda";
      return signalPassFailure();
    }
    SymbolTableCollection symbols;
    WalkResult result = getOperation().walk([&](FusedLinearOp op) {
      return failed(pack(op, target == "cuda", symbols))
                 ? WalkResult::interrupt()
                 : WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
