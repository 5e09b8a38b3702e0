// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Decoder.h"
#include "ByteLevel.h"
#include "PreTokenizer.h"
#include "Utf8.h"

#include <charconv>

namespace fdpp::text {

void DecodePipeline::pass(std::string_view Token) {
  if (Current == Stages.size()) {
    *Sink += Token;
    return;
  }
  DecodeStage &Stage = *Stages[Current];
  ++Current;
  Stage.push(Token, *this);
  --Current;
}

void DecodePipeline::push(std::string_view Token, std::string &Out) {
  Sink = &Out;
  Current = 0;
  pass(Token);
}

void DecodePipeline::finish(std::string &Out) {
  Sink = &Out;
  for (size_t I = 0; I != Stages.size(); ++I) {
    Current = I + 1;
    Stages[I]->finish(*this);
  }
}

namespace {

/// fresh() for a stage whose copy at the start of a text is its prototype.
template <typename Derived> class StageBase : public DecodeStage {
public:
  std::unique_ptr<DecodeStage> fresh() const override {
    return std::make_unique<Derived>(static_cast<const Derived &>(*this));
  }
};

/// No decoder in the file: tokens with a space between them.
class JoinWithSpaces : public StageBase<JoinWithSpaces> {
public:
  void push(std::string_view Token, DecodePipeline &Next) override {
    if (!First)
      Next.pass(" ");
    First = false;
    Next.pass(Token);
  }
  void finish(DecodePipeline &) override { First = true; }

private:
  bool First = true;
};

/// Byte-level spelling -> bytes -> UTF-8, as one token.
class BytesToText : public StageBase<BytesToText> {
public:
  void push(std::string_view Token, DecodePipeline &Next) override {
    std::string Bytes, Text;
    unspellBytes(Token, Bytes);
    Lossy.push(Bytes, Text);
    if (!Text.empty())
      Next.pass(Text);
  }
  void finish(DecodePipeline &Next) override {
    std::string Text;
    Lossy.finish(Text);
    if (!Text.empty())
      Next.pass(Text);
  }

private:
  LossyUtf8 Lossy;
};

/// <0xE2> <0x82> <0xAC> -> one token. A run of bytes that is not UTF-8 from
/// end to end gives one U+FFFD a byte, so a run is held until it ends.
class ByteFallback : public StageBase<ByteFallback> {
public:
  void push(std::string_view Token, DecodePipeline &Next) override {
    if (int Byte = byteOf(Token); Byte >= 0) {
      Held.push_back(static_cast<char>(Byte));
      return;
    }
    finish(Next);
    Next.pass(Token);
  }

  void finish(DecodePipeline &Next) override {
    if (Held.empty())
      return;
    std::string Run = std::move(Held);
    Held.clear();
    if (isValidUtf8(Run))
      return Next.pass(Run);
    for (size_t I = 0; I != Run.size(); ++I)
      Next.pass(ReplacementChar);
  }

private:
  static int byteOf(std::string_view Token) {
    if (Token.size() != 6 || !Token.starts_with("<0x") || Token.back() != '>')
      return -1;
    // Rust's number parser, which Hugging Face uses, takes a leading '+'.
    std::string_view Hex = Token.substr(3, 2);
    if (Hex[0] == '+')
      Hex.remove_prefix(1);
    unsigned Byte = 0;
    auto [End, Code] =
        std::from_chars(Hex.data(), Hex.data() + Hex.size(), Byte, 16);
    bool Good = Code == std::errc() && End == Hex.data() + Hex.size();
    return Good ? static_cast<int>(Byte) : -1;
  }

  std::string Held;
};

/// Replaces inside each token.
class ReplaceText : public StageBase<ReplaceText> {
public:
  ReplaceText(Regex Pattern, std::string Content)
      : Pattern(std::move(Pattern)), Content(std::move(Content)) {}

  void push(std::string_view Token, DecodePipeline &Next) override {
    std::vector<Match> Ranges;
    Pattern.split(Token, Ranges);
    std::string Out;
    for (const Match &M : Ranges)
      Out += M.Matched ? std::string_view(Content)
                       : Token.substr(M.Begin, M.End - M.Begin);
    Next.pass(Out);
  }
  void finish(DecodePipeline &) override {}

private:
  Regex Pattern;
  std::string Content;
};

/// Takes up to Limit leading characters Content off each token, or, behind a
/// step that makes one token of all, off the text.
class StripStart : public StageBase<StripStart> {
public:
  StripStart(std::string Content, size_t Limit, bool WholeText)
      : Content(std::move(Content)), Limit(Limit), Left(Limit),
        WholeText(WholeText) {}

