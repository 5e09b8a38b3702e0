// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Weights.h - Elements of weights for the interpreter ------*- C++ -*-===//
//
// Weights are references in the IR; this is where their elements come from.
// Init regions are not read here: the interpreter evaluates them like any code.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_INTERPRETER_WEIGHTS_H
#define FDPP_INTERPRETER_WEIGHTS_H

#include "fdpp/Interpreter/Array.h"

#include "mlir/IR/Attributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/Support/Error.h"

#include <string>

namespace mlir::fdpp {

class WeightSource {
public:
  virtual ~WeightSource();
  /// The elements a `sources` attribute of a weight stands for, as they are in
  /// its element type. An error says which source and why.
  virtual llvm::Expected<Array> read(Attribute source, RankedTensorType type);
};

/// Also reads `#fdpp.file` ranges, relative to the folder of the model.
class FolderWeights : public WeightSource {
public:
  explicit FolderWeights(std::string folder) : folder(std::move(folder)) {}
  llvm::Expected<Array> read(Attribute source, RankedTensorType type) override;

private:
  std::string folder;
};

} // namespace mlir::fdpp

#endif // FDPP_INTERPRETER_WEIGHTS_H
