// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Matchers.h - Dataflow patterns of --onnx-recognise -------*- C++ -*-===//
//
// A matcher looks at one onnx op as the root of a pattern. If it matches, it
// creates the fdpp op, replaces the root's results and returns true; ops that
// lose their users die later. Roots are visited in order, so a matcher sees
// what stands before it already recognised.
//
//===----------------------------------------------------------------------===//
#ifndef FDPP_LIB_DIALECT_ONNX_TRANSFORMS_MATCHERS_H
#define FDPP_LIB_DIALECT_ONNX_TRANSFORMS_MATCHERS_H

#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/SymbolTable.h"

namespace mlir::fdpp::onnx {

/// Parameters of the model as fdpp.weight_at values.
class Parameters {
public:
  Parameters(ModuleOp module, func::FuncOp func);

  /// `value` as a parameter: a weight, a constant (which becomes a weight), or
  /// one of the two behind casts to a wider float type. Null if it is none.
  Value find(Value value);
  /// `value` as a parameter of rank 1, also from [1, ..., 1, N].
  Value findVector(Value value);
  /// The matrix [N, K] that a product with `value` [K, N] multiplies by: the
  /// parameter behind a Transpose, or a new weight that transposes.
  Value findTransposed(Value value);

private:
  Value fromConstant(ConstantOp constant, ArrayRef<int64_t> shape);
  Value transposed(WeightAtOp weight);
  Value weightAt(OpBuilder builder, WeightOp weight, Location loc);
  WeightOp addWeight(StringRef name, RankedTensorType type, Attribute source,
                     Location loc);

  ModuleOp module;
  func::FuncOp func;
  SymbolTable symbols;
  llvm::DenseMap<Operation *, Value> constants;
  llvm::StringMap<Value> transposes;
};

class Recogniser;
using Matcher = bool (*)(Operator op, Recogniser &recogniser);

/// What matchers share.
class Recogniser {
public:
  Recogniser(ModuleOp module, func::FuncOp func)
      : parameters(module, func), builder(func.getContext()) {}

  /// Tries the matchers of the op's name.
  bool recognise(Operator op);
  /// For a matcher that gives up: notes why and returns false.
  bool refuse(Operator op, StringRef why);
  /// Why an op is left, "" if no matcher said so.
  std::string obstacle(Operation *op) const { return obstacles.lookup(op); }

  Parameters parameters;
  OpBuilder builder;
  /// cos and sin of the same angles are one table.
  llvm::DenseMap<std::pair<Value, Value>, RopeTableOp> ropeTables;

private:
  llvm::DenseMap<Operation *, std::string> obstacles;
};

/// The op called `name` of the default domain that defines `value`, or null.
Operator definedBy(Value value, StringRef name);
/// The type if it is ranked and its last extent is static.
RankedTensorType rowType(Value value);
/// True if the value is computed by an op that is already recognised.
bool isFromModel(Value value);
/// The only element of a constant, nullopt if it is none.
std::optional<double> scalarOf(Value value);

// MatchLinear.cpp
bool matchEmbed(Operator op, Recogniser &r);
bool explainSelection(Operator op, Recogniser &r);
bool matchEmbedCast(Operator op, Recogniser &r);
bool matchMatMul(Operator op, Recogniser &r);
bool matchGemm(Operator op, Recogniser &r);
bool matchBias(Operator op, Recogniser &r);
bool matchResidual(Operator op, Recogniser &r);

// MatchActivations.cpp
bool matchRMSNorm(Operator op, Recogniser &r);
bool matchLayerNorm(Operator op, Recogniser &r);
bool matchGlu(Operator op, Recogniser &r);
bool matchActivation(Operator op, Recogniser &r);
bool matchScale(Operator op, Recogniser &r);
bool matchSoftcap(Operator op, Recogniser &r);

// MatchAttention.cpp
bool matchRotary(Operator op, Recogniser &r);
bool matchAttention(Operator op, Recogniser &r);

} // namespace mlir::fdpp::onnx

#endif // FDPP_LIB_DIALECT_ONNX_TRANSFORMS_MATCHERS_H
