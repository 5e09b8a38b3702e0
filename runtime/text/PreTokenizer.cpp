// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "PreTokenizer.h"
#include "ByteLevel.h"
#include "Utf8.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace fdpp::text {

namespace {

/// Joins each match to the range before it, unless that is a match too.
void mergeIntoPrevious(std::vector<Match> &Ranges) {
  std::vector<Match> Out;
  bool PreviousMatched = false;
  for (const Match &M : Ranges) {
    if (M.Matched && !PreviousMatched && !Out.empty())
      Out.back().End = M.End;
    else
      Out.push_back(M);
    PreviousMatched = M.Matched;
  }
  Ranges = std::move(Out);
}

void mergeIntoNext(std::vector<Match> &Ranges) {
  std::vector<Match> Out;
  bool NextMatched = false;
  for (auto It = Ranges.rbegin(); It != Ranges.rend(); ++It) {
    if (It->Matched && !NextMatched && !Out.empty())
      Out.back().Begin = It->Begin;
    else
      Out.push_back(*It);
    NextMatched = It->Matched;
  }
  std::reverse(Out.begin(), Out.end());
  Ranges = std::move(Out);
}

void mergeRuns(std::vector<Match> &Ranges) {
  std::vector<Match> Out;
  bool PreviousMatched = false;
  for (const Match &M : Ranges) {
    if (M.Matched == PreviousMatched && !Out.empty())
      Out.back().End = M.End;
    else
      Out.push_back(M);
    PreviousMatched = M.Matched;
  }
  Ranges = std::move(Out);
}

} // namespace

void applyBehavior(SplitBehavior Behavior, std::vector<Match> &Ranges) {
  switch (Behavior) {
  case SplitBehavior::Isolated:
    return;
  case SplitBehavior::Removed:
    std::erase_if(Ranges, [](const Match &M) { return M.Matched; });
    return;
  case SplitBehavior::MergedWithPrevious:
    return mergeIntoPrevious(Ranges);
  case SplitBehavior::MergedWithNext:
    return mergeIntoNext(Ranges);
  case SplitBehavior::Contiguous:
    return mergeRuns(Ranges);
  }
}

namespace {

/// Replaces each piece without a token by those Cut makes of it:
/// Cut(text, ranges out) gives the ranges of one piece.
template <typename CutFn> void cutPieces(PieceList &List, CutFn Cut) {
  std::vector<Piece> Out;
  Out.reserve(List.Pieces.size());
  std::vector<Match> Ranges;
  for (const Piece &P : List.Pieces) {
    if (P.Token >= 0) {
      Out.push_back(P);
      continue;
    }
    Ranges.clear();
    Cut(List.textOf(P), Ranges);
    for (const Match &R : Ranges)
      if (R.Begin != R.End)
        Out.push_back({P.Begin + R.Begin, P.Begin + R.End, -1,
                       P.AtStart && R.Begin == 0});
  }
  List.Pieces = std::move(Out);
}

/// Rewrites the text of each piece without a token: Write(piece, text, out)
/// appends the new text.
template <typename WriteFn> void rewritePieces(PieceList &List, WriteFn Write) {
  std::string Out;
  Out.reserve(List.Text.size() * 2);
  for (Piece &P : List.Pieces) {
    size_t Begin = Out.size();
    if (P.Token < 0)
      Write(P, List.textOf(P), Out);
    P.Begin = Begin;
    P.End = Out.size();
  }
  List.Text = std::move(Out);
}

class Split : public PreTokenizer {
public:
  Split(Regex Pattern, SplitBehavior Behavior, bool Invert)
      : Pattern(std::move(Pattern)), Behavior(Behavior), Invert(Invert) {}

  void apply(PieceList &List) const override {
    cutPieces(List, [&](std::string_view Text, std::vector<Match> &Ranges) {
      Pattern.split(Text, Ranges);
      if (Invert)
        for (Match &M : Ranges)
          M.Matched = !M.Matched;
      applyBehavior(Behavior, Ranges);
    });
  }

private:
  Regex Pattern;
  SplitBehavior Behavior;
  bool Invert;
};

class Digits : public PreTokenizer {
public:
  explicit Digits(bool Individual) : Individual(Individual) {}

  void apply(PieceList &List) const override {
    cutPieces(List, [&](std::string_view Text, std::vector<Match> &Ranges) {
      size_t Done = 0;
      for (size_t Pos = 0; Pos < Text.size();) {
        size_t Begin = Pos;
        if (!isNumeric(nextCodePoint(Text, Pos)))
          continue;
        if (Done != Begin)
          Ranges.push_back({Done, Begin, false});
        Ranges.push_back({Begin, Pos, true});
        Done = Pos;
      }
      if (Done != Text.size())
        Ranges.push_back({Done, Text.size(), false});
      applyBehavior(Individual ? SplitBehavior::Isolated
                               : SplitBehavior::Contiguous,
                    Ranges);
    });
  }

private:
  bool Individual;
};

/// GPT-2's words, spelled byte by byte.
class ByteLevel : public PreTokenizer {
public:
  ByteLevel(bool AddPrefixSpace, bool UseRegex)
      : AddPrefixSpace(AddPrefixSpace), UseRegex(UseRegex) {}

