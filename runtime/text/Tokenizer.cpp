// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Tokenizer.h"
#include "AddedTokens.h"
#include "Bpe.h"
#include "Decoder.h"
#include "Failure.h"
#include "Normalizer.h"
#include "PostProcessor.h"
#include "PreTokenizer.h"
#include "TokenizerFile.h"
#include "Utf8.h"

#include <new>

namespace fdpp::text {

/// The parts of a tokenizer.json, in the order a text goes through them.
class TokenizerImpl {
public:
  AddedTokens Added;
  NormalizerList Normalizers;
  std::vector<std::unique_ptr<PreTokenizer>> PreTokenizers;
  Bpe Model;
  PostProcessor Post;
  DecoderSpec Decoder;

  /// Added tokens by id, for decoding.
  struct Override {
    std::string Spelling; ///< what the decoder sees
    const AddedToken *Token;
    bool Skippable = false;
  };
  std::map<int32_t, Override> ByAddedId;
  std::map<std::string, int32_t, std::less<>> AddedIds;
  size_t IdLimit = 0;

  explicit TokenizerImpl(std::string_view Json) {
    TokenizerFile File = readTokenizerFile(Json);
    JsonNode Root(File.Document, "");
    checkTopLevel(Root);
    Model = parseBpe(File);
    Normalizers = parseNormalizers(Root.get("normalizer"));
    PreTokenizers = parsePreTokenizers(Root.get("pre_tokenizer"));
    Added.parse(Root.get("added_tokens"), Model.Tokens, Normalizers);
    Post = parsePostProcessor(Root.get("post_processor"));
    Decoder = DecoderSpec::parse(Root.get("decoder"));
    indexAdded();
    for (const auto *Ids : {&Post.Before, &Post.After})
      for (int32_t Id : *Ids)
        if (static_cast<size_t>(Id) >= IdLimit)
          Root.get("post_processor")
              .refuse("adds the token " + std::to_string(Id) +
                      ", the vocabulary ends at " + std::to_string(IdLimit));
  }

  std::vector<int32_t> encode(std::string_view Text, bool AddSpecial) const {
    PieceList List = Added.extract(validUtf8(Text), Normalizers);
    for (const auto &Step : PreTokenizers)
      Step->apply(List);
    std::vector<int32_t> Ids;
    Ids.reserve(Text.size() / 4 + 8);
    if (AddSpecial)
      Ids = Post.Before;
    WordCache Cache(Text.size());
    for (const Piece &P : List.Pieces) {
      if (P.Token >= 0)
        Ids.push_back(P.Token);
      else
        Model.encode(List.textOf(P), Cache, Ids);
    }
    if (AddSpecial)
      Ids.insert(Ids.end(), Post.After.begin(), Post.After.end());
    return Ids;
  }

  /// What the decoder gets for Id; nothing for ids to skip.
  std::optional<std::string_view> spellingOf(int32_t Id,
                                             bool SkipSpecial) const {
    auto It = ByAddedId.find(Id);
    if (It == ByAddedId.end())
      return Model.Tokens.tokenOf(Id);
    if (SkipSpecial && It->second.Skippable)
      return std::nullopt;
    return It->second.Spelling;
  }

private:
  static void checkTopLevel(const JsonNode &Root) {
    if (Root.has("version") && Root.at("version").string() != "1.0")
      Root.at("version").refuse("is '" + Root.at("version").string() +
                                "'; only 1.0 is supported");
    for (const char *Field : {"truncation", "padding"})
      if (!Root.get(Field).isNull())
        Root.get(Field).refuse("is not supported; set it to null");
  }

  void indexAdded() {
    IdLimit = Model.Tokens.idLimit();
    std::set<std::string_view> Special;
    for (const AddedToken &T : Added.tokens())
      if (T.Special)
        Special.insert(T.Content);
    for (const AddedToken &T : Added.tokens()) {
      // Hugging Face looks the normalized spelling up among the special tokens
      // as written: one that normalizes to something else is never skipped.
      ByAddedId[T.Id] = {T.Pattern, &T, Special.count(T.Pattern) != 0};
      AddedIds[T.Content] = T.Id;
      IdLimit = std::max(IdLimit, static_cast<size_t>(T.Id) + 1);
    }
  }

  static std::string validUtf8(std::string_view Text) {
    if (isValidUtf8(Text))
      return std::string(Text);
    std::string Out;
    LossyUtf8 Lossy;
    Lossy.push(Text, Out);
    Lossy.finish(Out);
    return Out;
  }
};

Tokenizer::Tokenizer(std::shared_ptr<const TokenizerImpl> Impl)
    : Impl(std::move(Impl)) {}

Expected<Tokenizer> Tokenizer::parse(std::string_view Json,
                                     const std::string &Name) {
  try {
    return Tokenizer(std::make_shared<const TokenizerImpl>(Json));
  } catch (const Failure &F) {
    return Error{Name + ": " + F.what()};
  } catch (const std::bad_alloc &) {
    return Error{Name + ": out of memory"};
  }
}

Expected<Tokenizer> Tokenizer::load(const std::string &Path) {
  try {
    return parse(readFile(Path), Path);
  } catch (const Failure &F) {
    return Error{Path + ": " + F.what()};
  }
}

Expected<std::vector<int32_t>> Tokenizer::encode(std::string_view Text,
                                                 bool AddSpecial) const {
  try {
    return Impl->encode(Text, AddSpecial);
  } catch (const Failure &F) {
    return Error{std::string("tokenizer: ") + F.what()};
  }
}

std::string Tokenizer::decode(std::span<const int32_t> Ids,
                              bool SkipSpecial) const {
  StreamDecoder Decoder(*this, SkipSpecial);
  std::string Out;
  for (int32_t Id : Ids)
    Out += Decoder.push(Id);
  return Out + Decoder.flush();
}

size_t Tokenizer::vocabSize() const { return Impl->IdLimit; }

std::optional<int32_t> Tokenizer::idOf(std::string_view Token) const {
  auto It = Impl->AddedIds.find(Token);
  if (It != Impl->AddedIds.end())
    return It->second;
  return Impl->Model.Tokens.find(Token);
}

std::optional<std::string_view> Tokenizer::tokenOf(int32_t Id) const {
  auto It = Impl->ByAddedId.find(Id);
  if (It != Impl->ByAddedId.end())
    return It->second.Token->Content;
  return Impl->Model.Tokens.tokenOf(Id);
}

bool Tokenizer::isSpecial(int32_t Id) const {
  auto It = Impl->ByAddedId.find(Id);
  return It != Impl->ByAddedId.end() && It->second.Token->Special;
}

StreamDecoder::StreamDecoder(const Tokenizer &Tok, bool SkipSpecial)
    : Impl(Tok.Impl), Pipeline(Tok.Impl->Decoder.start()),
      SkipSpecial(SkipSpecial) {}
StreamDecoder::~StreamDecoder() = default;
StreamDecoder::StreamDecoder(StreamDecoder &&) noexcept = default;
StreamDecoder &StreamDecoder::operator=(StreamDecoder &&) noexcept = default;

std::string StreamDecoder::push(int32_t Id) {
  std::string Out;
  if (auto Spelling = Impl->spellingOf(Id, SkipSpecial))
    Pipeline->push(*Spelling, Out);
  return Out;
}

std::string StreamDecoder::flush() {
  std::string Out;
  Pipeline->finish(Out);
  return Out;
}

} // namespace fdpp::text
