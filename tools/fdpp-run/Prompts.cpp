// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Run.h"

#include <charconv>
#include <fstream>
#include <iostream>
#include <iterator>

namespace fdpp::tools {
namespace {

std::string readAll(std::istream &stream, const std::string &name) {
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (stream.bad())
    fail(name + ": cannot read");
  // A file or a pipe ends with a newline that is not meant.
  if (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

std::string readFile(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream)
    fail(path + ": cannot open the prompt file");
  return readAll(stream, path);
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
    texts = {readFile(options.file)};
  else if (texts.empty())
    texts = {readAll(std::cin, "stdin")};
  for (const std::string &text : texts) {
    prompts.push_back(tokenize(engine, text, /*addSpecial=*/true));
    if (prompts.back().empty())
      fail("the prompt is empty; give it some text");
  }
  return prompts;
}

} // namespace fdpp::tools
