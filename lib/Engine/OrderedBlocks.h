// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Produces blocks on several threads and consumes them in order on the
// caller's, holding a bounded number of them.

#ifndef FDPP_LIB_ENGINE_ORDEREDBLOCKS_H
#define FDPP_LIB_ENGINE_ORDEREDBLOCKS_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <vector>

namespace mlir::fdpp {

/// Calls `produce(i, block)` for i in [0, count) on `threads` threads, and
/// `consume(i, block)` in rising order of i on this one. Stops at the first
/// error of consume and returns it. `produce` must be thread-safe.
llvm::Error streamBlocks(
    int64_t count, unsigned threads,
    llvm::function_ref<void(int64_t, std::vector<char> &)> produce,
    llvm::function_ref<llvm::Error(int64_t, llvm::ArrayRef<char>)> consume);

} // namespace mlir::fdpp

#endif // FDPP_LIB_ENGINE_ORDEREDBLOCKS_H
