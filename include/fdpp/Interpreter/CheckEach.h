// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- CheckEach.h - Interpretation around every pass -----------*- C++ -*-===//
//
// An instrumentation of the pass manager that runs a random script on the model
// before the first pass and after every pass that changed the IR, and says
// which pass changed what the model computes.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_INTERPRETER_CHECKEACH_H
#define FDPP_INTERPRETER_CHECKEACH_H

#include "fdpp/Interpreter/Rounding.h"

#include <memory>
#include <set>
#include <string>

namespace mlir {
class PassManager;
} // namespace mlir

namespace mlir::fdpp {

struct CheckOptions {
  uint64_t seed = 1;
  unsigned sequences = 3;
  RoundingMode rounding = RoundingMode::Exact;
  double tolerance = 0;     ///< 0: the rounding mode's default.
  std::string weightFolder; ///< What #fdpp.file paths are relative to.
};

/// What the checks found; outlives the pass manager.
struct CheckOutcome {
  bool failed = false;
  unsigned runs = 0;             ///< Scripts run.
  double maxError = 0;           ///< Over all passes that kept the meaning.
  std::string pass;              ///< The pass that changed the meaning, or "".
  std::set<std::string> checked; ///< Passes that changed the IR.
};

/// Adds the instrumentation and turns multithreading off. A pass that changes
/// the meaning is an error on the module; later passes are not checked.
std::shared_ptr<CheckOutcome> checkEachPass(PassManager &manager,
                                            CheckOptions options);

} // namespace mlir::fdpp

#endif // FDPP_INTERPRETER_CHECKEACH_H
