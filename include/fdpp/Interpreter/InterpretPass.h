// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- InterpretPass.h - Logits of the module at hand -----------*- C++ -*-===//
#ifndef FDPP_INTERPRETER_INTERPRETPASS_H
#define FDPP_INTERPRETER_INTERPRETPASS_H

namespace mlir::fdpp {

/// Registers --fdpp-interpret, which runs the module, in whatever phase it is,
/// on one sequence of tokens and writes the logits of every position to a .npy
/// file. The module stays as it is.
void registerInterpretPass();

} // namespace mlir::fdpp

#endif // FDPP_INTERPRETER_INTERPRETPASS_H
