// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one exception type of the runtime. It is thrown while loading and when a
// request is refused, never in the good path of a step, and is turned into a
// result code and a message at the C ABI.
#ifndef FDPP_RUNTIME_ENGINE_ERROR_H
#define FDPP_RUNTIME_ENGINE_ERROR_H

#include "text/Failure.h"

#include <stdexcept>
#include <string>

namespace fdpp::runtime {

/// Mirrors fdpp_result of the C API, without its success.
enum class ErrorKind { User, Context, NoPage, Memory, Cancelled, Internal };

/// `what()` is one lower-case line: what, where, what to do.
class Error : public std::runtime_error {
public:
  Error(ErrorKind kind, const std::string &message)
      : std::runtime_error(text::printable(message)), kind(kind) {}
  const ErrorKind kind;
};

[[noreturn]] inline void userError(const std::string &message) {
  throw Error(ErrorKind::User, message);
}

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_ERROR_H
