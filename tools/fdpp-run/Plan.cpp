// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Run.h"

#include "Json.h"

#include <cstdio>

namespace fdpp::tools {
namespace {

std::string size(uint64_t bytes) {
  static const char *const kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  int unit = 0;
  for (; value >= 1024 && unit < 4; ++unit)
    value /= 1024;
  char text[40];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.1f %s", value,
                kUnits[unit]);
  return text;
}

std::string plural(int32_t count, const char *what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

void row(const char *name, const std::string &text) {
  std::printf("%-10s %s\n", name, text.c_str());
}

std::string planAsJson(const fdpp_plan &p) {
  return JsonObjectWriter()
      .add("threads", p.threads)
      .add("context", p.context)
      .add("sequences", p.sequences)
      .add("pages", p.pages)
      .add("weight_bytes", p.weight_bytes)
      .add("workspace_bytes", p.workspace_bytes)
      .add("logits_bytes", p.logits_bytes)
      .add("cache_bytes", p.cache_bytes)
      .add("cache_bytes_per_token", p.cache_bytes_per_token)
      .add("available_memory", p.available_memory)
      .add("fitting_context", p.fitting_context)
      .add("fitting_sequences", p.fitting_sequences)
      .text();
}

} // namespace

int listDevices(const RunOptions &options) {
  for (int32_t i = 0; i < fdpp_device_count(); ++i) {
    auto info = sized<fdpp_device_info>();
    check(fdpp_device_get(i, &info));
    if (options.json)
      std::printf("%s\n", JsonObjectWriter()
                              .add("index", i)
                              .add("kind", info.kind)
                              .add("name", info.name)
                              .add("cores", info.cores)
                              .add("default_threads", info.default_threads)
                              .add("available_memory", info.available_memory)
                              .add("features", info.features)
                              .text()
                              .c_str());
    else if (info.default_threads == 0)
      std::printf("%d: %s, %s, %d SMs, %s\n   %s\n", i, info.kind, info.name,
                  info.cores, size(info.available_memory).c_str(),
                  info.features);
    else
      std::printf("%d: %s, %s, %s, %s by default, %s available\n   %s\n", i,
                  info.kind, info.name, plural(info.cores, "core").c_str(),
                  plural(info.default_threads, "thread").c_str(),
                  size(info.available_memory).c_str(), info.features);
  }
  return 0;
}

int showPlan(const RunOptions &options, const Engine &engine) {
  fdpp_engine_info info = infoOf(engine);
  fdpp_plan plan = planOf(engine, options.session);
  if (options.json) {
    std::printf("%s\n", planAsJson(plan).c_str());
    return 0;
  }
  std::string what = *info.family ? std::string(info.family) + ", " : "";
  row("engine", (*info.name ? std::string(info.name) : options.folder) + " (" +
                    what + plural(info.layers, "layer") + "), " + info.target +
                    " " + info.arch);
  const bool onCpu = std::string(info.target) == "cpu";
  row("weights", size(plan.weight_bytes) +
                     (onCpu ? ", mapped from the file" : ", on the device"));
  row("workspace",
      size(plan.workspace_bytes) + " for " + plural(plan.threads, "thread"));
  row("logits", "up to " + size(plan.logits_bytes));
  row("KV cache", std::to_string(plan.cache_bytes_per_token) +
                      " bytes a token, up to " + size(plan.cache_bytes) +
                      " for " + plural(plan.sequences, "sequence") + " of " +
                      std::to_string(plan.context) + " tokens");
  row("memory", size(plan.available_memory) + " available" +
                    (onCpu ? "" : " on the device"));
  row("fits", plural(plan.sequences, "sequence") + " of " +
                  std::to_string(plan.fitting_context) +
                  " tokens (the model allows " +
                  std::to_string(info.max_context) + "), or " +
                  plural(plan.fitting_sequences, "sequence") + " of " +
                  std::to_string(plan.context));
  std::fprintf(stderr, "next: fdpp-run %s -c %d\n", options.folder.c_str(),
               plan.context);
  return 0;
}

} // namespace fdpp::tools
