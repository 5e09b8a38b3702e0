// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Collects remarks.

#include "fdpp/Engine/Report.h"

#include "mlir/IR/Remarks.h"
#include "mlir/Remark/RemarkStreamer.h"
#include "llvm/Remarks/RemarkFormat.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::fdpp;

/// Where in the model: names of graph nodes if the location has any, else a
/// line of a file. Folders are left out: they are the machine's.
static std::string placeOf(Location location) {
  if (auto name = dyn_cast<NameLoc>(location))
    return name.getName().str();
  if (auto line = dyn_cast<FileLineColLoc>(location))
    return (llvm::sys::path::filename(line.getFilename()) + ":" +
            Twine(line.getLine()))
        .str();
  if (auto call = dyn_cast<CallSiteLoc>(location))
    return placeOf(call.getCallee());
  std::string places;
  if (auto fused = dyn_cast<FusedLoc>(location))
    for (Location part : fused.getLocations())
      if (std::string place = placeOf(part); !place.empty())
        places += (places.empty() ? "" : ", ") + place;
  return places;
}

static std::string textOf(const remark::detail::Remark &remark) {
  std::string text, details;
  for (const remark::detail::Remark::Arg &arg : remark.getArgs()) {
    if (arg.key == "Remark")
      text += arg.val;
    else
      details += (details.empty() ? "" : ", ") + arg.key + " " + arg.val;
  }
  if (!text.empty() && !details.empty())
    text += "; ";
  return text + details;
}

static StringRef kindOf(const remark::detail::Remark &remark) {
  switch (remark.getRemarkType()) {
  case llvm::remarks::Type::Passed:
    return "passed";
  case llvm::remarks::Type::Missed:
    return "missed";
  case llvm::remarks::Type::Failure:
    return "failed";
  default:
    return "analysis";
  }
}

static bool isSame(const Decision &a, const Decision &b) {
  return std::tie(a.kind, a.pass, a.category, a.function, a.place, a.text) ==
         std::tie(b.kind, b.pass, b.category, b.function, b.place, b.text);
}

namespace {
class Collector : public remark::detail::MLIRRemarkStreamerBase {
public:
  Collector(std::vector<Decision> &decisions,
            std::unique_ptr<MLIRRemarkStreamerBase> file)
      : decisions(decisions), file(std::move(file)) {}

  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    if (file)
      file->streamOptimizationRemark(remark);
    StringRef function = remark.getFunction();
    Decision decision{kindOf(remark).str(),
                      remark.getRemarkName().str(),
                      remark.getCategoryName().str(),
                      function.starts_with("<") ? "" : function.str(),
                      placeOf(remark.getLocation()),
                      textOf(remark)};
    if (!decisions.empty() && isSame(decisions.back(), decision))
      ++decisions.back().count;
    else
      decisions.push_back(std::move(decision));
  }

  void finalize() override {
    if (file)
      file->finalize();
  }

private:
  std::vector<Decision> &decisions;
  std::unique_ptr<MLIRRemarkStreamerBase> file; // null: none was asked for
};
} // namespace

llvm::Error mlir::fdpp::collectDecisions(MLIRContext &context,
                                         std::vector<Decision> &decisions,
                                         StringRef yamlPath) {
  std::unique_ptr<remark::detail::MLIRRemarkStreamerBase> file;
  if (!yamlPath.empty()) {
    auto opened = remark::detail::LLVMRemarkStreamer::createToFile(
        yamlPath, llvm::remarks::Format::YAML);
    if (failed(opened))
      return llvm::createStringError(yamlPath + ": cannot be written");
    file = std::move(*opened);
  }
  remark::RemarkCategories everything;
  everything.passed = everything.missed = ".*";
  everything.failed = everything.analysis = ".*";
  LogicalResult enabled = remark::enableOptimizationRemarks(
      context, std::make_unique<Collector>(decisions, std::move(file)),
      std::make_unique<remark::RemarkEmittingPolicyAll>(), everything);
  (void)enabled; // fails only for patterns that are no regular expression
  assert(succeeded(enabled));
  return llvm::Error::success();
}
