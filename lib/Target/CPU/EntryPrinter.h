// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prints the body of an entry: one kernel call after another.

#ifndef FDPP_LIB_TARGET_CPU_ENTRYPRINTER_H
#define FDPP_LIB_TARGET_CPU_ENTRYPRINTER_H

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Target/Common/Text.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace fdpp {

class EntryPrinter {
public:
  EntryPrinter(mlir::func::FuncOp func, llvm::raw_ostream &os)
      : func(func), os(os) {}
  void print();

private:
  void printBuffers();
  void printBlock(mlir::Block &block, unsigned indent);
  void printLoop(mlir::scf::ForOp loop, unsigned indent);
  void printDispatch(mlir::fdpp::DispatchOp dispatch, unsigned indent);
  void printLinear(mlir::fdpp::FusedLinearOp op, unsigned indent);
  std::string callText(mlir::Operation *op);
  std::string attentionCall(mlir::Operation *op, llvm::StringRef kernel,
                            bool scratch);
  std::string prologue(mlir::fdpp::FusedLinearOp op);
  std::string epilogue(mlir::fdpp::FusedLinearOp op, unsigned i);

  /// The text of a value: a buffer, an argument, a weight, an index.
  Expr value(mlir::Value value);
  /// The number of rows of a matrix or vector.
  std::string rows(mlir::Value value);
  std::string batch(mlir::Value firstSeq, mlir::Value endSeq);

  mlir::func::FuncOp func;
  llvm::raw_ostream &os;
};

} // namespace fdpp

#endif // FDPP_LIB_TARGET_CPU_ENTRYPRINTER_H
