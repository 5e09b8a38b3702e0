// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "RebuildCommand.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

namespace fdpp::runtime {
namespace {

/// A word as a shell reads it back.
std::string shellWord(const std::string &word) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
      "%+,-./:=@_";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos)
    return word;
  std::string text = "'";
  for (char c : word)
    text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

bool isOneLine(const std::string &word) {
  return std::none_of(word.begin(), word.end(),
                      [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

/// The recorded command; empty if there is none that may be shown.
std::vector<std::string> recordedCommand(const nlohmann::json &manifest) {
  auto found = manifest.find("command");
  if (found == manifest.end() || !found->is_array() || found->size() < 2)
    return {};
  std::vector<std::string> words;
  for (const nlohmann::json &word : *found) {
    if (!word.is_string() || !isOneLine(word.get<std::string>()))
      return {};
    words.push_back(word.get<std::string>());
  }
  return words.front() == "fdpp-compile" ? words : std::vector<std::string>();
}

} // namespace

std::string rebuildCommand(const nlohmann::json &manifest,
                           const std::string &folder, bool here) {
  std::vector<std::string> words = recordedCommand(manifest);
  std::error_code error;
  std::string place = std::filesystem::absolute(folder, error).string();
  if (words.empty() || error || !isOneLine(place))
    return "compile the model again";
  // A table of another device's timings is of no use here.
  if (here)
    std::erase_if(words, [](const std::string &word) {
      return word.starts_with("--tuning=");
    });
  for (std::string &word : words)
    if (here && word.starts_with("--arch="))
      word = "--arch=native";
    else if (here && word.starts_with("--target="))
      word = "--target=cpu";
  words.insert(words.end(), {"-o", place});
  std::string text = "beside " + shellWord(words[1]) + " run:";
  for (const std::string &word : words)
    text += " " + shellWord(word);
  return text;
}

} // namespace fdpp::runtime
