// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The values that an engine made with --taps shows: what its kernels store.

#ifndef FDPP_LIB_TARGET_COMMON_TAPS_H
#define FDPP_LIB_TARGET_COMMON_TAPS_H

#include "KernelCalls.h"
#include "fdpp/Target/Common/ModelPrinter.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/DenseMap.h"

namespace fdpp {

/// The taps of a module's entries. Kernels are taken as they are: a value that
/// a kernel keeps to itself has no tap.
class Taps {
public:
  /// Collects nothing unless the module has kTapsAttr.
  explicit Taps(mlir::ModuleOp module);
  bool empty() const { return calls.empty(); }

  /// The lists of nodes that calls in loops read.
  void printNodes(llvm::raw_ostream &os) const;
  /// The names of all values, as a member of the model.
  void printNames(llvm::raw_ostream &os) const;
  /// The calls behind an operation of an entry's block; `context` is what runs
  /// them.
  void printCalls(mlir::Operation *op, llvm::StringRef context,
                  llvm::raw_ostream &os, unsigned indent) const;

private:
  void visit(mlir::Block &block);
  void addLinear(mlir::Operation *op, mlir::fdpp::EpilogueInterface linear,
                 const std::string &layer);
  void addStored(mlir::Operation *op, mlir::Value buffer, std::string name,
                 mlir::Location value, const std::string &layer);
  std::string label(const std::string &name, mlir::Location value,
                    const std::string &layer);

  llvm::DenseMap<mlir::Operation *, std::vector<Call>> calls;
  /// Lists of nodes, and the names of the arrays that hold them.
  std::vector<std::pair<std::vector<std::string>, std::string>> lists;
  std::vector<std::string> names;
};

} // namespace fdpp

#endif // FDPP_LIB_TARGET_COMMON_TAPS_H
