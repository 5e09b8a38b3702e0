// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the passes decided, and why: report.json and report.md.

#ifndef FDPP_ENGINE_REPORT_H
#define FDPP_ENGINE_REPORT_H

#include "fdpp/Engine/ModelInfo.h"

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

/// Collects the remarks of everything that runs in `context` into `decisions`,
/// which outlives the context, and unless `yamlPath` is empty writes them to
/// that file in LLVM's YAML form as well. Fails if the file cannot be written.
llvm::Error collectDecisions(MLIRContext &context,
                             std::vector<Decision> &decisions,
                             StringRef yamlPath = "");

/// The two reports of an engine. They hold nothing of the machine.
std::string writeReportJson(const ModelInfo &info,
                            ArrayRef<Decision> decisions);
std::string writeReportMarkdown(const ModelInfo &info,
                                ArrayRef<Decision> decisions);

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_REPORT_H
