// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ByteLevel.h"
#include "Utf8.h"

#include <array>
#include <cstdint>

namespace fdpp::text {

namespace {

/// Printable Latin-1 characters stand for themselves; the other bytes, in
/// order, for U+0100 and on.
struct Table {
  std::array<char16_t, 256> CharOf{};
  std::array<int16_t, 512> ByteOf{};

  constexpr Table() {
    ByteOf.fill(-1);
    char16_t Next = 0x100;
    for (int B = 0; B < 256; ++B) {
      bool Printable =
          (B >= 0x21 && B <= 0x7E) || (B >= 0xA1 && B <= 0xAC) || B >= 0xAE;
      CharOf[B] = Printable ? static_cast<char16_t>(B) : Next++;
      ByteOf[CharOf[B]] = static_cast<int16_t>(B);
    }
  }
};

constexpr Table Spelling;

} // namespace

void spellBytes(std::string_view Bytes, std::string &Out) {
  for (char B : Bytes) {
    char16_t C = Spelling.CharOf[static_cast<unsigned char>(B)];
    if (C < 0x80) {
      Out.push_back(static_cast<char>(C));
    } else {
      Out.push_back(static_cast<char>(0xC0 | C >> 6));
      Out.push_back(static_cast<char>(0x80 | (C & 0x3F)));
    }
  }
}

void unspellBytes(std::string_view Text, std::string &Out) {
  size_t Mark = Out.size();
  for (size_t Pos = 0; Pos < Text.size();) {
    char32_t C = nextCodePoint(Text, Pos);
    if (C >= Spelling.ByteOf.size() || Spelling.ByteOf[C] < 0) {
      Out.resize(Mark);
      Out += Text;
      return;
    }
    Out.push_back(static_cast<char>(Spelling.ByteOf[C]));
  }
}

} // namespace fdpp::text
