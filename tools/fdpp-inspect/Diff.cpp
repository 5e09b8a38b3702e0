// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Two engines, value by value. Lists are compared by the names in them, not by
// position: one more weight is one line and not a shift of all that follow.
#include "Inspect.h"

#include <cstdio>
#include <map>

using namespace fdpp::inspect;

using Values = std::map<std::string, std::string>;

static std::string join(const std::string &path, const std::string &name) {
  return path.empty() ? name : path + "." + name;
}

/// What a member of a list is called; empty for one without a name.
static std::string nameOf(const Json &member) {
  if (member.is_string())
    return member.get<std::string>();
  if (member.is_object() && member.contains("name"))
    return member.at("name").get<std::string>();
  return "";
}

static void flatten(const Json &json, const std::string &path, Values &values) {
  if (json.is_object()) {
    for (const auto &[key, value] : json.items())
      if (key != "name" || path.find('[') == std::string::npos)
        flatten(value, join(path, key), values);
    return;
  }
  bool named = json.is_array() && !json.empty();
  for (const Json &member : json)
    named = named && json.is_array() && !nameOf(member).empty();
  if (!named) {
    values[path] = json.is_string() ? json.get<std::string>() : json.dump();
    return;
  }
  for (const Json &member : json) {
    std::string place = path + "[" + nameOf(member) + "]";
    values[place] = "present";
    if (member.is_object())
      flatten(member, place, values);
  }
}

/// Decisions have no names: what was decided, where, and how often.
static void flattenDecisions(const Json &report, Values &values) {
  std::map<std::string, int64_t> counts;
  if (report.contains("decisions"))
    for (const Json &decision : report.at("decisions")) {
      std::string place = decision.value("pass", "");
      for (const char *key : {"function", "place", "text"})
        if (decision.contains(key))
          place += ": " + decision.value(key, "");
      counts[place] += decision.value("count", int64_t(1));
    }
  for (const auto &[place, count] : counts)
    values["decision[" + place + "]"] =
        count == 1 ? "present" : std::to_string(count) + " times";
}

static Values flatten(const EngineFiles &engine) {
  Values values;
  flatten(engine.manifest, "", values);
  Json report = engine.report;
  flattenDecisions(report, values);
  report.erase("decisions");
  report.erase("magic");
  flatten(report, "report", values);
  values["flags"] = engine.flags;
  for (const Kernel &kernel : engine.kernels)
    values["kernel[" + kernel.name + "].code_bytes"] =
        std::to_string(kernel.bytes);
  return values;
}

bool fdpp::inspect::printDifferences(const EngineFiles &before,
                                     const EngineFiles &after) {
  Values old = flatten(before), now = flatten(after);
  bool differ = false;
  auto print = [&](char sign, const std::string &path,
                   const std::string &value) {
    differ = true;
    if (value == "present")
      std::printf("%c %s\n", sign, path.c_str());
    else
      std::printf("%c %s: %s\n", sign, path.c_str(), value.c_str());
  };
  Values all = old;
  all.insert(now.begin(), now.end());
  for (const auto &[path, unused] : all) {
    auto was = old.find(path), is = now.find(path);
    if (was == old.end())
      print('+', path, is->second);
    else if (is == now.end())
      print('-', path, was->second);
    else if (was->second != is->second)
      print('!', path, was->second + " -> " + is->second);
  }
  return differ;
}
