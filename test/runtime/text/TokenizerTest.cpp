// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ids worked out by hand, and every refusal of a file.

#include "SmallTokenizers.h"

#include <gmock/gmock.h>

#include <thread>

using namespace fdpp::text;
using namespace fdpp::text::test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Ids = std::vector<int32_t>;

TEST(ByteLevelTokenizer, MergesByRankWithinWords) {
  Tokenizer Tok = mustParse(byteLevelJson());
  EXPECT_THAT(mustEncode(Tok, "lo lo"), ElementsAre(256, 257));
  // 'l o' has the lower rank, so 'llo' is l + lo, not ll + o.
  EXPECT_THAT(mustEncode(Tok, "llo"), ElementsAre('l', 256));
  EXPECT_THAT(mustEncode(Tok, "lll"), ElementsAre(258, 'l'));
  EXPECT_THAT(mustEncode(Tok, "\xC3\xA9"), ElementsAre(0xC3, 0xA9));
  EXPECT_THAT(mustEncode(Tok, ""), IsEmpty());
}

TEST(ByteLevelTokenizer, LongWordsMergeLikeShortOnes) {
  Tokenizer Tok = mustParse(byteLevelJson());
  for (size_t N : {31, 32, 33, 200, 5000}) {
    std::string Text;
    for (size_t I = 0; I != N; ++I)
      Text += "lo";
    EXPECT_EQ(mustEncode(Tok, Text), Ids(N, 256)) << N;
  }
}

TEST(ByteLevelTokenizer, FindsAddedTokensAndTemplate) {
  Tokenizer Tok = mustParse(byteLevelJson());
  EXPECT_THAT(mustEncode(Tok, "a<s>lo<t>", true),
              ElementsAre(259, 'a', 259, 256, 260));
  EXPECT_EQ(Tok.vocabSize(), 261u);
  EXPECT_EQ(Tok.idOf("<t>"), 260);
  EXPECT_EQ(Tok.idOf("lo"), 256);
  EXPECT_EQ(Tok.idOf("nothing"), std::nullopt);
  EXPECT_EQ(Tok.tokenOf(257), "\u0120lo");
  EXPECT_EQ(Tok.tokenOf(261), std::nullopt);
  EXPECT_EQ(Tok.tokenOf(-1), std::nullopt);
  EXPECT_TRUE(Tok.isSpecial(259));
  EXPECT_FALSE(Tok.isSpecial(260));
  EXPECT_FALSE(Tok.isSpecial(0));
}

TEST(ByteLevelTokenizer, AddedTokenFlags) {
  json Tree = byteLevelJson();
  Tree["added_tokens"][0]["lstrip"] = true;
  Tree["added_tokens"][1]["single_word"] = true;
  Tokenizer Tok = mustParse(Tree);
  EXPECT_THAT(mustEncode(Tok, "a \n<s>b"), ElementsAre('a', 259, 'b'));
  EXPECT_THAT(mustEncode(Tok, "-<t>-"), ElementsAre('-', 260, '-'));
  EXPECT_THAT(mustEncode(Tok, "a<t>"), ElementsAre('a', '<', 't', '>'));
  Tree["added_tokens"][0]["rstrip"] = true;
  EXPECT_THAT(mustEncode(mustParse(Tree), "a <s> \tb"),
              ElementsAre('a', 259, 'b'));
}

TEST(ByteLevelTokenizer, DecodesAndSkips) {
  Tokenizer Tok = mustParse(byteLevelJson());
  Ids Some = {259, 256, 257, 260, 9999, -3};
  EXPECT_EQ(Tok.decode(Some, false), "<s>lo lo<t>");
  EXPECT_EQ(Tok.decode(Some, true), "lo lo<t>");
  EXPECT_EQ(Tok.decode({}, true), "");
}

TEST(ByteLevelTokenizer, StreamHoldsBackHalfCharacters) {
  Tokenizer Tok = mustParse(byteLevelJson());
  StreamDecoder Stream(Tok, true);
  EXPECT_EQ(Stream.push(0xE2), "");
  EXPECT_EQ(Stream.push(0x82), "");
  EXPECT_EQ(Stream.push(0xAC), "\u20AC");
  EXPECT_EQ(Stream.push(0xE2), "");
  EXPECT_EQ(Stream.push(259), ""); // skipped: the character may go on
  EXPECT_EQ(Stream.push('a'), "\uFFFDa");
  EXPECT_EQ(Stream.push(0xF0), "");
  EXPECT_EQ(Stream.flush(), "\uFFFD");
  EXPECT_EQ(Stream.flush(), "");
  EXPECT_EQ(Stream.push('b'), "b");
}

