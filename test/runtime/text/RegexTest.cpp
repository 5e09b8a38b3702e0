// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Oniguruma patterns on PCRE2, splitting, and UTF-8.

#include "text/Regex.h"
#include "text/AddedTokens.h"
#include "text/Failure.h"
#include "text/PreTokenizer.h"
#include "text/Utf8.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace fdpp::text;
using testing::ElementsAre;
using testing::HasSubstr;

static std::vector<std::string> pieces(const Regex &R, std::string_view Text,
                                       SplitBehavior Behavior) {
  std::vector<Match> Ranges;
  R.split(Text, Ranges);
  applyBehavior(Behavior, Ranges);
  std::vector<std::string> Out;
  for (const Match &M : Ranges)
    Out.emplace_back(Text.substr(M.Begin, M.End - M.Begin));
  return Out;
}

TEST(Regex, SplitsByEveryBehavior) {
  Regex Dash = Regex::fromLiteral("-");
  std::string_view Text = "the-final--countdown";
  EXPECT_THAT(pieces(Dash, Text, SplitBehavior::Removed),
              ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(pieces(Dash, Text, SplitBehavior::Isolated),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(pieces(Dash, Text, SplitBehavior::MergedWithPrevious),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(pieces(Dash, Text, SplitBehavior::MergedWithNext),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(pieces(Dash, Text, SplitBehavior::Contiguous),
              ElementsAre("the", "-", "final", "--", "countdown"));
}

TEST(Regex, LiteralsAreNotPatterns) {
  EXPECT_THAT(
      pieces(Regex::fromLiteral("a.*"), "xa.*y", SplitBehavior::Isolated),
      ElementsAre("x", "a.*", "y"));
}

TEST(Regex, EmptyMatchesMoveOnByCharacters) {
  EXPECT_THAT(pieces(Regex::fromPattern("x*"), "\u20ACxx\u20AC",
                     SplitBehavior::Removed),
              ElementsAre("\u20AC", "\u20AC"));
}

TEST(Regex, WhiteSpaceIsUnicodes) {
  Regex Space = Regex::fromPattern(R"(\s)"),
        Other = Regex::fromPattern(R"(\S)");
  std::vector<Match> Ranges;
  for (char32_t C = 1; C <= 0x10FFFF; ++C) {
    if (C == 0xD800)
      C = 0xE000;
    std::string Text;
    appendUtf8(Text, C);
    Ranges.clear();
    Space.split(Text, Ranges);
    ASSERT_EQ(Ranges[0].Matched, isWhiteSpace(C)) << static_cast<uint32_t>(C);
    Ranges.clear();
    Other.split(Text, Ranges);
    ASSERT_NE(Ranges[0].Matched, isWhiteSpace(C)) << static_cast<uint32_t>(C);
  }
}

TEST(Regex, SetsInsideClasses) {
  Regex R = Regex::fromPattern(R"([^\s\p{L}\x2d\u20AC]+)");
  EXPECT_THAT(pieces(R, "a!?-\u20AC\u180E", SplitBehavior::Removed),
              ElementsAre("a", "-\u20AC"));
}

TEST(Regex, RefusesWhatMayDiffer) {
  for (const char *Pattern :
       {"^a",      "a$",     "\\w",     "\\bx",   "\\h",   "\\p{Han}",
        "\\p{^L}", "\\pL",   "[a[b]]",  "[a&&b]", "[]a]",  "[a-\\s]",
        "[\\s-z]", "(?m:a)", "(?<n>a)", "(*UTF)", "a{2}?", "a{1,2}+",
        "a{,2}",   "a{x}",   "\\xff",   "\\x{}",  "\\u12", "[a",
        "\\",      "\\1"}) {
    try {
      toPcre2(Pattern);
      ADD_FAILURE() << Pattern;
    } catch (const Failure &F) {
      EXPECT_THAT(F.what(), HasSubstr("not supported")) << Pattern;
    }
  }
}

TEST(Regex, GivesUpInsteadOfHanging) {
  // A class at the end: PCRE2 looks ahead for a single character.
  Regex Nest = Regex::fromPattern("(?:(?:a|a)*(?:a|a)*)*[bc]");
  std::vector<Match> Ranges;
  EXPECT_THROW(Nest.split(std::string(64, 'a'), Ranges), Failure);
}

TEST(Utf8, LossyReplacesMaximalSubparts) {
  auto Lossy = [](std::string_view Bytes, size_t Step) {
    LossyUtf8 L;
    std::string Out;
    for (size_t I = 0; I < Bytes.size(); I += Step)
      L.push(Bytes.substr(I, Step), Out);
    L.finish(Out);
    return Out;
  };
  // Unicode 15, table 3-8 and its neighbours.
  const std::pair<std::string, std::string> Cases[] = {
      {"a\xF1\x80\x80\xE1\x80\xC2"
       "b\x80"
       "c\x80\xBF"
       "d",
       "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd"},
      {"\xC0\xAF\xE0\x80\xBF", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xF4\x91\x92\x93\xFF", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xE2\x82", "\uFFFD"},
      {"\xF0\x9F\x98\x80", "\U0001F600"}};
  for (const auto &[Bytes, Text] : Cases)
    for (size_t Step : {1, 2, 3, 100})
      EXPECT_EQ(Lossy(Bytes, Step), Text) << Step;
  EXPECT_TRUE(isValidUtf8("\u20ACx"));
  EXPECT_FALSE(isValidUtf8("\xE2\x82"));
}

TEST(Utf8, CodePointsRoundTrip) {
  for (char32_t C :
       {0x0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF}) {
    std::string Text;
    appendUtf8(Text, C);
    ASSERT_TRUE(isValidUtf8(Text));
    size_t Pos = 0;
    EXPECT_TRUE(nextCodePoint(Text, Pos) == C);
    EXPECT_EQ(Pos, Text.size());
    EXPECT_EQ(previousStart(Text, Pos), 0u);
  }
}

TEST(Trie, LeftmostThenLongest) {
  Trie T;
  EXPECT_TRUE(T.add("ab", 0));
  EXPECT_TRUE(T.add("abcd", 1));
  EXPECT_TRUE(T.add("bc", 2));
  EXPECT_FALSE(T.add("ab", 3));
  Trie::Hit Hit;
  ASSERT_TRUE(T.find("xabcabcd", 0, Hit));
  EXPECT_EQ(Hit.Begin, 1u);
  EXPECT_EQ(Hit.Value, 0u);
  ASSERT_TRUE(T.find("xabcabcd", Hit.End, Hit));
  EXPECT_EQ(Hit.Begin, 4u);
  EXPECT_EQ(Hit.Value, 1u);
  EXPECT_FALSE(T.find("xabcabcd", Hit.End, Hit));
}