  void push(std::string_view Token, DecodePipeline &Next) override {
    if (!WholeText)
      Left = Limit;
    while (Left && Token.starts_with(Content)) {
      Token.remove_prefix(Content.size());
      --Left;
    }
    if (!Token.empty())
      Left = 0;
    Next.pass(Token);
  }
  void finish(DecodePipeline &) override { Left = Limit; }

private:
  std::string Content;
  size_t Limit, Left;
  bool WholeText;
};

/// Metaspace's mark -> space; in the first token it vanishes.
class MarkToSpace : public StageBase<MarkToSpace> {
public:
  MarkToSpace(std::string Mark, bool DropInFirst)
      : Mark(std::move(Mark)), DropInFirst(DropInFirst) {}

  void push(std::string_view Token, DecodePipeline &Next) override {
    std::string Out;
    for (size_t At; (At = Token.find(Mark)) != Token.npos;) {
      Out += Token.substr(0, At);
      if (!First || !DropInFirst)
        Out.push_back(' ');
      Token.remove_prefix(At + Mark.size());
    }
    Out += Token;
    First = false;
    Next.pass(Out);
  }
  void finish(DecodePipeline &) override { First = true; }

private:
  std::string Mark;
  bool DropInFirst, First = true;
};

} // namespace

static std::unique_ptr<DecodeStage> parseMetaspace(const JsonNode &Node) {
  Node.only({"type", "replacement", "str_rep", "add_prefix_space",
             "prepend_scheme", "split"});
  bool Drop = Node.boolean("add_prefix_space", true);
  if (JsonNode Scheme = Node.get("prepend_scheme"); !Scheme.isNull()) {
    if (Scheme.string() != "first" && Scheme.string() != "always" &&
        Scheme.string() != "never")
      Scheme.refuse("is '" + Scheme.string() + "', which is not supported");
    Drop = Drop && Scheme.string() != "never";
  }
  Node.at("replacement").character();
  return std::make_unique<MarkToSpace>(Node.at("replacement").string(), Drop);
}

static std::unique_ptr<DecodeStage> parseStrip(const JsonNode &Node,
                                               bool WholeText) {
  Node.only({"type", "content", "start", "stop"});
  Node.at("content").character();
  if (Node.at("stop").integer(0, INT32_MAX) != 0)
    Node.at("stop").refuse("above 0 is not supported");
  return std::make_unique<StripStart>(
      Node.at("content").string(),
      static_cast<size_t>(Node.at("start").integer(0, INT32_MAX)), WholeText);
}

void DecoderSpec::add(const JsonNode &Node, int Depth) {
  const std::string &Type = Node.at("type").string();
  if (Type == "Sequence") {
    Node.only({"type", "decoders"});
    JsonNode Parts = Node.at("decoders");
    if (Depth == 8)
      Node.refuse("is nested too deeply");
    for (size_t I = 0, E = Parts.size(); I != E; ++I)
      add(Parts.at(I), Depth + 1);
    return;
  }
  if (Type == "Strip") {
    Stages.push_back(parseStrip(Node, Fused));
    return;
  }
  if (Type == "Fuse") {
    Node.only({"type"});
    Fused = true;
    return;
  }
  bool Known = Type == "ByteLevel" || Type == "ByteFallback" ||
               Type == "Replace" || Type == "Metaspace";
  if (!Known)
    Node.refuse("is a '" + Type + "', which is not supported");
  if (Fused)
    Node.refuse("is a '" + Type +
                "' behind Fuse or ByteLevel, which is not supported");
  if (Type == "ByteLevel") {
    Node.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    Stages.push_back(std::make_unique<BytesToText>());
    Fused = true;
  } else if (Type == "ByteFallback") {
    Node.only({"type"});
    Stages.push_back(std::make_unique<ByteFallback>());
  } else if (Type == "Replace") {
    Node.only({"type", "pattern", "content"});
    // A regex could run out of its match limit, and decoding cannot fail.
    Node.at("pattern").only({"String"});
    Stages.push_back(std::make_unique<ReplaceText>(
        parseStringOrRegex(Node.at("pattern")), Node.at("content").string()));
  } else {
    Stages.push_back(parseMetaspace(Node));
  }
}

DecoderSpec DecoderSpec::parse(const JsonNode &Node) {
  DecoderSpec Spec;
  if (Node.isNull())
    Spec.Stages.push_back(std::make_unique<JoinWithSpaces>());
  else
    Spec.add(Node, 0);
  return Spec;
}

std::unique_ptr<DecodePipeline> DecoderSpec::start() const {
  std::vector<std::unique_ptr<DecodeStage>> Copies;
  for (const auto &Stage : Stages)
    Copies.push_back(Stage->fresh());
  return std::make_unique<DecodePipeline>(std::move(Copies));
}

} // namespace fdpp::text
