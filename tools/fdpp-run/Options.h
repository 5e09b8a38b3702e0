// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_FDPP_RUN_OPTIONS_H
#define FDPP_TOOLS_FDPP_RUN_OPTIONS_H

#include "Client.h"

#include <optional>
#include <string>
#include <vector>

namespace fdpp::tools {

struct RunOptions {
  std::string folder;
  std::vector<std::string> prompts;    // -p, each a sequence
  std::string file;                    // -f
  std::string promptsFile;             // --prompts, each line a sequence
  std::string chat;                    // --chat
  bool hasChat = false;                // --chat was given
  std::vector<std::string> tokenLists; // --tokens, each a sequence
  std::optional<int32_t> maxNew;       // -n
  int32_t prefill = 0;                 // tokens to prefill; 0: all
  std::string logits;                  // file to write
  std::string taps;                    // file to write, "-" stdout
  bool stats = false, plan = false, listDevices = false, json = false;
  bool verify = false;
  fdpp_session_options session = sized<fdpp_session_options>();
  fdpp_sampling sampling = sized<fdpp_sampling>();

  /// Tokens to generate at most: a chat ends by itself, other text may not.
  int32_t newTokens(bool chatting) const {
    return maxNew.value_or(chatting ? -1 : 256);
  }
  bool hasPrompt() const {
    return !prompts.empty() || !file.empty() || !promptsFile.empty() ||
           hasChat || !tokenLists.empty();
  }
};

/// Reads the command line; a value means: exit with it.
std::optional<int> parseRunOptions(int argc, char **argv, RunOptions &options);

} // namespace fdpp::tools

#endif // FDPP_TOOLS_FDPP_RUN_OPTIONS_H
