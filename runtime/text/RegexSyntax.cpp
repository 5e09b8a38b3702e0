// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Oniguruma (Ruby) syntax -> PCRE2 syntax. The two agree on most of what
// tokenizers use; the rest is rewritten here or refused, never guessed.

#include "Failure.h"
#include "Regex.h"

#include <cctype>

namespace fdpp::text {

namespace {

// Oniguruma's \s is White_Space; PCRE2's also has U+180E.
constexpr std::string_view Space =
    R"(\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view NotSpace =
    R"(\x00-\x08\x0e-\x1f\x21-\x84\x86-\x9f\xa1-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{d7ff}\x{e000}-\x{10ffff})";

bool isDigit(char C) { return C >= '0' && C <= '9'; }
bool isHex(char C) { return std::isxdigit(static_cast<unsigned char>(C)); }

class Translator {
public:
  explicit Translator(std::string_view Pattern) : In(Pattern) {}

  std::string run() {
    while (Pos < In.size())
      element();
    return std::move(Out);
  }

private:
  [[noreturn]] void refuse(const std::string &What) {
    fail("regex '" + std::string(In) + "' uses " + What +
         ", which is not supported");
  }
  bool at(std::string_view S) const { return In.substr(Pos).starts_with(S); }
  void copy(size_t N) {
    Out += In.substr(Pos, N);
    Pos += N;
  }

  void element() {
    switch (In[Pos]) {
    case '\\':
      return escape(/*InClass=*/false);
    case '[':
      return charClass();
    case '(':
      return group();
    case '{':
      return interval();
    case '^':
    case '$':
      refuse(std::string("the anchor '") + In[Pos] + "'");
    default:
      return copy(1);
    }
  }

  void group() {
    for (std::string_view Open :
         {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"})
      if (at(Open))
        return copy(Open.size());
    if (at("(?") || at("(*"))
      refuse("the group '" + std::string(In.substr(Pos, 3)) + "'");
    copy(1);
  }

  // {n}, {n,}, {n,m}. Ruby reads {n}? and {n,m}+ differently from PCRE2, and
  // {,m} is an interval there and text here.
  void interval() {
    size_t P = Pos + 1, Commas = 0, Digits = 0;
    for (; P < In.size() && (isDigit(In[P]) || In[P] == ','); ++P)
      (In[P] == ',' ? Commas : Digits) += 1;
    bool Closed = P < In.size() && In[P] == '}';
    if (!Closed || !Digits || Commas > 1 || In[Pos + 1] == ',')
      refuse("a '{' that opens no interval {n}, {n,} or {n,m}");
    char After = P + 1 < In.size() ? In[P + 1] : 0;
    if (After == '+' || (After == '?' && !Commas))
      refuse("an interval followed by '" + std::string(1, After) + "'");
    copy(P + 1 - Pos);
  }

  void property() {
    size_t Close = In.find('}', Pos);
    if (Pos + 2 >= In.size() || In[Pos + 2] != '{' ||
        Close == std::string_view::npos)
      refuse("a \\p without {name}");
    std::string_view Name = In.substr(Pos + 3, Close - Pos - 3);
    bool Category = Name.size() == 1 || Name.size() == 2;
    Category =
        Category &&
        std::string_view("LMNPSZC").find(Name[0]) != std::string_view::npos &&
        (Name.size() == 1 || std::islower(static_cast<unsigned char>(Name[1])));
    if (!Category)
      refuse("the property '" + std::string(Name) + "'");
    copy(Close + 1 - Pos);
  }

  void hexEscape() {
    if (at("\\x{")) {
      size_t Close = In.find('}', Pos);
      if (Close == std::string_view::npos || Close == Pos + 3 ||
          Close > Pos + 11)
        refuse("a broken \\x{...}");
      for (size_t I = Pos + 3; I < Close; ++I)
        if (!isHex(In[I]))
          refuse("a broken \\x{...}");
      return copy(Close + 1 - Pos);
    }
    // \xHH above 7F is a byte to Oniguruma and a character to PCRE2.
    size_t Digits = In[Pos + 1] == 'u' ? 4 : 2;
    std::string_view Hex = In.substr(Pos + 2, Digits);
    bool Good = Hex.size() == Digits;
    for (char C : Hex)
      Good = Good && isHex(C);
    if (!Good || (Digits == 2 && Hex[0] >= '8'))
      refuse("the escape '" + std::string(In.substr(Pos, 2 + Digits)) + "'");
    Out += "\\x{" + std::string(Hex) + "}";
    Pos += 2 + Digits;
  }

  void escape(bool InClass) {
    if (Pos + 1 >= In.size())
      refuse("a '\\' at its end");
    char C = In[Pos + 1];
    switch (C) {
    case 's':
    case 'S': {
      std::string_view Set = C == 's' ? Space : NotSpace;
      Out += InClass ? std::string(Set) : '[' + std::string(Set) + ']';
      Pos += 2;
      return;
    }
    case 'p':
    case 'P':
      return property();
    case 'x':
    case 'u':
      return hexEscape();
    case 'd':
    case 'D':
    case 'r':
    case 'n':
    case 't':
    case 'f':
      return copy(2);
    default:
      if (std::isalnum(static_cast<unsigned char>(C)) || C & 0x80)
        refuse(std::string("the escape '\\") + C + "'");
      return copy(2);
    }
  }

  void charClass() {
    copy(1);
    if (at("^"))
      copy(1);
    if (at("]"))
      refuse("a ']' at the start of a class");
    size_t First = Pos;
    while (Pos < In.size() && In[Pos] != ']') {
      if (In[Pos] == '[' || at("&&"))
        refuse("a class inside a class");
      if (In[Pos] != '\\') {
        copy(1);
        continue;
      }
      bool Set =
          Pos + 1 < In.size() && std::string_view("sSdDpP").find(In[Pos + 1]) !=
                                     std::string_view::npos;
      bool AfterDash = Pos > First && In[Pos - 1] == '-';
      escape(/*InClass=*/true);
      bool BeforeDash = at("-") && !at("-]");
      if (Set && (AfterDash || BeforeDash))
        refuse("a range that ends in a set");
    }
    if (Pos == In.size())
      refuse("a class without its ']'");
    copy(1);
  }

  std::string_view In;
  std::string Out;
  size_t Pos = 0;
};

} // namespace

std::string toPcre2(std::string_view Pattern) {
  return Translator(Pattern).run();
}

} // namespace fdpp::text
