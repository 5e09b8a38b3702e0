// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How the parts of runtime/text report a failure to the public functions,
// which catch it and hand it out as an Error.

#ifndef FDPP_RUNTIME_TEXT_FAILURE_H
#define FDPP_RUNTIME_TEXT_FAILURE_H

#include <stdexcept>
#include <string>

namespace fdpp::text {

/// Names that a file brought along may hold anything; a message is one line,
/// without what a terminal would act on.
inline std::string printable(std::string Message) {
  for (char &C : Message)
    if (static_cast<unsigned char>(C) < 0x20 || C == 0x7F)
      C = '?';
  return Message;
}

/// What was wrong, without the file's name: the public function adds it.
class Failure : public std::runtime_error {
public:
  explicit Failure(const std::string &Message)
      : std::runtime_error(printable(Message)) {}
};

[[noreturn]] inline void fail(const std::string &Message) {
  throw Failure(Message);
}

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_FAILURE_H
