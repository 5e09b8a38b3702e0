// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Windows.h"

#include <algorithm>

namespace fdpp::tools {

std::vector<Window> cutText(const Engine &engine, const std::string &text,
                            int32_t length) {
  std::vector<int32_t> front = tokenize(engine, "", /*addSpecial=*/true);
  std::vector<int32_t> tokens = tokenize(engine, text, /*addSpecial=*/false);
  int32_t most = infoOf(engine).max_context;
  if (length > most)
    fail("-c " + std::to_string(length) + ": the engine's context ends at " +
         std::to_string(most) + " tokens");
  if (static_cast<size_t>(length) <= front.size() + 1)
    fail("a window of " + std::to_string(length) +
         " tokens leaves nothing to predict; give more with -c");
  size_t step = length - front.size();
  std::vector<Window> windows;
  for (size_t at = 0; at < tokens.size(); at += step) {
    Window window{front, 0};
    size_t count = std::min(step, tokens.size() - at);
    auto from = tokens.begin() + static_cast<std::ptrdiff_t>(at);
    window.tokens.insert(window.tokens.end(), from,
                         from + static_cast<std::ptrdiff_t>(count));
    window.scored = static_cast<int32_t>(front.empty() ? count - 1 : count);
    if (window.scored > 0)
      windows.push_back(std::move(window));
  }
  if (windows.empty())
    fail("the text holds nothing to predict");
  return windows;
}

} // namespace fdpp::tools
