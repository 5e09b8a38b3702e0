// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Damaged tokenizer.json and chat.json files give an error or something that
// works, never a crash; the sanitizer builds look closer.

#include "SmallTokenizers.h"
#include "text/ChatTemplate.h"

#include <random>

using namespace fdpp::text;
using namespace fdpp::text::test;

namespace {

const char *const Texts[] = {
    "", "lo llo 12 <s>a<t>", "\u2581ab \u20AC", "\xFF\xE2\x82", "  \n<s> x",
};

/// Loads Json; where that works, uses everything once.
/// Returns whether it loaded.
bool exercise(const std::string &Json) {
  auto Tok = Tokenizer::parse(Json, "damaged.json");
  if (!Tok) {
    EXPECT_FALSE(Tok.error().empty());
    EXPECT_EQ(Tok.error().find('\n'), std::string::npos) << Tok.error();
    return false;
  }
  for (const char *Text : Texts) {
    auto Ids = Tok->encode(Text, true);
    if (!Ids)
      continue;
    std::string Whole = Tok->decode(*Ids, false), Parts;
    StreamDecoder Stream(*Tok, false);
    for (int32_t Id : *Ids) {
      EXPECT_GE(Id, 0);
      Parts += Stream.push(Id);
    }
    EXPECT_EQ(Whole, Parts + Stream.flush());
  }
  std::vector<int32_t> Odd = {-1, 0, 3 + 0xE2, 255, 261, INT32_MAX, INT32_MIN};
  Tok->decode(Odd, true);
  return true;
}

/// Some value inside Tree, or Tree itself.
json &anyValue(json &Tree, std::mt19937 &Random) {
  json *At = &Tree;
  while (At->is_structured() && !At->empty() && Random() % 8) {
    auto It = At->begin();
    // Vocabularies would draw nearly all the damage.
    std::advance(
        It, static_cast<long>(Random() % std::min<size_t>(At->size(), 12)));
    At = &*It;
  }
  return *At;
}

json anyJson(std::mt19937 &Random) {
  switch (Random() % 12) {
  case 0:
    return nullptr;
  case 1:
    return Random() % 2 == 0;
  case 2:
    return static_cast<int>(Random() % 300) - 20;
  case 3:
    return 1e300;
  case 4:
    return UINT64_MAX;
  case 5:
    return "";
  case 6:
    return "(a|b*)*";
  case 7:
    return json::array({1, "a", nullptr});
  case 8:
    return json::object({{"type", "Sequence"}, {"id", 4}});
  case 9:
    return json::object({{"String", ""}});
  case 10:
    return json::object({{"type", "NFKC"}});
  default:
    return json::object({{"type", "ByteLevel"}, {"add_prefix_space", true}});
  }
}

std::string damagedTree(json Tree, std::mt19937 &Random) {
  for (unsigned Count = 1 + Random() % 3; Count; --Count) {
    json &Value = anyValue(Tree, Random);
    if (Random() % 4 == 0)
      Value = json(anyValue(Tree, Random)); // one part in another's place
    else if (Random() % 3 == 0 && Value.is_object() && !Value.empty())
      Value.erase(Value.begin());
    else
      Value = anyJson(Random);
  }
  return Tree.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string damagedText(std::string Text, std::mt19937 &Random) {
  for (unsigned Count = 1 + Random() % 4; Count; --Count) {
    size_t At = Random() % Text.size();
    switch (Random() % 4) {
    case 0:
      Text[At] = static_cast<char>(Random());
      break;
    case 1:
      Text.erase(At, 1 + Random() % 20);
      break;
    case 2:
      Text.insert(At, 1 + Random() % 3, "[]{}\",:0-e\\"[Random() % 11]);
      break;
    default:
      Text.resize(At);
    }
    if (Text.empty())
      return Text;
  }
  return Text;
}

} // namespace

TEST(DamagedFiles, TruncatedTokenizers) {
  for (const json &Tree : {byteLevelJson(), sentencePieceJson()}) {
    std::string Text = Tree.dump();
    ASSERT_TRUE(exercise(Text));
    for (size_t Length = 0; Length < Text.size(); Length += 7)
      EXPECT_FALSE(exercise(Text.substr(0, Length))) << Length;
  }
}

TEST(DamagedFiles, ChangedTokenizers) {
  std::mt19937 Random(1);
  unsigned Loaded = 0, Refused = 0;
  for (int Round = 0; Round != 1500; ++Round)
    for (const json &Tree : {byteLevelJson(), sentencePieceJson()}) {
      std::string Text = Round % 2 ? damagedTree(Tree, Random)
                                   : damagedText(Tree.dump(), Random);
      ++(exercise(Text) ? Loaded : Refused);
    }
  // Both ways are taken: the damage is neither always fatal nor never.
  EXPECT_GT(Loaded, 100u);
  EXPECT_GT(Refused, 1000u);
}

TEST(DamagedFiles, NotATokenizer) {
  for (const char *Text : {"", "null", "[]", "{}", "7", "\"x\"", "{\"model\":",
                           "{\"model\": {}}", "{\"model\": []}", "\xFF\xFE"})
    EXPECT_FALSE(exercise(Text)) << Text;
  EXPECT_FALSE(exercise(std::string(100000, '[')));
  std::string Deep = "{\"normalizer\": ";
  for (int I = 0; I != 40; ++I)
    Deep += R"({"type": "Sequence", "normalizers": [)";
  EXPECT_FALSE(exercise(Deep));
}

TEST(DamagedFiles, ChangedChatForms) {
  const json Form = json::parse(R"({
    "format": 1, "start": ["a", {"strftime": "%Y"}],
    "system": {"mode": "in_user", "prefix": "", "suffix": "", "trim": "none"},
    "later_system": null,
    "user": {"prefix": "<u>", "suffix": "", "trim": "both"},
    "assistant": {"prefix": "<a>", "suffix": "", "trim": "left"},
    "alternate": false, "generation_prompt": "<a>"})");
  const ChatMessage Messages[] = {
      {"system", " s "}, {"user", "u \xE2\x82"}, {"assistant", "\u3000"}};
  std::mt19937 Random(2);
  unsigned Loaded = 0;
  for (int Round = 0; Round != 3000; ++Round) {
    std::string Text = Round % 2 ? damagedTree(Form, Random)
                                 : damagedText(Form.dump(), Random);
    auto Chat = ChatTemplate::parse(Text, "damaged.json");
    if (!Chat)
      continue;
    ++Loaded;
    Chat->render(std::span(Messages).first(1), true);
    Chat->render(Messages, false);
  }
  EXPECT_GT(Loaded, 50u);
}
