// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The kernel call that each planned operation is.

#ifndef FDPP_LIB_TARGET_COMMON_KERNELCALLS_H
#define FDPP_LIB_TARGET_COMMON_KERNELCALLS_H

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Target/Common/ModelPrinter.h"

#include <optional>
#include <string>

namespace fdpp {

/// head(arguments...), or head{arguments...} if it is an object.
struct Call {
  std::string head; ///< Name and template arguments.
  llvm::SmallVector<std::string> arguments;
  bool operator==(const Call &) const = default;
  std::string object() const;
};

/// The call of an operation other than a linear; nothing for operations that
/// only compute a value.
std::optional<Call> kernelCall(mlir::Operation *op, const TargetText &target);

/// The rows on their way into a linear, and epilogue `i`: objects, which are
/// printed with braces.
Call prologueObject(mlir::fdpp::FusedLinearOp op);
Call epilogueObject(mlir::fdpp::EpilogueInterface op, unsigned i);

/// `Variant<tokens, prefetch>`.
std::string variantText(mlir::fdpp::VariantAttr variant);

/// The ranges of M and the variants that a dispatch chooses from, as template
/// arguments of ByTokens; empty if its regions differ in more than that.
llvm::SmallVector<std::string> rangesOf(mlir::fdpp::DispatchOp dispatch);

} // namespace fdpp

#endif // FDPP_LIB_TARGET_COMMON_KERNELCALLS_H
