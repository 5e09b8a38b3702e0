// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What an emittable module says about its engine: the limits that model.so,
// engine.json and the report all state.

#ifndef FDPP_ENGINE_MODELINFO_H
#define FDPP_ENGINE_MODELINFO_H

#include "fdpp/Engine/StoredWeight.h"

#include "fdpp-runtime/model_abi.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::fdpp {

/// Module attributes that options of the command leave behind.
inline constexpr llvm::StringLiteral kMaxContextAttr = "fdpp.max_context";
inline constexpr llvm::StringLiteral kArchAttr = "fdpp.arch";
inline constexpr llvm::StringLiteral kFeaturesAttr = "fdpp.features";
/// On an entry: bytes of its buffers, and tokens a sequence it may be given.
inline constexpr llvm::StringLiteral kArenaAttr = "fdpp.arena";
inline constexpr llvm::StringLiteral kDecodeTokensAttr = "fdpp.decode_tokens";

/// Tokens a sequence may reach when nothing says otherwise.
inline constexpr int32_t kDefaultMaxContext = 8192;

struct ModelInfo {
  ModelAttr model;
  std::string name, family;          // for people; from the graph's metadata
  SmallVector<func::FuncOp> entries; // those with fdpp.entry
  SmallVector<WeightOp> weights;     // the order of the weight table
  Type cacheType;                    // element type of the cache
  fdpp_model_limits limits = {};
  int64_t arenaBytes = 0;  // of the largest entry
  int64_t weightBytes = 0; // of all stored weights
  int64_t parameters = 0;  // elements of all stored weights but tables
  /// Bytes every decode step reads, and those each token adds (its embedding).
  int64_t stepWeightBytes = 0, stepTokenBytes = 0;
  /// Element type that most of the weights' bytes have.
  Type weightType;
  bool readsPhi = false;        // an entry has an asynchronous softmax
  bool prefillReadsPhi = false; // in the attention of many tokens
};

/// The positions that the model was trained for, as the metadata of the graph
/// says it; nothing for a graph that does not.
std::optional<int64_t> getTrainedContext(ModuleOp module);

/// Names of the bits of fdpp_model_limits::entries.
StringRef getEntryName(fdpp_entry entry);

/// Fails, with one line, on a module that has no model, entry or cache.
llvm::Expected<ModelInfo> describeModel(ModuleOp module);

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_MODELINFO_H
