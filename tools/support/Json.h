// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_SUPPORT_JSON_H
#define FDPP_TOOLS_SUPPORT_JSON_H

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace fdpp::tools {

/// Writes JSON in the order it is told: members of one object after another.
class JsonObjectWriter {
public:
  JsonObjectWriter &add(const char *key, std::string_view value) {
    return raw(key, quote(value));
  }
  JsonObjectWriter &add(const char *key, const char *value) {
    return raw(key, quote(value));
  }
  JsonObjectWriter &add(const char *key, int64_t value) {
    return raw(key, std::to_string(value));
  }
  JsonObjectWriter &add(const char *key, uint64_t value) {
    return raw(key, std::to_string(value));
  }
  JsonObjectWriter &add(const char *key, int32_t value) {
    return raw(key, std::to_string(value));
  }
  JsonObjectWriter &add(const char *key, double value) {
    return raw(key, number(value));
  }
  template <typename T>
  JsonObjectWriter &add(const char *key, const std::vector<T> &values) {
    std::string text = "[";
    for (const T &value : values)
      text += (text.size() > 1 ? ", " : "") + number(value);
    return raw(key, text + "]");
  }
  /// A value that is JSON already.
  JsonObjectWriter &raw(const char *key, const std::string &value) {
    body += (body.empty() ? "" : ", ") + quote(key) + ": " + value;
    return *this;
  }
  std::string text() const { return "{" + body + "}"; }

private:
  static std::string number(double value) {
    char text[40];
    std::snprintf(text, sizeof(text), "%.9g", value);
    return text;
  }
  static std::string number(int32_t value) { return std::to_string(value); }
  static std::string number(uint64_t value) { return std::to_string(value); }

  static std::string quote(std::string_view text) {
    std::string out = "\"";
    for (unsigned char c : text) {
      char code[8];
      if (c == '"' || c == '\\')
        out += '\\', out += static_cast<char>(c);
      else if (c == '\n')
        out += "\\n";
      else if (c < 0x20 || c == 0x7f)
        std::snprintf(code, sizeof(code), "\\u%04x", c), out += code;
      else
        out += static_cast<char>(c);
    }
    return out + '"';
  }

  std::string body;
};

} // namespace fdpp::tools

#endif // FDPP_TOOLS_SUPPORT_JSON_H