TEST(SentencePieceTokenizer, PrependsFallsBackAndFuses) {
  Tokenizer Tok = mustParse(sentencePieceJson());
  EXPECT_THAT(mustEncode(Tok, "ab a"), ElementsAre(263, 262));
  EXPECT_THAT(mustEncode(Tok, "\u20AC"),
              ElementsAre(259, 3 + 0xE2, 3 + 0x82, 3 + 0xAC));
  EXPECT_THAT(mustEncode(Tok, ""), IsEmpty());
  json Tree = sentencePieceJson();
  Tree["model"]["byte_fallback"] = false;
  EXPECT_THAT(mustEncode(mustParse(Tree), "xyz"), ElementsAre(259, 0));
  Tree["model"]["fuse_unk"] = false;
  EXPECT_THAT(mustEncode(mustParse(Tree), "xyz"), ElementsAre(259, 0, 0, 0));
  Tree["model"]["unk_token"] = nullptr;
  EXPECT_THAT(mustEncode(mustParse(Tree), "xyza"), ElementsAre(262));
  Tree["model"]["unk_token"] = "<none>";
  auto Failed = mustParse(Tree).encode("x", false);
  ASSERT_FALSE(Failed);
  EXPECT_THAT(Failed.error(), HasSubstr("unk_token '<none>' is not in it"));
}

TEST(SentencePieceTokenizer, DecodesByteRunsAsAWhole) {
  Tokenizer Tok = mustParse(sentencePieceJson());
  EXPECT_EQ(Tok.decode(Ids{263, 262}, true), "ab a");
  // One space goes, at the start only.
  EXPECT_EQ(Tok.decode(Ids{259, 259, 262}, true), "  a");
  // A valid run, then the same run broken by one byte more.
  Ids Euro = {260, 3 + 0xE2, 3 + 0x82, 3 + 0xAC, 260};
  EXPECT_EQ(Tok.decode(Euro, true), "a\u20ACa");
  Euro.insert(Euro.begin() + 4, 3 + 0xE2);
  EXPECT_EQ(Tok.decode(Euro, true), "a\uFFFD\uFFFD\uFFFD\uFFFDa");
  StreamDecoder Stream(Tok, true);
  EXPECT_EQ(Stream.push(3 + 0xE2), "");
  EXPECT_EQ(Stream.push(3 + 0x82), "");
  EXPECT_EQ(Stream.push(3 + 0xAC), "");
  EXPECT_EQ(Stream.push(262), "\u20AC a");
}

TEST(SentencePieceTokenizer, MetaspacePrependsOnceOrAlways) {
  json Tree = sentencePieceJson();
  Tree["normalizer"] = nullptr;
  Tree["pre_tokenizer"] = {{"type", "Metaspace"},
                           {"replacement", "\u2581"},
                           {"prepend_scheme", "first"},
                           {"split", false}};
  EXPECT_THAT(mustEncode(mustParse(Tree), "a<s>a"), ElementsAre(262, 1, 260));
  EXPECT_THAT(mustEncode(mustParse(Tree), " a"), ElementsAre(262));
  Tree["pre_tokenizer"]["prepend_scheme"] = "always";
  EXPECT_THAT(mustEncode(mustParse(Tree), "a<s>a"), ElementsAre(262, 1, 262));
  Tree["pre_tokenizer"]["prepend_scheme"] = "never";
  EXPECT_THAT(mustEncode(mustParse(Tree), "a a"), ElementsAre(260, 262));
}

TEST(Tokenizer, ThreadsShareIt) {
  Tokenizer Tok = mustParse(byteLevelJson());
  std::vector<std::thread> Threads;
  std::vector<Ids> Results(4);
  for (Ids &Result : Results)
    Threads.emplace_back([&Result, &Tok] {
      for (int I = 0; I != 50; ++I)
        Result = *Tok.encode("lo 12 lo <s>llo \u20AC", true);
    });
  for (std::thread &T : Threads)
    T.join();
  for (const Ids &Result : Results)
    EXPECT_EQ(Result, Results[0]);
}

TEST(Tokenizer, LoadNamesTheFile) {
  auto Missing = Tokenizer::load("/nonexistent/tokenizer.json");
  ASSERT_FALSE(Missing);
  EXPECT_EQ(Missing.error(), "/nonexistent/tokenizer.json: cannot be read: No "
                             "such file or directory");
  auto Broken = Tokenizer::parse("{\"version\": ", "x.json");
  ASSERT_FALSE(Broken);
  EXPECT_THAT(Broken.error(), HasSubstr("x.json: is not JSON: parse error"));
}

/// A change to the byte-level file and a part of the message that names it.
struct Change {
  const char *Pointer;
  const char *Value;
  const char *Message;
};

class Refused : public testing::TestWithParam<Change> {};

