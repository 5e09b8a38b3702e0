// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What operations of the dialect have in common.

#ifndef FDPP_DIALECT_FDPP_IR_FDPPINTERFACES_TD
#define FDPP_DIALECT_FDPP_IR_FDPPINTERFACES_TD

include "mlir/IR/OpBase.td"

def FDPP_EpilogueInterface : OpInterface<"EpilogueInterface"> {
  let description = [{
    An operation that ends a linear: a region for each segment of columns, which
    stores in one of the destinations.
  }];
  let cppNamespace = "::mlir::fdpp";
  let methods = [
    InterfaceMethod<"The segments, one for each region.", "::mlir::ArrayAttr",
                    "getSegments">,
    InterfaceMethod<"The destinations.", "::mlir::OperandRange", "getOuts">,
    InterfaceMethod<"The regions.", "::mlir::MutableArrayRef<::mlir::Region>",
                    "getEpilogues">
  ];
  let extraSharedClassDeclaration = [{
    /// The segment at index `i`.
    ::mlir::fdpp::SegmentAttr getSegment(unsigned i) {
      return ::mlir::cast<::mlir::fdpp::SegmentAttr>($_op.getSegments()[i]);
    }
  }];
}

#endif // FDPP_DIALECT_FDPP_IR_FDPPINTERFACES_TD
