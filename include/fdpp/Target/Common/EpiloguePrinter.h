// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prints the epilogue regions of linears as structs.

#ifndef FDPP_TARGET_COMMON_EPILOGUEPRINTER_H
#define FDPP_TARGET_COMMON_EPILOGUEPRINTER_H

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Target/Common/Text.h"

namespace fdpp {

/// What an epilogue takes from outside, in the order of the struct's fields.
struct Capture {
  mlir::Value value;
  std::string name;
};

/// The name of a value an entry holds: a buffer's `fdpp.name`, an argument's
/// role, a weight's symbol, or "layer".
std::string valueName(mlir::Value value);

/// Fields of epilogue `i`: the destination first, then captures by first use.
llvm::SmallVector<Capture> epilogueCaptures(mlir::fdpp::EpilogueInterface op,
                                            unsigned i);

/// Prints the struct of epilogue `i` under the name `fdpp.epilogues` gives it,
/// its body with a function's `qualifier`.
void printEpilogue(mlir::fdpp::EpilogueInterface op, unsigned i,
                   llvm::StringRef qualifier, llvm::raw_ostream &os);

} // namespace fdpp

#endif // FDPP_TARGET_COMMON_EPILOGUEPRINTER_H
