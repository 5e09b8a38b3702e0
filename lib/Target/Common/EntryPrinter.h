// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prints the body of an entry: one kernel call after another.

#ifndef FDPP_LIB_TARGET_COMMON_ENTRYPRINTER_H
#define FDPP_LIB_TARGET_COMMON_ENTRYPRINTER_H

#include "Taps.h"
#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Target/Common/ModelPrinter.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace fdpp {

class EntryPrinter {
public:
  EntryPrinter(mlir::func::FuncOp func, const TargetText &target,
               const Taps &taps, llvm::raw_ostream &os)
      : func(func), target(target), taps(taps), os(os) {}
  void print();

private:
  void printBuffers();
  void printDone(mlir::Operation *op, unsigned indent);
  void printBlock(mlir::Block &block, unsigned indent);
  void printLoop(mlir::scf::ForOp loop, unsigned indent);
  void printDispatch(mlir::fdpp::DispatchOp dispatch, unsigned indent);
  void printLinear(mlir::fdpp::FusedLinearOp op, llvm::StringRef kernel,
                   unsigned indent);
  void printEpilogues(mlir::fdpp::EpilogueInterface op, unsigned indent);

  mlir::func::FuncOp func;
  const TargetText &target;
  const Taps &taps;
  llvm::raw_ostream &os;
};

} // namespace fdpp

#endif // FDPP_LIB_TARGET_COMMON_ENTRYPRINTER_H
