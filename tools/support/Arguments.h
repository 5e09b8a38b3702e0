// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_SUPPORT_ARGUMENTS_H
#define FDPP_TOOLS_SUPPORT_ARGUMENTS_H

#include "Client.h"

#include <CLI/CLI.hpp>
#include <cctype>
#include <optional>
#include <string>

namespace fdpp::tools {

/// Parses the command line. A value means: exit with it, --help or --version
/// was served. A wrong argument throws a failure of one line.
inline std::optional<int> parseArguments(CLI::App &app, int argc, char **argv) {
  app.set_version_flag("--version", fdpp_version());
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError &error) {
    if (error.get_exit_code() == 0)
      return app.exit(error);
    std::string message = error.what();
    for (char &c : message)
      c = c == '\n' ? ' ' : c;
    // A name such as DIR keeps its letters.
    if (message.size() > 1 &&
        std::islower(static_cast<unsigned char>(message[1])))
      message[0] = static_cast<char>(
          std::tolower(static_cast<unsigned char>(message[0])));
    fail(message + "; see --help");
  }
}

} // namespace fdpp::tools

#endif // FDPP_TOOLS_SUPPORT_ARGUMENTS_H