TEST_P(Refused, NamesWhatIsNotSupported) {
  json Tree = byteLevelJson();
  ASSERT_EQ(refusal(Tree), "");
  Tree[json::json_pointer(GetParam().Pointer)] = json::parse(GetParam().Value);
  EXPECT_THAT(refusal(Tree), HasSubstr(GetParam().Message));
  EXPECT_THAT(refusal(Tree), HasSubstr("t.json: '"));
}

INSTANTIATE_TEST_SUITE_P(
    All, Refused,
    testing::Values(
        Change{"/version", R"("2.0")", "'version' is '2.0'"},
        Change{"/truncation", R"({"max_length": 8})",
               "'truncation' is not supported; set it to null"},
        Change{"/padding", "{}", "'padding' is not supported"},
        Change{"/model/type", R"("Unigram")", "'model.type' is 'Unigram'"},
        Change{"/model/dropout", "0.1", "'model.dropout' is not supported"},
        Change{"/model/end_of_word_suffix", R"("</w>")",
               "'model.end_of_word_suffix' is not supported"},
        Change{"/model/fuse_unk", "1", "'model.fuse_unk' must be true or"},
        Change{"/model/new_option", "1", "'model.new_option' is not supported"},
        Change{"/model/vocab/q", "-1", "'model.vocab' gives a token the id -1"},
        Change{"/model/vocab/new", "7", "the id 7 to two tokens"},
        Change{"/model/vocab/q", "1.5", "'model.vocab' has a fraction"},
        Change{"/model/vocab", "[]", "'model.vocab' must be an object"},
        Change{"/model/merges/0", R"(["l", "x"])",
               "needs the token 'lx', which is not in 'model.vocab'"},
        Change{"/model/merges/0", R"(["l"])", "an entry of 1 strings"},
        Change{"/model/merges/0", R"("lo")", "entry 0 is not two tokens"},
        Change{"/model/merges", "{}", "'model.merges' must be an array"},
        Change{"/model/merges/0", "3", "'model.merges' has a number"},
        Change{"/normalizer", R"({"type": "Lowercase"})",
               "'normalizer' is a 'Lowercase', which is not supported"},
        Change{"/normalizer", R"({"type": "NFC", "x": 1})",
               "'normalizer.x' is not supported"},
        Change{"/normalizer",
               R"({"type": "Replace", "pattern": {}, "content": ""})",
               "'normalizer.pattern' must have either"},
        Change{"/pre_tokenizer/pretokenizers/0", R"({"type": "Whitespace"})",
               "'pre_tokenizer.pretokenizers[0]' is a 'Whitespace'"},
        Change{"/pre_tokenizer/pretokenizers/0",
               R"({"type": "Split", "pattern": {"String": "a"},
                   "behavior": "Sideways", "invert": false})",
               "is 'Sideways', which is not supported"},
        Change{"/pre_tokenizer/pretokenizers/1",
               R"({"type": "Metaspace", "replacement": "_",
                   "prepend_scheme": "first"})",
               "behind another pre-tokenizer"},
        Change{"/post_processor", R"({"type": "BertProcessing"})",
               "'post_processor' is a 'BertProcessing'"},
        Change{"/post_processor/single/0/SpecialToken/id", R"("<none>")",
               "'post_processor.special_tokens.<none>' is missing"},
        Change{"/post_processor/special_tokens/<s>/ids/0", "9999",
               "'post_processor' adds the token 9999, the vocabulary ends at"},
        Change{"/post_processor/single", "[]", "sequence A exactly once"},
        Change{"/decoder", R"({"type": "CTC"})", "'decoder' is a 'CTC'"},
        Change{"/decoder",
               R"({"type": "Sequence", "decoders": [{"type": "Fuse"},
                   {"type": "ByteFallback"}]})",
               "behind Fuse or ByteLevel, which is not supported"},
        Change{"/decoder",
               R"({"type": "Strip", "content": " ", "start": 0, "stop": 1})",
               "'decoder.stop' above 0 is not supported"},
        Change{"/added_tokens/0/id", "700",
               "gives the token '<s>' the id 700 where its place gives 259"},
        Change{"/added_tokens/1/content", R"("<s>")", "a second time"},
        Change{"/model/type", R"("B\n\u001b")", "is 'B??'; only BPE"},
        Change{"/added_tokens/1/special", "null", "must be true or false"}));

TEST(Tokenizer, RefusesARegexThatDoesNotCompile) {
  json Tree = byteLevelJson();
  Tree["pre_tokenizer"] = json::parse(
      R"({"type": "Split", "pattern": {"Regex": "(a"},
          "behavior": "Isolated", "invert": false})");
  EXPECT_THAT(refusal(Tree), HasSubstr("regex '(a' does not compile"));
}
