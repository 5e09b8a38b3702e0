// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Normalizer.h"
#include "Regex.h"
#include "Utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>

namespace fdpp::text {

Regex parseStringOrRegex(const JsonNode &Pattern) {
  Pattern.only({"String", "Regex"});
  if (Pattern.has("String") == Pattern.has("Regex"))
    Pattern.refuse("must have either 'String' or 'Regex'");
  if (Pattern.has("String"))
    return Regex::fromLiteral(Pattern.at("String").string());
  return Regex::fromPattern(Pattern.at("Regex").string());
}

namespace {

/// Unicode normalization forms (UAX 15).
class UnicodeForm : public Normalizer {
public:
  explicit UnicodeForm(int Options)
      : Options(static_cast<utf8proc_option_t>(Options | UTF8PROC_STABLE)) {}

  void apply(std::string &Text, bool &) const override {
    bool Ascii = std::all_of(Text.begin(), Text.end(), [](char C) {
      return static_cast<unsigned char>(C) < 0x80;
    });
    if (Ascii)
      return;
    utf8proc_uint8_t *Result = nullptr;
    utf8proc_ssize_t Length = utf8proc_map(
        reinterpret_cast<const utf8proc_uint8_t *>(Text.data()),
        static_cast<utf8proc_ssize_t>(Text.size()), &Result, Options);
    if (Length < 0)
      fail(std::string("text does not normalize: ") + utf8proc_errmsg(Length));
    Text.assign(reinterpret_cast<const char *>(Result),
                static_cast<size_t>(Length));
    std::free(Result);
  }

private:
  utf8proc_option_t Options;
};

class Prepend : public Normalizer {
public:
  explicit Prepend(std::string Prefix) : Prefix(std::move(Prefix)) {}
  void apply(std::string &Text, bool &) const override {
    if (!Text.empty())
      Text.insert(0, Prefix);
  }

private:
  std::string Prefix;
};

class Replace : public Normalizer {
public:
  Replace(Regex Pattern, std::string Content)
      : Pattern(std::move(Pattern)), Content(std::move(Content)) {}

  void apply(std::string &Text, bool &AtStart) const override {
    std::vector<Match> Ranges;
    Pattern.split(Text, Ranges);
    std::string Out;
    Out.reserve(Text.size());
    for (const Match &M : Ranges) {
      if (!M.Matched) {
        Out.append(Text, M.Begin, M.End - M.Begin);
        continue;
      }
      // The new text is aligned with the last character it replaces.
      if (M.Begin == 0 && M.End != 0)
        AtStart = AtStart && !Content.empty() &&
                  utf8Length(static_cast<unsigned char>(Text[0])) == M.End;
      Out += Content;
    }
    Text = std::move(Out);
  }

private:
  Regex Pattern;
  std::string Content;
};

class Strip : public Normalizer {
public:
  Strip(bool Left, bool Right) : Left(Left), Right(Right) {}

  void apply(std::string &Text, bool &AtStart) const override {
    size_t Begin = 0, End = Text.size();
    while (Left && Begin < End) {
      size_t Next = Begin;
      if (!isWhiteSpace(nextCodePoint(Text, Next)))
        break;
      Begin = Next;
    }
    while (Right && Begin < End) {
      size_t Start = previousStart(Text, End), Next = Start;
      if (!isWhiteSpace(nextCodePoint(Text, Next)))
        break;
      End = Start;
    }
    if (Begin)
      AtStart = false;
    Text = Text.substr(Begin, End - Begin);
  }

private:
  bool Left, Right;
};

using List = std::vector<std::unique_ptr<Normalizer>>;

void add(const JsonNode &Node, List &Out, int Depth) {
  const std::string &Type = Node.at("type").string();
  if (Type == "Sequence") {
    Node.only({"type", "normalizers"});
    JsonNode Parts = Node.at("normalizers");
    if (Depth == 8)
      Node.refuse("is nested too deeply");
    for (size_t I = 0, E = Parts.size(); I != E; ++I)
      add(Parts.at(I), Out, Depth + 1);
  } else if (Type == "NFC" || Type == "NFD" || Type == "NFKC" ||
             Type == "NFKD") {
    Node.only({"type"});
    int Options = Type.back() == 'C' ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
    if (Type.size() == 4)
      Options |= UTF8PROC_COMPAT;
    Out.push_back(std::make_unique<UnicodeForm>(Options));
  } else if (Type == "Prepend") {
    Node.only({"type", "prepend"});
    Out.push_back(std::make_unique<Prepend>(Node.at("prepend").string()));
  } else if (Type == "Replace") {
    Node.only({"type", "pattern", "content"});
    Out.push_back(std::make_unique<Replace>(
        parseStringOrRegex(Node.at("pattern")), Node.at("content").string()));
  } else if (Type == "Strip") {
    Node.only({"type", "strip_left", "strip_right"});
    Out.push_back(std::make_unique<Strip>(Node.at("strip_left").boolean(),
                                          Node.at("strip_right").boolean()));
  } else {
    Node.refuse("is a '" + Type + "', which is not supported");
  }
}

} // namespace

List parseNormalizers(const JsonNode &Node) {
  List Out;
  if (!Node.isNull())
    add(Node, Out, 0);
  return Out;
}

} // namespace fdpp::text
