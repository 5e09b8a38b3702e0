// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The bytes of weights as an engine stores them: sources read, init regions
// evaluated, rows packed. In blocks of about a megabyte, so that the memory
// needed does not depend on the model.

#ifndef FDPP_ENGINE_WEIGHTEVALUATOR_H
#define FDPP_ENGINE_WEIGHTEVALUATOR_H

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"

#include <memory>
#include <vector>

namespace mlir::fdpp {

class RowSource;

/// One weight, ready to be read block by block. The blocks of all layers, one
/// after another, are the bytes the engine stores.
class EvaluatedWeight {
public:
  EvaluatedWeight(WeightOp weight,
                  std::vector<std::unique_ptr<const RowSource>> layers);
  EvaluatedWeight(EvaluatedWeight &&);
  ~EvaluatedWeight();

  WeightOp getWeight() const { return weight; }
  /// Blocks of all layers; a block never crosses from a layer to the next.
  int64_t getNumBlocks() const { return layers.size() * blocksPerLayer; }
  /// Replaces `out` by block `index`. Thread-safe.
  void readBlock(int64_t index, std::vector<char> &out) const;

private:
  void readRows(const RowSource &source, int64_t first, int64_t count,
                std::vector<char> &out) const;
  void readPanels(const RowSource &source, int64_t first, int64_t count,
                  std::vector<char> &out) const;

  WeightOp weight;
  std::vector<std::unique_ptr<const RowSource>> layers;
  /// Rows as stored, -1 for zeros; empty without a layout.
  SmallVector<int64_t> order;
  int64_t panel = 1, interleave = 1;
  bool tiles = false; // PanelOrder::Tiles
  int64_t rows = 0, columns = 0, elementBytes = 0;
  /// A unit is a row, or a panel of rows.
  int64_t units = 0, unitsPerBlock = 0, blocksPerLayer = 0;
};

/// Opens the weights of a module. Files are mapped once and stay mapped as long
/// as the evaluator lives; what it returns must not outlive it.
class WeightEvaluator {
public:
  /// `folder` is the imported model's: `#fdpp.file` paths are relative to it.
  WeightEvaluator(ModuleOp module, StringRef folder);
  ~WeightEvaluator();

  /// Everything that can fail about a weight fails here, in one line: a file
  /// that is missing, short or outside the folder, an init region that does
  /// more than rearrange and convert.
  llvm::Expected<EvaluatedWeight> open(WeightOp weight);

  /// Files that weights opened so far read, sorted, relative to the folder.
  std::vector<std::string> getFiles() const;

private:
  using Source = llvm::Expected<std::unique_ptr<const RowSource>>;
  Source openLayer(WeightOp weight, int64_t layer);
  Source openAttribute(WeightOp weight, Attribute source);
  Source openFile(WeightOp weight, FileAttr file);
  Source openValue(WeightOp weight, Value value, int64_t layer);
  Source openConcat(WeightOp weight, Operation *concat, int64_t layer);
  Source openCast(WeightOp weight, Operation *cast, int64_t layer);
  Source openRead(WeightOp weight, WeightAtOp read, int64_t layer);
  llvm::Expected<StringRef> mapFile(StringRef path);

  SymbolTable symbols;
  std::string folder;
  llvm::StringMap<std::unique_ptr<llvm::MemoryBuffer>> files;
  /// Weights whose init regions are being opened, to find cycles.
  SmallVector<Operation *> opening;
};

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_WEIGHTEVALUATOR_H
