// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef FDPP_ENGINE_INTERRUPT_H
#define FDPP_ENGINE_INTERRUPT_H

#include "llvm/ADT/StringRef.h"

namespace mlir::fdpp {

/// On SIGINT and SIGTERM the process removes the folder last given to
/// removeOnInterrupt() and exits with 130; on a crash too, with one line and
/// with 70.
void installInterruptHandler();

/// What that line says the process was doing.
void noteStage(llvm::StringRef name);

/// Names the unfinished folder; "" for none. At most 4095 bytes.
void removeOnInterrupt(llvm::StringRef folder);

/// Puts interrupts off while it lives: a folder that is made has no name to be
/// removed by yet. One at a time.
struct HeldInterrupts {
  HeldInterrupts();
  ~HeldInterrupts();
  HeldInterrupts(const HeldInterrupts &) = delete;
};

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_INTERRUPT_H
