// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef FDPP_ENGINE_STAGELISTENER_H
#define FDPP_ENGINE_STAGELISTENER_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace mlir::fdpp {

/// Told what is being done, and how far it is: done of total, or 0 of 0.
using StageListener = llvm::function_ref<void(llvm::StringRef stage,
                                              uint64_t done, uint64_t total)>;

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_STAGELISTENER_H
