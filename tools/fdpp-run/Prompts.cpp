// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Run.h"

#include <charconv>
#include <sstream>

namespace fdpp::tools {
namespace {

/// Without the newline at the end, which is not meant.
std::string readPrompt(const std::string &path) {
  std::string text = readFile(path, "the prompt");
  if (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

/// Lines that hold something.
std::vector<std::string> readLines(const std::string &path) {
  std::vector<std::string> lines;
  std::istringstream text(readFile(path, "the prompts"));
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line.back() == '\r')
      line.pop_back();
    if (!line.empty())
      lines.push_back(line);
  }
  if (lines.empty())
    fail(path + ": holds no prompts; give it one a line");
  return lines;
}

std::vector<int32_t> parseIds(const std::string &list) {
  std::vector<int32_t> ids;
  const char *at = list.data(), *end = at + list.size();
  while (true) {
    int32_t id;
    auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() || (next != end && *next != ','))
      fail("--tokens takes ids with commas between them, as in 1,2,3; '" +
           list + "' is none");
    ids.push_back(id);
    if (next == end)
      return ids;
    at = next + 1;
  }
}

} // namespace

std::vector<std::vector<int32_t>> readPrompts(const RunOptions &options,
                                              const Engine &engine) {
  std::vector<std::vector<int32_t>> prompts;
  if (!options.tokenLists.empty()) {
    for (const std::string &list : options.tokenLists)
      prompts.push_back(parseIds(list));
    return prompts;
  }
  if (options.hasChat)
    return {tokenize(engine, applyChat(engine, {{"user", options.chat}}),
                     /*addSpecial=*/false)};
  std::vector<std::string> texts = options.prompts;
  if (!options.file.empty())
    texts = {readPrompt(options.file)};
  else if (!options.promptsFile.empty())
    texts = readLines(options.promptsFile);
  else if (texts.empty())
    texts = {readPrompt("-")};
  for (const std::string &text : texts) {
    prompts.push_back(tokenize(engine, text, /*addSpecial=*/true));
    if (prompts.back().empty())
      fail("the prompt is empty; give it some text");
  }
  return prompts;
}

} // namespace fdpp::tools
