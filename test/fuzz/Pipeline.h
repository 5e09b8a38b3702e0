// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The compiler up to the text it prints, for the fuzzers of its inputs.
#ifndef FDPP_TEST_FUZZ_PIPELINE_H
#define FDPP_TEST_FUZZ_PIPELINE_H

#include "Fuzz.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

namespace fuzz {

/// Runs `load` and, if it gives a module, every phase up to the printed source.
/// Whatever fails must have said why. Inputs share a context, which is renewed
/// now and then: what MLIR makes unique it keeps as long as the context lives.
void compile(
    llvm::function_ref<mlir::OwningOpRef<mlir::ModuleOp>(mlir::MLIRContext *)>
        load);

} // namespace fuzz

#endif // FDPP_TEST_FUZZ_PIPELINE_H
