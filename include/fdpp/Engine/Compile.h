// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// All of fdpp-compile but its command line.

#ifndef FDPP_ENGINE_COMPILE_H
#define FDPP_ENGINE_COMPILE_H

#include "fdpp/Engine/StageListener.h"
#include "fdpp/Pipelines/Phases.h"

#include "llvm/Support/Error.h"

namespace mlir::fdpp {

struct CompileOptions {
  std::string model;  // a path: .onnx, .mlir, .mlirbc
  std::string output; // the engine's folder; empty: STEM.fdpp here
  std::string target = "cpu";
  std::string arch = "native";
  ::fdpp::PhaseOptions phases; // but maxContext, see below
  ::fdpp::Phase emit = ::fdpp::Phase::Engine;
  std::optional<uint64_t> syntheticSeed;
  /// Tokens a sequence may reach; unset: what the model was made for.
  std::optional<int64_t> maxContext;
  /// A tuning table: a path, the name of a shipped one, or "none"; empty: the
  /// shipped one for this machine if arch is native.
  std::string tuning;
  /// A phi.json in the place of the one beside the model; empty: that one.
  std::string phi;
  std::string cxx;        // see NativeCompiler::find
  std::string executable; // this program
  std::string product;    // its version
  unsigned threads = 2;   // that evaluate weights
  bool taps = false;      // show intermediate values, see docs/compare.md
  std::string remarks;    // a YAML file for the passes' remarks; empty: none
  bool force = false;     // compile although it is up to date
  bool useCache = true;   // of compiled kernels, see ObjectCache
  /// An engine of the same graph, whose compiled kernels are taken over.
  std::string reuse;
  /// For tests of what a defect looks like: before the passes to this phase an
  /// operation comes back that earlier ones had to remove.
  std::optional<::fdpp::Phase> faultBefore;
};

struct CompileResult {
  std::string folder;
  bool upToDate = false;
  int64_t layers = 0, weightBytes = 0;
  /// Why the tuning table that was asked for is not used, if it is not.
  std::string tuningNote;
  /// True if a phi was asked for and attention is exact: nothing reads it.
  bool phiUnused = false;
};

/// Compiles a model up to `options.emit`. IR and source text go to `out`, an
/// engine to its folder. Errors are one line; InternalError is no fault of the
/// user.
llvm::Expected<CompileResult> compile(const CompileOptions &options,
                                      llvm::raw_ostream &out,
                                      StageListener listener);

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_COMPILE_H
