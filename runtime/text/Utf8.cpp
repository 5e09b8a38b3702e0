// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Utf8.h"

#include <utf8proc.h>

namespace fdpp::text {

char32_t nextCodePoint(std::string_view Text, size_t &Pos) {
  auto At = [&](size_t I) { return static_cast<unsigned char>(Text[Pos + I]); };
  unsigned char Lead = At(0);
  char32_t C;
  switch (utf8Length(Lead)) {
  case 1:
    C = Lead;
    break;
  case 2:
    C = (Lead & 0x1Fu) << 6 | (At(1) & 0x3Fu);
    break;
  case 3:
    C = (Lead & 0x0Fu) << 12 | (At(1) & 0x3Fu) << 6 | (At(2) & 0x3Fu);
    break;
  default:
    C = (Lead & 0x07u) << 18 | (At(1) & 0x3Fu) << 12 | (At(2) & 0x3Fu) << 6 |
        (At(3) & 0x3Fu);
    break;
  }
  Pos += utf8Length(Lead);
  return C;
}

size_t previousStart(std::string_view Text, size_t Pos) {
  do
    --Pos;
  while (Pos && (static_cast<unsigned char>(Text[Pos]) & 0xC0) == 0x80);
  return Pos;
}

void appendUtf8(std::string &Out, char32_t C) {
  auto Put = [&](char32_t Byte) { Out.push_back(static_cast<char>(Byte)); };
  if (C < 0x80) {
    Put(C);
  } else if (C < 0x800) {
    Put(0xC0 | C >> 6);
    Put(0x80 | (C & 0x3F));
  } else if (C < 0x10000) {
    Put(0xE0 | C >> 12);
    Put(0x80 | (C >> 6 & 0x3F));
    Put(0x80 | (C & 0x3F));
  } else {
    Put(0xF0 | C >> 18);
    Put(0x80 | (C >> 12 & 0x3F));
    Put(0x80 | (C >> 6 & 0x3F));
    Put(0x80 | (C & 0x3F));
  }
}

Utf8Scan scanUtf8(std::string_view Text, size_t Pos) {
  auto At = [&](size_t I) { return static_cast<unsigned char>(Text[I]); };
  unsigned char Lead = At(Pos);
  if (Lead < 0x80)
    return {Utf8Step::Character, 1};
  if (Lead < 0xC2 || Lead > 0xF4)
    return {Utf8Step::Broken, 1};
  size_t Length = utf8Length(Lead);
  // The second byte's range rules out overlong forms, surrogates and code
  // points past U+10FFFF (Unicode 15, table 3-7).
  unsigned char Low = Lead == 0xE0 ? 0xA0 : Lead == 0xF0 ? 0x90 : 0x80;
  unsigned char High = Lead == 0xED ? 0x9F : Lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t I = 1; I < Length; ++I) {
    if (Pos + I >= Text.size())
      return {Utf8Step::Partial, I};
    unsigned char Byte = At(Pos + I);
    if (Byte < Low || Byte > High)
      return {Utf8Step::Broken, I};
    Low = 0x80;
    High = 0xBF;
  }
  return {Utf8Step::Character, Length};
}

bool isValidUtf8(std::string_view Text) {
  for (size_t Pos = 0; Pos < Text.size();) {
    Utf8Scan Scan = scanUtf8(Text, Pos);
    if (Scan.Step != Utf8Step::Character)
      return false;
    Pos += Scan.Length;
  }
  return true;
}

void LossyUtf8::push(std::string_view Bytes, std::string &Out) {
  std::string Joined;
  if (!Held.empty()) {
    Joined = std::move(Held);
    Joined += Bytes;
    Bytes = Joined;
    Held.clear();
  }
  for (size_t Pos = 0; Pos < Bytes.size();) {
    Utf8Scan Scan = scanUtf8(Bytes, Pos);
    if (Scan.Step == Utf8Step::Partial) {
      Held.assign(Bytes.substr(Pos));
      return;
    }
    if (Scan.Step == Utf8Step::Character)
      Out += Bytes.substr(Pos, Scan.Length);
    else
      Out += ReplacementChar;
    Pos += Scan.Length;
  }
}

void LossyUtf8::finish(std::string &Out) {
  if (!Held.empty())
    Out += ReplacementChar;
  Held.clear();
}

bool isWhiteSpace(char32_t C) {
  return (C >= 0x09 && C <= 0x0D) || C == 0x20 || C == 0x85 || C == 0xA0 ||
         C == 0x1680 || (C >= 0x2000 && C <= 0x200A) || C == 0x2028 ||
         C == 0x2029 || C == 0x202F || C == 0x205F || C == 0x3000;
}

bool isNumeric(char32_t C) {
  if (C < 0x80)
    return C >= '0' && C <= '9';
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(C))) {
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_NO:
    return true;
  default:
    return false;
  }
}

bool isWordChar(char32_t C) {
  // Circled and squared letters are symbols, yet Alphabetic; the joiners are
  // format characters, yet part of words.
  if ((C >= 0x24B6 && C <= 0x24E9) || (C >= 0x1F130 && C <= 0x1F149) ||
      (C >= 0x1F150 && C <= 0x1F169) || (C >= 0x1F170 && C <= 0x1F189) ||
      C == 0x200C || C == 0x200D)
    return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(C))) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_PC:
    return true;
  default:
    return false;
  }
}

} // namespace fdpp::text
