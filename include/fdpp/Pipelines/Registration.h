// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One place that says which dialects, passes and interfaces the tools know.

#ifndef FDPP_PIPELINES_REGISTRATION_H
#define FDPP_PIPELINES_REGISTRATION_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace fdpp {

/// Registers the project's dialects, the upstream ones they build on, and the
/// external interface models that bufferisation needs.
void registerAllDialects(mlir::DialectRegistry &registry);

/// Registers every pass and pipeline that fdpp-opt offers.
void registerAllPasses();

} // namespace fdpp

#endif // FDPP_PIPELINES_REGISTRATION_H
