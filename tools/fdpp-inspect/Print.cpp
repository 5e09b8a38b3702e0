// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Inspect.h"

#include <algorithm>
#include <cstdio>

using namespace fdpp::inspect;

/// A value by its path, empty when an engine of another version lacks it.
static Json find(const Json &json, const char *path) {
  Json::json_pointer pointer{path};
  return json.contains(pointer) ? json.at(pointer) : Json();
}

static std::string text(const Json &json, const char *path) {
  Json value = find(json, path);
  if (value.is_null())
    return "?";
  if (value.is_string())
    return value.get<std::string>();
  if (!value.is_array())
    return value.dump();
  std::string words;
  for (const Json &word : value)
    words += (words.empty() ? "" : " ") +
             (word.is_string() ? word.get<std::string>() : word.dump());
  return words.empty() ? "none" : words;
}

static std::string bytes(double count) {
  char out[40];
  const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  for (; count >= 1024 && unit < 4; ++unit)
    count /= 1024;
  std::snprintf(out, sizeof(out), unit ? "%.2f %s" : "%.0f %s", count,
                units[unit]);
  return out;
}

static std::string bytes(const Json &json, const char *path) {
  Json value = find(json, path);
  return value.is_number() ? bytes(value.get<double>()) : "?";
}

static void row(const char *title, const std::string &value) {
  std::printf("%-10s %s\n", title, value.c_str());
}

static void printHeader(const EngineFiles &engine) {
  const Json &m = engine.manifest;
  std::printf(
      "%s: fdpp %s, format %s.%s, step ABI %s\n\n", engine.folder.c_str(),
      text(m, "/versions/product").c_str(), text(m, "/format/major").c_str(),
      text(m, "/format/minor").c_str(), text(m, "/versions/step_abi").c_str());
  Json name = find(m, "/model/name"), family = find(m, "/model/family");
  std::string model;
  for (const Json &word : {name, family})
    if (word.is_string())
      model += word.get<std::string>() + ", ";
  row("model", model + text(m, "/model/layers") + " layers, hidden " +
                   text(m, "/model/hidden_size") + ", " +
                   text(m, "/model/query_heads") + " query and " +
                   text(m, "/model/kv_heads") + " KV heads of " +
                   text(m, "/model/head_dim") + ", vocabulary " +
                   text(m, "/model/vocab_size") + ", " +
                   text(m, "/model/parameters") + " parameters");
  row("storage", "weights " + text(m, "/model/weight_dtype") + ", cache " +
                     text(m, "/model/cache_dtype"));
  row("target", text(m, "/target/name") + " " + text(m, "/target/machine") +
                    " " + text(m, "/target/arch"));
  row("features", text(m, "/target/features"));
  row("limits", "context " + text(m, "/limits/max_context") +
                    ", a step: " + text(m, "/limits/max_tokens") + " tokens, " +
                    text(m, "/limits/max_sequences") + " sequences, " +
                    text(m, "/limits/max_rows") + " rows of logits; pages of " +
                    text(m, "/limits/page_tokens") + " tokens");
  row("entries", text(m, "/limits/entries"));
}

/// phi.json as it lies there now: fdpp-calibrate may have put it in the place
/// of the one that the report names.
static Json phiJson(const EngineFiles &engine) {
  if (engine.phi.is_null())
    return Json();
  std::string sha256 = "?";
  for (const Json &file : find(engine.manifest, "/files"))
    if (text(file, "/name") == "phi.json")
      sha256 = text(file, "/sha256");
  int64_t heads = 0, exact = 0;
  for (const Json &layer : find(engine.phi, "/phi"))
    for (const Json &phi : layer) {
      ++heads;
      exact += phi.is_null();
    }
  return {{"sha256", sha256},
          {"heads", heads},
          {"exact_heads", exact},
          {"engine", find(engine.phi, "/engine")},
          {"texts", find(engine.phi, "/texts")},
          {"tokens", find(engine.phi, "/tokens")},
          {"as_compiled", text(engine.report, "/phi/sha256") == sha256}};
}

