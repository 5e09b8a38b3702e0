// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the passes decided, and why: report.json and report.md.

#ifndef FDPP_ENGINE_REPORT_H
#define FDPP_ENGINE_REPORT_H

#include "fdpp/Engine/ModelInfo.h"

#include <optional>
#include <string>
#include <vector>

namespace mlir::fdpp {

/// One remark of a pass.
struct Decision {
  std::string kind; // "passed", "missed", "failed", "analysis"
  std::string pass, category, function, place, text;
  /// Equal remarks in a row are one, counted.
  int64_t count = 1;
};

/// The phi.json that an engine was given.
struct PhiReport {
  std::string source; // its file's name; empty: zeros of the compiler's
  std::string sha256;
  int64_t heads = 0, exact = 0; // of all layers; those without a phi
};

/// Collects the remarks of everything that runs in `context` into `decisions`,
/// which outlives the context, and unless `yamlPath` is empty writes them to
/// that file in LLVM's YAML form as well. Fails if the file cannot be written.
llvm::Error collectDecisions(MLIRContext &context,
                             std::vector<Decision> &decisions,
                             StringRef yamlPath = "");

/// The two reports of an engine. They hold nothing of the machine.
std::string writeReportJson(const ModelInfo &info, ArrayRef<Decision> decisions,
                            const std::optional<PhiReport> &phi);
std::string writeReportMarkdown(const ModelInfo &info,
                                ArrayRef<Decision> decisions,
                                const std::optional<PhiReport> &phi);

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_REPORT_H
