// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Typed access to parsed JSON that reports a wrong key by its full path.
#ifndef FDPP_RUNTIME_ENGINE_JSONREADER_H
#define FDPP_RUNTIME_ENGINE_JSONREADER_H

#include "Error.h"

#include <cstdint>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fdpp::runtime {

/// A whole file as text, at most `limit` bytes.
inline std::string readTextFile(const std::string &path, uint64_t limit) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    userError(path + ": cannot open the file");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.size() > limit)
    userError(path + ": larger than " + std::to_string(limit) + " bytes");
  return text;
}

/// One JSON object and the words to blame it with.
class JsonObject {
public:
  JsonObject(const nlohmann::json &value, std::string file, std::string prefix)
      : value(value), file(std::move(file)), prefix(std::move(prefix)) {}

  bool has(const char *key) const {
    auto found = value.find(key);
    return found != value.end() && !found->is_null();
  }
  JsonObject object(const char *key) const {
    const nlohmann::json &member = get(key);
    if (!member.is_object())
      fail(key, "must be an object");
    return {member, file, prefix + key + "."};
  }
  std::string string(const char *key) const {
    const nlohmann::json &member = get(key);
    if (!member.is_string())
      fail(key, "must be a string");
    return member.get<std::string>();
  }
  int64_t integer(const char *key, int64_t low, int64_t high) const {
    return integer(get(key), key, low, high);
  }
  bool boolean(const char *key) const {
    const nlohmann::json &member = get(key);
    if (!member.is_boolean())
      fail(key, "must be true or false");
    return member.get<bool>();
  }
  std::vector<std::string> strings(const char *key) const {
    std::vector<std::string> result;
    for (const nlohmann::json &member : array(key)) {
      if (!member.is_string())
        fail(key, "must be a list of strings");
      result.push_back(member.get<std::string>());
    }
    return result;
  }
  std::vector<int32_t> ids(const char *key) const {
    std::vector<int32_t> result;
    for (const nlohmann::json &member : array(key))
      result.push_back(
          static_cast<int32_t>(integer(member, key, 0, INT32_MAX)));
    return result;
  }
  std::vector<JsonObject> objects(const char *key) const {
    std::vector<JsonObject> result;
    for (const nlohmann::json &member : array(key)) {
      std::string at =
          prefix + key + "[" + std::to_string(result.size()) + "].";
      if (!member.is_object())
        fail(key, "must be a list of objects");
      result.emplace_back(member, file, at);
    }
    return result;
  }
  [[noreturn]] void fail(const char *key, const std::string &why) const {
    userError(file + ": '" + prefix + key + "' " + why +
              "; compile the model again");
  }

private:
  const nlohmann::json &get(const char *key) const {
    auto found = value.find(key);
    if (found == value.end())
      fail(key, "is missing");
    return *found;
  }
  const nlohmann::json &array(const char *key) const {
    const nlohmann::json &member = get(key);
    if (!member.is_array())
      fail(key, "must be a list");
    return member;
  }
  int64_t integer(const nlohmann::json &member, const char *key, int64_t low,
                  int64_t high) const {
    // Numbers above INT64_MAX are unsigned for the parser: out of range too.
    bool fits = member.is_number_integer() &&
                (!member.is_number_unsigned() ||
                 member.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
    int64_t number = fits ? member.get<int64_t>() : 0;
    if (!fits || number < low || number > high)
      fail(key, "must be an integer from " + std::to_string(low) + " to " +
                    std::to_string(high));
    return number;
  }

  const nlohmann::json &value;
  std::string file, prefix;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_JSONREADER_H
