// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ParserGuard.h - Texts that libMLIR cannot survive --------*- C++ -*-===//
#ifndef FDPP_PIPELINES_PARSERGUARD_H
#define FDPP_PIPELINES_PARSERGUARD_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace mlir::fdpp {

/// Fails where `text`, the content of the file `name`, has an array attribute
/// of `index` or of a type alias. libMLIR 22.1.8 asks the element type of
/// `array<index>` for the width of a float, which it has none of, and crashes
/// (Parser::parseDenseArrayAttr); an alias may stand for `index`.
llvm::Error checkParsable(llvm::StringRef text, llvm::StringRef name);

} // namespace mlir::fdpp

#endif // FDPP_PIPELINES_PARSERGUARD_H
