// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The contract of each phase, checked.

#ifndef FDPP_PIPELINES_VERIFYPHASE_H
#define FDPP_PIPELINES_VERIFYPHASE_H

#include "fdpp/Pipelines/Phases.h"

#include "mlir/Support/LLVM.h"

namespace fdpp {

/// Fails with an error at the first operation that `phase` does not allow. The
/// error names the operation, the phase and the pass that should have removed
/// it; its location is the operation's place in the ONNX graph.
mlir::LogicalResult verifyPhase(mlir::ModuleOp module, Phase phase);

/// Adds `--fdpp-verify-phase=PHASE` to a pipeline.
void addVerifyPhase(Phase phase, mlir::OpPassManager &passes);

/// Registers `--fdpp-verify-phase`.
void registerVerifyPhasePass();

} // namespace fdpp

#endif // FDPP_PIPELINES_VERIFYPHASE_H