static void printPhi(const EngineFiles &engine) {
  Json phi = phiJson(engine);
  if (phi.is_null())
    return row("phi", "none: attention is exact");
  std::string from = "of unknown origin";
  if (!phi["texts"].is_null())
    from = "calibrated with " + text(phi, "/tokens") + " tokens of " +
           text(phi, "/texts") + " on " + text(phi, "/engine");
  std::string source = text(engine.report, "/phi/source");
  if (phi["as_compiled"] == false)
    from += ", installed after compiling";
  else if (source.empty())
    from = "zeros, which the compiler wrote";
  else
    from += ", compiled from " + source;
  row("phi", from + "; sha256 " + text(phi, "/sha256") + "; " +
                 text(phi, "/exact_heads") + " of " + text(phi, "/heads") +
                 " heads always exact");
}

static void printBytes(const EngineFiles &engine) {
  const Json &m = engine.manifest, &r = engine.report;
  row("a step", bytes(m, "/step/weight_bytes") + " of weights and " +
                    bytes(m, "/step/token_bytes") + " a token; buffers " +
                    bytes(r, "/memory/arena_bytes"));
  Json token = find(r, "/memory/cache_bytes_per_token");
  Json context = find(m, "/limits/max_context");
  std::string whole = token.is_number() && context.is_number()
                          ? bytes(token.get<double>() * context.get<double>())
                          : "?";
  row("KV cache", bytes(r, "/memory/cache_bytes_per_token") + " a token, " +
                      whole + " a sequence of the whole context");
  row("source",
      text(m, "/source/name") + ", sha256 " + text(m, "/source/sha256"));
  row("command", text(m, "/command"));
  row("flags", engine.flags.empty() ? "not kept" : engine.flags);
  if (engine.defects.empty())
    row("files", std::to_string(find(m, "/files").size()) +
                     ", of the sizes they were written with");
  for (const std::string &defect : engine.defects)
    row("DAMAGED", defect);
}

static void printChoices(const EngineFiles &engine) {
  std::printf("\nlinears (N x K, kernel variants by M)\n");
  std::vector<std::string> seen;
  for (const Json &decision : find(engine.report, "/decisions")) {
    if (decision.value("category", "") != "variants")
      continue;
    std::string line = decision.value("text", "");
    if (std::find(seen.begin(), seen.end(), line) != seen.end())
      continue;
    seen.push_back(line);
    std::printf("  %s\n", line.c_str());
  }
}

static void printWeights(const EngineFiles &engine) {
  std::printf("\nweights\n");
  for (const Json &weight : find(engine.report, "/weights")) {
    std::string shape;
    for (const Json &extent : weight.at("shape"))
      shape += (shape.empty() ? "" : " x ") + extent.dump();
    std::printf("  %-16s %4s x [%s] %s%s, %s\n", text(weight, "/name").c_str(),
                text(weight, "/layers").c_str(), shape.c_str(),
                text(weight, "/dtype").c_str(),
                weight.value("packed", false) ? " packed" : "",
                bytes(weight, "/bytes").c_str());
  }
}

static void printKernels(const EngineFiles &engine) {
  uint64_t all = 0;
  for (const Kernel &kernel : engine.kernels)
    all += kernel.bytes;
  std::printf("\nkernels: %zu functions, %s of code%s\n", engine.kernels.size(),
              bytes(double(all)).c_str(),
              engine.kernels.empty() ? " (model.so has no symbol table)" : "");
  for (const Kernel &kernel : engine.kernels)
    std::printf("  %7llu %s\n", static_cast<unsigned long long>(kernel.bytes),
                kernel.name.c_str());
}

void fdpp::inspect::printText(const EngineFiles &engine) {
  printHeader(engine);
  printBytes(engine);
  printPhi(engine);
  printChoices(engine);
  printWeights(engine);
  printKernels(engine);
}

static Json kernelsJson(const EngineFiles &engine) {
  Json kernels = Json::array();
  for (const Kernel &kernel : engine.kernels)
    kernels.push_back({{"name", kernel.name}, {"code_bytes", kernel.bytes}});
  return kernels;
}

void fdpp::inspect::printJson(const EngineFiles &engine) {
  Json json = {{"folder", engine.folder},        {"engine", engine.manifest},
               {"report", engine.report},        {"flags", engine.flags},
               {"kernels", kernelsJson(engine)}, {"defects", engine.defects},
               {"phi", phiJson(engine)}};
  std::printf("%s\n", json.dump(2).c_str());
}
