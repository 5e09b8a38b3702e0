// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// UTF-8 reading and writing, and the few character classes that tokenizers
// ask for outside regular expressions.

#ifndef FDPP_RUNTIME_TEXT_UTF8_H
#define FDPP_RUNTIME_TEXT_UTF8_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fdpp::text {

/// U+FFFD in UTF-8.
inline constexpr std::string_view ReplacementChar = "\xEF\xBF\xBD";

/// Bytes of the character that starts with Lead, in valid UTF-8.
inline size_t utf8Length(unsigned char Lead) {
  return Lead < 0x80 ? 1 : Lead < 0xE0 ? 2 : Lead < 0xF0 ? 3 : 4;
}

/// The code point at Text[Pos] of valid UTF-8; moves Pos past it.
char32_t nextCodePoint(std::string_view Text, size_t &Pos);

/// The start of the character that ends before Pos (> 0) in valid UTF-8.
size_t previousStart(std::string_view Text, size_t Pos);

void appendUtf8(std::string &Out, char32_t C);

/// How the bytes from Text[Pos] on begin.
enum class Utf8Step {
  Character, ///< Length bytes are one character
  Broken,    ///< Length bytes are the longest start of one, then it breaks
  Partial,   ///< the text ends inside a character that may still be completed
};
struct Utf8Scan {
  Utf8Step Step;
  size_t Length;
};
Utf8Scan scanUtf8(std::string_view Text, size_t Pos);

bool isValidUtf8(std::string_view Text);

/// Bytes in, valid UTF-8 out: each longest broken start of a character becomes
/// one U+FFFD (Unicode 15, section 3.9, "substitution of maximal subparts").
class LossyUtf8 {
public:
  void push(std::string_view Bytes, std::string &Out);
  void finish(std::string &Out);

private:
  std::string Held; // the start of a character, at most 3 bytes
};

/// Unicode White_Space.
bool isWhiteSpace(char32_t C);
/// General category Nd, Nl or No.
bool isNumeric(char32_t C);
/// Alphabetic, mark, decimal number, connector or joiner (UTS 18 \w).
bool isWordChar(char32_t C);

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_UTF8_H
