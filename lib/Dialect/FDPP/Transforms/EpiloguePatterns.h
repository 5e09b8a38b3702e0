// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a fused linear's epilogues can take over from the operations that read
// its results.

#ifndef FDPP_LIB_DIALECT_FDPP_TRANSFORMS_EPILOGUEPATTERNS_H
#define FDPP_LIB_DIALECT_FDPP_TRANSFORMS_EPILOGUEPATTERNS_H

#include "FusedParts.h"

namespace mlir::fdpp {

/// What became of an attempt: the operation that took over another one's work,
/// or why it cannot. Nothing of both: no rule applies.
struct Attempt {
  FusedLinearOp fused;
  std::string obstacle;

  static Attempt done(FusedLinearOp op) { return {op, ""}; }
  static Attempt missed(const Twine &why) { return {nullptr, why.str()}; }
};

/// Splits a segment whose result is only read as column ranges that cover it.
Attempt splitSegment(FusedLinearOp op, unsigned segment);

/// Takes over `user`, the only reader of what `segment` stores.
Attempt absorb(FusedLinearOp op, unsigned segment, Operation *user);

/// The operation that alone reads what `segment` stores, if its destination is
/// the segment's alone; else null.
Operation *onlyReader(FusedLinearOp op, unsigned segment);

} // namespace mlir::fdpp

#endif // FDPP_LIB_DIALECT_FDPP_TRANSFORMS_EPILOGUEPATTERNS_H
