// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How the parts of runtime/text report a failure to the public functions,
// which catch it and hand it out as an Error.

#ifndef FDPP_RUNTIME_TEXT_FAILURE_H
#define FDPP_RUNTIME_TEXT_FAILURE_H

#include <stdexcept>
#include <string>

namespace fdpp::text {

/// What was wrong, without the file's name: the public function adds it.
class Failure : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

[[noreturn]] inline void fail(const std::string &Message) {
  throw Failure(Message);
}

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_FAILURE_H
