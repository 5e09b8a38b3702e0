// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/Report.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace mlir::fdpp;

/// Categories of remarks in the order of the phases, as headings.
static constexpr std::pair<StringRef, StringRef> kSections[] = {
    {"recognition", "What the graph means"},
    {"layers", "Layers"},
    {"dtypes", "Storage types"},
    {"fusion", "Fusions"},
    {"entries", "Entries"},
    {"attention", "Attention: softmax"},
    {"variants", "Linears: kernel variants"},
    {"layout", "Weight layouts"},
    {"memory", "Memory plan"}};

/// Decisions by category: those of the table first, then the others by name.
static std::vector<std::pair<std::string, std::vector<const Decision *>>>
bySection(ArrayRef<Decision> decisions) {
  std::map<std::string, std::vector<const Decision *>> groups;
  for (const Decision &decision : decisions)
    groups[decision.category].push_back(&decision);
  std::vector<std::pair<std::string, std::vector<const Decision *>>> sections;
  for (auto [category, title] : kSections)
    if (auto found = groups.find(category.str()); found != groups.end()) {
      sections.emplace_back(title.str(), std::move(found->second));
      groups.erase(found);
    }
  for (auto &[category, group] : groups)
    sections.emplace_back(category.empty() ? "Other" : category,
                          std::move(group));
  return sections;
}

//===----------------------------------------------------------------------===//
// JSON.
//===----------------------------------------------------------------------===//

static void writeMemory(llvm::json::OStream &json, const ModelInfo &info) {
  json.attributeObject("memory", [&] {
    json.attribute("weights_bytes", info.weightBytes);
    json.attribute("arena_bytes", info.arenaBytes);
    json.attribute("cache_bytes_per_token", int64_t(info.limits.page_bytes) *
                                                info.limits.layers /
                                                info.limits.page_tokens);
  });
  json.attributeObject("step", [&] {
    json.attribute("weight_bytes", info.stepWeightBytes);
    json.attribute("token_bytes", info.stepTokenBytes);
  });
}

static void writeWeights(llvm::json::OStream &json, const ModelInfo &info) {
  json.attributeArray("weights", [&] {
    for (WeightOp weight : info.weights)
      json.object([&] {
        json.attribute("name", weight.getSymName());
        json.attribute("layers", int64_t(weight.getLayers()));
        json.attributeArray("shape", [&] {
          for (int64_t extent : weight.getTensorType().getShape())
            json.value(extent);
        });
        json.attribute(
            "dtype",
            getStoredType(weight.getTensorType().getElementType())->name);
        json.attribute("packed", weight.getLayout().has_value());
        json.attribute("bytes", getStoredBytes(weight));
      });
  });
}

static void writePhi(llvm::json::OStream &json, const PhiReport &phi) {
  json.attributeObject("phi", [&] {
    json.attribute("source", phi.source);
    json.attribute("sha256", phi.sha256);
    json.attribute("heads", phi.heads);
    json.attribute("exact_heads", phi.exact);
  });
}

std::string mlir::fdpp::writeReportJson(const ModelInfo &info,
                                        ArrayRef<Decision> decisions,
                                        const std::optional<PhiReport> &phi) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::json::OStream json(os, /*IndentSize=*/2);
  json.object([&] {
    json.attribute("magic", "fdpp-report");
    json.attributeArray("decisions", [&] {
      for (const Decision &decision : decisions)
        json.object([&] {
          json.attribute("kind", decision.kind);
          json.attribute("pass", decision.pass);
          json.attribute("category", decision.category);
          if (!decision.function.empty())
            json.attribute("function", decision.function);
          if (!decision.place.empty())
            json.attribute("place", decision.place);
          json.attribute("text", decision.text);
          if (decision.count > 1)
            json.attribute("count", decision.count);
        });
    });
    if (phi)
      writePhi(json, *phi);
    writeWeights(json, info);
    writeMemory(json, info);
  });
  os << "\n";
  return text;
}

//===----------------------------------------------------------------------===//
// Markdown.
//===----------------------------------------------------------------------===//

static std::string mebibytes(int64_t bytes) {
  std::string text;
  llvm::raw_string_ostream(text)
      << llvm::format("%.2f MiB", double(bytes) / (1 << 20));
  return text;
}

static void writeModel(raw_ostream &os, const ModelInfo &info) {
  ModelAttr model = info.model;
  os << "# Report of fdpp-compile\n\n"
     << model.getLayers() << " layers, hidden " << model.getHidden() << ", "
     << model.getQueryHeads() << " query and " << model.getKvHeads()
     << " KV heads of " << model.getHeadDim() << ", vocabulary "
     << model.getVocab() << ", " << info.parameters << " parameters.\n";
}

static void writeDecision(raw_ostream &os, const Decision &decision) {
  os << "- ";
  if (decision.kind == "missed" || decision.kind == "failed")
    os << "**" << decision.kind << "** ";
  os << decision.text;
  if (decision.count > 1)
    os << " (" << decision.count << " times)";
  os << " — `" << decision.pass << "`";
  if (!decision.place.empty())
    os << ", " << decision.place;
  os << "\n";
}

static void writeTraffic(raw_ostream &os, const ModelInfo &info) {
  const fdpp_model_limits &limits = info.limits;
  int64_t tokenBytes =
      int64_t(limits.page_bytes) * limits.layers / limits.page_tokens;
  os << "\n## Bytes\n\n| | |\n|---|---|\n"
     << "| weights in the engine | " << mebibytes(info.weightBytes) << " |\n"
     << "| weights read by every decode step | "
     << mebibytes(info.stepWeightBytes) << " |\n"
     << "| weights each token adds | " << info.stepTokenBytes << " bytes |\n"
     << "| KV cache a token | " << tokenBytes << " bytes |\n"
     << "| buffers of a step | " << mebibytes(info.arenaBytes) << " |\n"
     << "\n## Weights\n\n| name | layers | shape | dtype | packed | bytes |\n"
     << "|---|---|---|---|---|---|\n";
  for (WeightOp weight : info.weights) {
    RankedTensorType type = weight.getTensorType();
    os << "| " << weight.getSymName() << " | " << weight.getLayers() << " | ";
    llvm::interleave(type.getShape(), os, " x ");
    os << " | " << getStoredType(type.getElementType())->name << " | "
       << (weight.getLayout() ? "yes" : "no") << " | " << getStoredBytes(weight)
       << " |\n";
  }
}

static void writePhi(raw_ostream &os, const PhiReport &phi, bool read) {
  os << "\n## Attention: phi\n\n- "
     << (phi.source.empty() ? "zeros, which the compiler wrote"
                            : "from " + phi.source)
     << ", sha256 " << phi.sha256 << "\n- " << phi.exact << " of " << phi.heads
     << " heads are always exact\n";
  if (!read)
    os << "- attention is exact and does not read it\n";
  os << "- `fdpp-calibrate --install` puts another in its place, and "
        "`fdpp-inspect` says which one it is\n";
}

std::string
mlir::fdpp::writeReportMarkdown(const ModelInfo &info,
                                ArrayRef<Decision> decisions,
                                const std::optional<PhiReport> &phi) {
  std::string text;
  llvm::raw_string_ostream os(text);
  writeModel(os, info);
  for (const auto &[title, group] : bySection(decisions)) {
    os << "\n## " << title << "\n\n";
    for (const Decision *decision : group)
      writeDecision(os, *decision);
  }
  if (phi)
    writePhi(os, *phi, info.readsPhi);
  writeTraffic(os, info);
  return text;
}
