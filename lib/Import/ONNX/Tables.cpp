// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Tables.cpp - Large constants that are no parameters ----------------===//
//
// A graph of fixed extents holds masks, index lists, cosines and sines as
// tables. Passes that ask what a table says want its elements; what is a
// parameter stays a range of a file. Nothing is decided here: a parameter that
// is taken for a table is a weight again where it is recognised as one.
//
//===----------------------------------------------------------------------===//
#include "GraphImporter.h"

#include "ModelFile.h"
#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"

#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/StringSwitch.h"

namespace mlir::fdpp {

/// Tables with more elements, as a mask of 4096 queries and keys has, stay
/// where they are: reading one takes eight bytes an element.
constexpr int64_t kMaxTableElements = int64_t(1) << 24;

namespace {
/// Follows what is computed from one initializer to its readers.
class TableFinder {
public:
  explicit TableFinder(const SymbolTable &symbols) : symbols(symbols) {}

  /// Whether an element of `value`, moved or cast, is a mask, or a factor or an
  /// angle of a rotation. Products of matrices and gains have other readers.
  bool isRead(Value value) {
    return seen.insert(value.getAsOpaquePointer()).second &&
           llvm::any_of(value.getUses(), [&](OpOperand &use) {
             return isReader(use.getOwner(), use.getOperandNumber());
           });
  }
  /// Whether rows are chosen by position or by token.
  bool isGathered() const { return gathered; }

private:
  bool isReader(Operation *reader, unsigned at) {
    if (auto call = dyn_cast<func::CallOp>(reader)) {
      auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
      return callee && isRead(callee.getArgument(at));
    }
    auto op = dyn_cast<onnx::Operator>(reader);
    if (!op)
      return false;
    StringRef name = op.getSchema().name;
    if (name == "Gather" && at == 0)
      gathered = true;
    bool moves = llvm::StringSwitch<bool>(name)
                     .Cases({"Concat", "Identity", "Transpose"}, true)
                     .Cases({"Cast", "CastLike", "Squeeze", "Unsqueeze"}, true)
                     .Cases({"Expand", "Gather", "Reshape", "Slice"}, at == 0)
                     .Default(false);
    return moves ? isRead(op->getResult(0))
                 : llvm::StringSwitch<bool>(name)
                       .Cases({"Add", "Cos", "Mul", "Sin", "Where"}, true)
                       .Case("Attention", at == 3)
                       .Case("RotaryEmbedding", at == 1 || at == 2)
                       .Default(false);
  }

  const SymbolTable &symbols;
  llvm::SmallPtrSet<void *, 8> seen;
  bool gathered = false;
};
} // namespace

/// Cosines begin with a row of one number and sines with a row of zeros;
/// embeddings do not.
static bool beginsLikeWave(DenseElementsAttr elements) {
  auto type = cast<RankedTensorType>(elements.getType());
  auto values = elements.getValues<llvm::APFloat>();
  auto row =
      llvm::make_range(values.begin(), values.begin() + type.getShape().back());
  return llvm::all_of(row, [&](const llvm::APFloat &value) {
    return value.bitwiseIsEqual(*values.begin());
  });
}

static bool mayBeTable(RankedTensorType type) {
  Type element = type.getElementType();
  int64_t count = type.getNumElements();
  if (count == 0 || count > kMaxTableElements)
    return false;
  if (isa<FloatType>(element))
    return type.getRank() >= 2 && count > type.getShape().back();
  // Narrower integers are quantised weights.
  return element.isInteger(1) || element.isInteger(32) || element.isInteger(64);
}

/// The elements of a weight that is a table; null if it is none.
FailureOr<DenseElementsAttr> GraphImporter::readTable(WeightOp weight,
                                                      Value value) {
  RankedTensorType type = weight.getTensorType();
  auto sources = weight.getSources();
  TableFinder finder(symbols);
  if (!sources || !mayBeTable(type) ||
      (isa<FloatType>(type.getElementType()) && !finder.isRead(value)))
    return DenseElementsAttr();
  Attribute source = (*sources)[0];
  auto elements = dyn_cast<DenseElementsAttr>(source);
  // Where the model itself came through a pipe, nothing is left to read.
  if (auto file = dyn_cast<FileAttr>(source);
      file && file.getPath().getValue() != "-") {
    auto data = readRange(place.folder, {file.getPath().getValue().str(),
                                         uint64_t(file.getOffset()),
                                         uint64_t(file.getBytes())});
    if (!data)
      return emitError(weight.getLoc())
             << "initializer '" << weight.getSymName() << "' "
             << llvm::toString(data.takeError());
    if (data->size() != storedBytes(type))
      return emitError(weight.getLoc())
             << "initializer '" << weight.getSymName() << "' has "
             << data->size() << " bytes of data, but its shape needs "
             << storedBytes(type);
    elements = elementsFrom(type, *data);
  }
  if (elements && finder.isGathered() && !beginsLikeWave(elements))
    return DenseElementsAttr();
  return elements;
}

LogicalResult GraphImporter::readTables() {
  llvm::SmallVector<WeightAtOp> reads;
  module.walk([&](WeightAtOp read) { reads.push_back(read); });
  for (WeightAtOp read : reads) {
    auto weight = symbols.lookup<WeightOp>(read.getWeight());
    FailureOr<DenseElementsAttr> elements = readTable(weight, read.getResult());
    if (failed(elements))
      return failure();
    if (!*elements)
      continue;
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(read);
    read.replaceAllUsesWith(createConstant(*elements, read.getLoc()));
    read.erase();
    if (SymbolTable::symbolKnownUseEmpty(weight, module))
      symbols.erase(weight);
  }
  return success();
}

} // namespace mlir::fdpp
