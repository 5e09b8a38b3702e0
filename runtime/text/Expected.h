// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A value, or one lower-case line that says what went wrong, where, and what
// to do. Nothing in runtime/text lets an exception out of a public function.

#ifndef FDPP_RUNTIME_TEXT_EXPECTED_H
#define FDPP_RUNTIME_TEXT_EXPECTED_H

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace fdpp::text {

/// The message of a failure: one line, lower case, no full stop.
struct Error {
  std::string Message;
};

/// Either a T or an Error. Test it before use:
///   auto Tok = Tokenizer::load(Path);
///   if (!Tok)
///     return fail(Tok.error());
template <typename T> class Expected {
public:
  Expected(T Value) : Storage(std::in_place_index<0>, std::move(Value)) {}
  Expected(Error E) : Storage(std::in_place_index<1>, std::move(E)) {}

  explicit operator bool() const { return Storage.index() == 0; }

  T &operator*() {
    assert(*this && "no value");
    return *std::get_if<0>(&Storage);
  }
  const T &operator*() const {
    assert(*this && "no value");
    return *std::get_if<0>(&Storage);
  }
  T *operator->() { return &**this; }
  const T *operator->() const { return &**this; }

  /// The message; only when there is no value.
  const std::string &error() const {
    assert(!*this && "no error");
    return std::get_if<1>(&Storage)->Message;
  }

private:
  std::variant<T, Error> Storage;
};

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_EXPECTED_H
