// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef FDPP_ENGINE_INTERRUPT_H
#define FDPP_ENGINE_INTERRUPT_H

#include "llvm/ADT/StringRef.h"

namespace mlir::fdpp {

/// On SIGINT and SIGTERM the process removes the folder last given to
/// removeOnInterrupt() and exits with 130.
void installInterruptHandler();

/// Names the unfinished folder; "" for none. At most 4095 bytes.
void removeOnInterrupt(llvm::StringRef folder);

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_INTERRUPT_H
