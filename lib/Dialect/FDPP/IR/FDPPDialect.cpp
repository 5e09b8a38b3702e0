// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Registration of the fdpp dialect, its attributes and operations.

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Interfaces/FoldInterfaces.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::fdpp;

#include "fdpp/Dialect/FDPP/IR/FDPPDialect.cpp.inc"
#include "fdpp/Dialect/FDPP/IR/FDPPEnums.cpp.inc"
#include "fdpp/Dialect/FDPP/IR/FDPPInterfaces.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "fdpp/Dialect/FDPP/IR/FDPPAttributes.cpp.inc"

namespace {
/// Keeps constants inside epilogues: they belong to the emitted struct's body
/// and not to the function around it.
struct FDPPFoldInterface : public DialectFoldInterface {
  using DialectFoldInterface::DialectFoldInterface;
  bool shouldMaterializeInto(Region *region) const final {
    return isa<EpilogueInterface>(region->getParentOp());
  }
};
} // namespace

void FDPPDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "fdpp/Dialect/FDPP/IR/FDPPAttributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "fdpp/Dialect/FDPP/IR/FDPPOps.cpp.inc"
      >();
  addInterfaces<FDPPFoldInterface>();
}

/// Passes read these attributes without asking what they are.
LogicalResult FDPPDialect::verifyOperationAttribute(Operation *op,
                                                    NamedAttribute attribute) {
  StringRef name = attribute.getName();
  Attribute value = attribute.getValue();
  if (name == kModelAttr && !isa<ModelAttr>(value))
    return op->emitError() << "'" << name << "' is no #fdpp.model";
  if ((name == kEntryAttr || name == "fdpp.name") && !isa<StringAttr>(value))
    return op->emitError() << "'" << name << "' is no string";
  if (name == "fdpp.epilogues") {
    auto names = dyn_cast<ArrayAttr>(value);
    if (!names || !llvm::all_of(names, llvm::IsaPred<StringAttr>))
      return op->emitError() << "'" << name << "' is no list of strings";
  }
  return success();
}

LogicalResult FDPPDialect::verifyRegionArgAttribute(Operation *op, unsigned,
                                                    unsigned index,
                                                    NamedAttribute attribute) {
  StringRef name = attribute.getName();
  if (name == kRoleAttr && !isa<StringAttr>(attribute.getValue()))
    return op->emitError() << "argument " << index << ": '" << name
                           << "' is no string";
  auto most = dyn_cast<IntegerAttr>(attribute.getValue());
  if (name == kMaxAttr &&
      (!most || most.getValue().getSignificantBits() > 32 || most.getInt() < 1))
    return op->emitError() << "argument " << index << ": '" << name
                           << "' is no number from 1 to 2^31 - 1";
  return success();
}

LogicalResult SegmentAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                  int64_t columns, PartnerKind partner,
                                  int64_t group, int64_t dest) {
  if (columns <= 0)
    return emitError() << "a segment has at least one column, not " << columns;
  if (dest < 0)
    return emitError() << "a segment's destination is an index, not " << dest;
  if (partner == PartnerKind::Half &&
      (group <= 0 || group % 2 != 0 || columns % group != 0))
    return emitError() << "partner 'half' needs an even group that divides "
                       << columns << " columns, not " << group;
  if (partner == PartnerKind::GateUp && columns % 2 != 0)
    return emitError() << "partner 'gate_up' needs an even number of columns, "
                          "not "
                       << columns;
  return success();
}
