// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_SUPPORT_ARGUMENTS_H
#define FDPP_TOOLS_SUPPORT_ARGUMENTS_H

#include "Client.h"
#include "ParseError.h"

#include <CLI/CLI.hpp>
#include <optional>

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
    fail(describe(error));
  }
}

} // namespace fdpp::tools

#endif // FDPP_TOOLS_SUPPORT_ARGUMENTS_H
