// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How an engine stores a weight. The emitter's weight table, the manifest and
// weights.safetensors all ask here, so that they agree.

#ifndef FDPP_ENGINE_STOREDWEIGHT_H
#define FDPP_ENGINE_STOREDWEIGHT_H

#include "fdpp/Dialect/FDPP/IR/FDPP.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

namespace mlir::fdpp {

/// Element type of a stored weight, as the formats of an engine name it.
struct StoredType {
  int32_t dtype;               // enum fdpp_dtype
  int64_t bytes;               // of one element
  llvm::StringRef name;        // in engine.json: "bf16"
  llvm::StringRef safetensors; // in weights.safetensors: "BF16"
  llvm::StringRef constant;    // in emitted text: "FDPP_BF16"
};

/// Null for types that no engine stores.
const StoredType *getStoredType(Type element);

/// Extents of one layer as stored: those of the tensor, or, with a layout,
/// `[rows / panel][K / interleave][panel][interleave]`.
SmallVector<int64_t> getStoredShape(WeightOp weight);

/// Elements of one layer as stored, padding included.
int64_t getStoredLayerElements(WeightOp weight);

/// Bytes of one layer; a bank holds its layers one after another. The element
/// type must be storable.
int64_t getStoredLayerBytes(WeightOp weight);
inline int64_t getStoredBytes(WeightOp weight) {
  return weight.getLayers() * getStoredLayerBytes(weight);
}

/// The weights an engine holds: those that functions read, in the module's
/// order. Weights that only init regions read are not among them.
SmallVector<WeightOp> getStoredWeights(ModuleOp module);

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_STOREDWEIGHT_H
