// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_SUPPORT_PARSEERROR_H
#define FDPP_TOOLS_SUPPORT_PARSEERROR_H

#include <CLI/CLI.hpp>
#include <cctype>
#include <string>

namespace fdpp::tools {

/// The parser's complaint as one lower-case line; a name such as DIR keeps its
/// letters.
inline std::string describe(const CLI::ParseError &error) {
  std::string message = error.what();
  for (char &c : message)
    c = c == '\n' ? ' ' : c;
  if (message.size() > 1 &&
      std::islower(static_cast<unsigned char>(message[1])))
    message[0] =
        static_cast<char>(std::tolower(static_cast<unsigned char>(message[0])));
  return message + "; see --help";
}

} // namespace fdpp::tools

#endif // FDPP_TOOLS_SUPPORT_PARSEERROR_H