  void apply(PieceList &List) const override {
    if (AddPrefixSpace)
      rewritePieces(List,
                    [](const Piece &, std::string_view T, std::string &Out) {
                      if (!T.empty() && T.front() != ' ')
                        Out.push_back(' ');
                      Out += T;
                    });
    if (UseRegex)
      cutPieces(List, [&](std::string_view Text, std::vector<Match> &Ranges) {
        Words.split(Text, Ranges);
      });
    rewritePieces(List, [](const Piece &, std::string_view T,
                           std::string &Out) { spellBytes(T, Out); });
  }

private:
  bool AddPrefixSpace, UseRegex;
  Regex Words = Regex::fromPattern(
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)");
};

enum class PrependScheme { First, Never, Always };

/// SentencePiece's words: spaces become a visible character, which also marks
/// the start of the text.
class Metaspace : public PreTokenizer {
public:
  Metaspace(std::string Replacement, PrependScheme Scheme, bool SplitWords)
      : Replacement(std::move(Replacement)), Scheme(Scheme),
        SplitWords(SplitWords) {}

  void apply(PieceList &List) const override {
    rewritePieces(List, [&](const Piece &P, std::string_view Text,
                            std::string &Out) {
      size_t Begin = Out.size();
      for (char C : Text) {
        if (C == ' ')
          Out += Replacement;
        else
          Out.push_back(C);
      }
      bool Wanted = Scheme == PrependScheme::Always ||
                    (Scheme == PrependScheme::First && P.AtStart);
      if (Wanted && Out.compare(Begin, Replacement.size(), Replacement) != 0)
        Out.insert(Begin, Replacement);
    });
    if (SplitWords)
      cutPieces(List, [&](std::string_view Text, std::vector<Match> &Ranges) {
        findMarks(Text, Ranges);
        mergeIntoNext(Ranges);
      });
  }

private:
  void findMarks(std::string_view Text, std::vector<Match> &Ranges) const {
    size_t Done = 0;
    for (size_t At; (At = Text.find(Replacement, Done)) != Text.npos;) {
      if (Done != At)
        Ranges.push_back({Done, At, false});
      Done = At + Replacement.size();
      Ranges.push_back({At, Done, true});
    }
    if (Done != Text.size())
      Ranges.push_back({Done, Text.size(), false});
  }

  std::string Replacement;
  PrependScheme Scheme;
  bool SplitWords;
};

using List = std::vector<std::unique_ptr<PreTokenizer>>;

SplitBehavior parseBehavior(const JsonNode &Node) {
  static constexpr std::pair<std::string_view, SplitBehavior> Names[] = {
      {"Removed", SplitBehavior::Removed},
      {"Isolated", SplitBehavior::Isolated},
      {"MergedWithPrevious", SplitBehavior::MergedWithPrevious},
      {"MergedWithNext", SplitBehavior::MergedWithNext},
      {"Contiguous", SplitBehavior::Contiguous}};
  for (auto &[Name, Behavior] : Names)
    if (Node.string() == Name)
      return Behavior;
  Node.refuse("is '" + Node.string() + "', which is not supported");
}

std::unique_ptr<PreTokenizer> parseMetaspace(const JsonNode &Node, bool First) {
  Node.only({"type", "replacement", "str_rep", "add_prefix_space",
             "prepend_scheme", "split"});
  PrependScheme Scheme = PrependScheme::Always;
  if (JsonNode Field = Node.get("prepend_scheme"); !Field.isNull()) {
    if (Field.string() == "first")
      Scheme = PrependScheme::First;
    else if (Field.string() == "never")
      Scheme = PrependScheme::Never;
    else if (Field.string() != "always")
      Field.refuse("is '" + Field.string() + "', which is not supported");
  }
  // Older files carry add_prefix_space alone or beside the scheme.
  if (!Node.boolean("add_prefix_space", true)) {
    if (Node.has("prepend_scheme") && Scheme != PrependScheme::Never)
      Node.refuse("has add_prefix_space false against its prepend_scheme");
    Scheme = PrependScheme::Never;
  }
  if (Scheme == PrependScheme::First && !First)
    Node.refuse("has prepend_scheme 'first' behind another pre-tokenizer, "
                "which is not supported");
  Node.at("replacement").character();
  return std::make_unique<Metaspace>(Node.at("replacement").string(), Scheme,
                                     Node.boolean("split", true));
}

void add(const JsonNode &Node, List &Out, int Depth) {
  const std::string &Type = Node.at("type").string();
  if (Type == "Sequence") {
    Node.only({"type", "pretokenizers"});
    JsonNode Parts = Node.at("pretokenizers");
    if (Depth == 8)
      Node.refuse("is nested too deeply");
    for (size_t I = 0, E = Parts.size(); I != E; ++I)
      add(Parts.at(I), Out, Depth + 1);
  } else if (Type == "ByteLevel") {
    Node.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    Out.push_back(
        std::make_unique<ByteLevel>(Node.at("add_prefix_space").boolean(),
                                    Node.boolean("use_regex", true)));
  } else if (Type == "Digits") {
    Node.only({"type", "individual_digits"});
    Out.push_back(
        std::make_unique<Digits>(Node.at("individual_digits").boolean()));
  } else if (Type == "Split") {
    Node.only({"type", "pattern", "behavior", "invert"});
    Out.push_back(std::make_unique<Split>(
        parseStringOrRegex(Node.at("pattern")),
        parseBehavior(Node.at("behavior")), Node.at("invert").boolean()));
  } else if (Type == "Metaspace") {
    Out.push_back(parseMetaspace(Node, Out.empty()));
  } else {
    Node.refuse("is a '" + Type + "', which is not supported");
  }
}

} // namespace

List parsePreTokenizers(const JsonNode &Node) {
  List Out;
  if (!Node.isNull())
    add(Node, Out, 0);
  return Out;
}

} // namespace fdpp::text
