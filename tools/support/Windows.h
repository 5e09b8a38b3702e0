// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_SUPPORT_WINDOWS_H
#define FDPP_TOOLS_SUPPORT_WINDOWS_H

#include "Client.h"

namespace fdpp::tools {

/// A piece of a text that is run by itself. Its last `scored` tokens are
/// predicted from those before them.
struct Window {
  std::vector<int32_t> tokens;
  int32_t scored = 0;

  bool operator==(const Window &) const = default;
};

/// Consecutive windows of at most `length` tokens. Each begins with what the
/// tokenizer puts in front of a text (BOS), which is not scored; without that
/// the first token of each window is not scored. A last window that has nothing
/// to score is left out. Fails where the text holds nothing to score, or the
/// engine's context is shorter.
std::vector<Window> cutText(const Engine &engine, const std::string &text,
                            int32_t length);

} // namespace fdpp::tools

#endif // FDPP_TOOLS_SUPPORT_WINDOWS_H
