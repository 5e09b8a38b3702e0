// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading fields of a JSON document with messages that name the field.

#ifndef FDPP_RUNTIME_TEXT_JSON_H
#define FDPP_RUNTIME_TEXT_JSON_H

#include "Failure.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace fdpp::text {

/// A value of the document and its path in it ("pre_tokenizer.pattern"); the
/// document must outlive it. Every accessor throws Failure naming the path.
class JsonNode {
public:
  JsonNode(const nlohmann::json &Value, std::string Path)
      : Value(&Value), Where(std::move(Path)) {}

  const std::string &path() const { return Where; }
  bool isNull() const { return Value->is_null(); }
  bool isString() const { return Value->is_string(); }
  bool isZeroOrNull() const { return isNull() || *Value == 0; }

  /// The field, which must be there.
  JsonNode at(const char *Key) const;
  /// The field, or null where it is absent.
  JsonNode get(const char *Key) const;
  bool has(const char *Key) const;

  const std::string &string() const;
  bool boolean() const;
  bool boolean(const char *Key, bool Default) const;
  int64_t integer(int64_t Low, int64_t High) const;
  /// A string of exactly one character.
  char32_t character() const;

  size_t size() const; ///< of an array
  JsonNode at(size_t Index) const;

  /// Refuses fields other than Known.
  void only(std::initializer_list<std::string_view> Known) const;

  [[noreturn]] void refuse(const std::string &What) const;

private:
  const nlohmann::json *Value;
  std::string Where;
};

/// The whole file. Throws Failure.
std::string readFile(const std::string &Path);

/// The document in Text; throws Failure with the place of a syntax error.
nlohmann::json parseJson(std::string_view Text);

/// One line for the message of an nlohmann exception.
std::string describeJsonError(const std::exception &E);

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_JSON_H
