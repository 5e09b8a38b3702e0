// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tokenizers small enough to work out by hand.

#ifndef FDPP_TEST_RUNTIME_TEXT_SMALLTOKENIZERS_H
#define FDPP_TEST_RUNTIME_TEXT_SMALLTOKENIZERS_H

#include "text/ByteLevel.h"
#include "text/Tokenizer.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

namespace fdpp::text::test {

using nlohmann::json;

inline json addedToken(int Id, const std::string &Content, bool Special) {
  return {{"id", Id},          {"content", Content}, {"single_word", false},
          {"lstrip", false},   {"rstrip", false},    {"normalized", false},
          {"special", Special}};
}

/// Ids 0-255: the bytes; then 'lo' 256, 'Ġlo' 257, 'll' 258; special <s> 259,
/// added but not special <t> 260.
inline json byteLevelJson() {
  json Vocab;
  for (int B = 0; B < 256; ++B) {
    std::string Spelled;
    spellBytes(std::string(1, static_cast<char>(B)), Spelled);
    Vocab[Spelled] = B;
  }
  Vocab["lo"] = 256;
  Vocab["\u0120lo"] = 257;
  Vocab["ll"] = 258;
  json ByteLevel = {{"type", "ByteLevel"},
                    {"add_prefix_space", false},
                    {"trim_offsets", true},
                    {"use_regex", true}};
  json Merges =
      json::array({json::array({"l", "o"}), json::array({"\u0120", "lo"}),
                   json::array({"l", "l"})});
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens",
           {addedToken(259, "<s>", true), addedToken(260, "<t>", false)}},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "Sequence"},
            {"pretokenizers",
             {{{"type", "Digits"}, {"individual_digits", true}}, ByteLevel}}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single",
             {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
              {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
            {"pair", json::array()},
            {"special_tokens",
             {{"<s>", {{"id", "<s>"}, {"ids", {259}}, {"tokens", {"<s>"}}}}}}}},
          {"decoder", ByteLevel},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", ""},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", Vocab},
            {"merges", Merges}}}};
}

/// Llama-2's shape: <unk> 0, <s> 1, </s> 2, bytes 3-258, '▁' 259, 'a' 260,
/// 'b' 261, '▁a' 262, '▁ab' 263.
inline json sentencePieceJson() {
  json Vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int B = 0; B < 256; ++B) {
    char Name[8];
    std::snprintf(Name, sizeof(Name), "<0x%02X>", B);
    Vocab[Name] = 3 + B;
  }
  int Next = 259;
  for (const char *Token : {"\u2581", "a", "b", "\u2581a", "\u2581ab"})
    Vocab[Token] = Next++;
  return {
      {"version", "1.0"},
      {"added_tokens",
       {addedToken(0, "<unk>", true), addedToken(1, "<s>", true),
        addedToken(2, "</s>", true)}},
      {"normalizer",
       {{"type", "Sequence"},
        {"normalizers",
         {{{"type", "Prepend"}, {"prepend", "\u2581"}},
          {{"type", "Replace"},
           {"pattern", {{"String", " "}}},
           {"content", "\u2581"}}}}}},
      {"pre_tokenizer", nullptr},
      {"post_processor", nullptr},
      {"decoder",
       {{"type", "Sequence"},
        {"decoders",
         {{{"type", "Replace"},
           {"pattern", {{"String", "\u2581"}}},
           {"content", " "}},
          {{"type", "ByteFallback"}},
          {{"type", "Fuse"}},
          {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
      {"model",
       {{"type", "BPE"},
        {"unk_token", "<unk>"},
        {"fuse_unk", true},
        {"byte_fallback", true},
        {"vocab", Vocab},
        {"merges", {"\u2581 a", "\u2581a b"}}}}};
}

inline Tokenizer mustParse(const json &Tree) {
  auto Tok = Tokenizer::parse(Tree.dump(), "test.json");
  if (!Tok)
    throw std::runtime_error(Tok.error());
  return *Tok;
}

inline std::vector<int32_t> mustEncode(const Tokenizer &Tok,
                                       std::string_view Text,
                                       bool AddSpecial = false) {
  auto Ids = Tok.encode(Text, AddSpecial);
  EXPECT_TRUE(Ids) << Ids.error();
  return Ids ? *Ids : std::vector<int32_t>();
}

/// The message that refuses Tree; empty when it loads.
inline std::string refusal(const json &Tree) {
  auto Tok = Tokenizer::parse(Tree.dump(), "t.json");
  return Tok ? "" : Tok.error();
}

} // namespace fdpp::text::test

#endif // FDPP_TEST_RUNTIME_TEXT_SMALLTOKENIZERS_H
