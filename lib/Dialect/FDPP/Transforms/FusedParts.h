// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A fused linear taken apart, to be put together with other segments.

#ifndef FDPP_LIB_DIALECT_FDPP_TRANSFORMS_FUSEDPARTS_H
#define FDPP_LIB_DIALECT_FDPP_TRANSFORMS_FUSEDPARTS_H

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/IR/Builders.h"

namespace mlir::fdpp {

/// One column segment and its epilogue.
class EpiloguePart {
public:
  int64_t columns = 0;
  PartnerKind partner = PartnerKind::None;
  int64_t group = 0;
  /// Index into FusedParts::dests.
  unsigned dest = 0;

  /// Stores the value as it is.
  static EpiloguePart plain(MLIRContext *context, Location loc, int64_t columns,
                            unsigned dest);

  Block &body() const { return region->front(); }
  Value value() const { return body().getArgument(0); }
  Value partnerValue() const { return body().getArgument(1); }
  Value row() const { return body().getArgument(2); }
  Value column() const { return body().getArgument(3); }
  Value old() const { return body().getArgument(4); }

  /// The segment's store, or null if it ends otherwise.
  StoreOp store() const { return dyn_cast<StoreOp>(body().getTerminator()); }
  /// The location of the value that the segment stores, see Provenance.h.
  void computes(Location loc) { body().getTerminator()->setLoc(loc); }
  unsigned numValues() const { return partner == PartnerKind::Half ? 2 : 1; }

  /// Replaces each value that is stored by what `change` makes of it; `column`
  /// is the value's own column.
  void
  mapValues(function_ref<Value(OpBuilder &, Value value, Value column)> change);

  /// Turns a segment without partner into one of rotary pairs: the second value
  /// is what the body makes of the partner, `group / 2` columns further.
  void pairWithinGroups(int64_t group);

  /// The values of this segment's `columns` columns from `offset` on.
  EpiloguePart slice(int64_t offset, int64_t columns, unsigned dest) const;

  /// A segment of gates and a segment of ups of the same width as one, storing
  /// `combine(gate, up)`.
  static EpiloguePart
  gateUp(const EpiloguePart &gate, const EpiloguePart &up,
         function_ref<Value(OpBuilder &, Value gate, Value up)> combine);

  std::unique_ptr<Region> region;
};

/// The norm of the rows on their way in; none without a gamma.
struct RowNorm {
  RowNorm() = default;
  explicit RowNorm(RMSNormOp op)
      : gamma(op.getGamma()), epsOfLayer(op.getEpsOfLayer()),
        eps(op.getEpsAttr()) {}
  explicit RowNorm(LayerNormOp op)
      : gamma(op.getGamma()), beta(op.getBeta()),
        epsOfLayer(op.getEpsOfLayer()), eps(op.getEpsAttr()), centered(true) {}
  explicit RowNorm(FusedLinearOp op)
      : gamma(op.getGamma()), beta(op.getBeta()),
        epsOfLayer(op.getEpsOfLayer()), eps(op.getEpsAttr()),
        centered(op.getCentered()) {}

  Value gamma, beta, epsOfLayer;
  FloatAttr eps;
  bool centered = false;
};

struct FusedParts {
  struct Dest {
    Value init;
    /// The value whose uses the new result takes over; null if none.
    Value replaces;
  };

  /// A linear as a fused linear with one segment, bias captured. Its
  /// destination is the linear's, or a new one.
  FusedParts(OpBuilder &builder, LinearOp op);
  /// Takes the epilogues out of `op`, which must be replaced by `build`.
  explicit FusedParts(FusedLinearOp op);

  /// Builds the op at the builder's place, with the destinations that are
  /// stored to, and hands over the uses.
  FusedLinearOp build(OpBuilder &builder);

  Location loc;
  Value input, weight;
  RowNorm norm;
  SmallVector<EpiloguePart, 0> parts;
  SmallVector<Dest> dests;
  /// Operations that the epilogues now do, users before producers.
  SmallVector<Operation *> absorbed;
};

/// Rewrites `op` in place by `edit` and erases it and what it absorbed.
FusedLinearOp
editFusedLinear(FusedLinearOp op,
                function_ref<void(OpBuilder &, FusedParts &)> edit);

} // namespace mlir::fdpp

#endif // FDPP_LIB_DIALECT_FDPP_TRANSFORMS_FUSEDPARTS_H
