// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "AddedTokens.h"
#include "Utf8.h"

#include <algorithm>

namespace fdpp::text {

void normalize(const NormalizerList &Normalizers, std::string &Text,
               bool &AtStart) {
  for (const auto &N : Normalizers)
    N->apply(Text, AtStart);
}

bool Trie::add(std::string_view Text, size_t Value) {
  uint32_t At = 0;
  for (unsigned char Byte : Text) {
    auto It = Nodes[At].Children.find(Byte);
    if (It != Nodes[At].Children.end()) {
      At = It->second;
      continue;
    }
    auto Fresh = static_cast<uint32_t>(Nodes.size());
    Nodes[At].Children.emplace(Byte, Fresh);
    Nodes.emplace_back();
    At = Fresh;
  }
  if (Nodes[At].Value != SIZE_MAX)
    return false;
  Nodes[At].Value = Value;
  return true;
}

bool Trie::find(std::string_view Text, size_t From, Hit &Out) const {
  bool First[256] = {};
  for (auto &[Byte, Child] : Nodes[0].Children)
    First[Byte] = true;
  for (size_t Begin = From; Begin < Text.size(); ++Begin) {
    if (!First[static_cast<unsigned char>(Text[Begin])])
      continue;
    size_t At = 0, Found = SIZE_MAX, End = 0;
    for (size_t I = Begin; I < Text.size(); ++I) {
      auto It = Nodes[At].Children.find(static_cast<unsigned char>(Text[I]));
      if (It == Nodes[At].Children.end())
        break;
      At = It->second;
      if (Nodes[At].Value != SIZE_MAX) {
        Found = Nodes[At].Value;
        End = I + 1;
      }
    }
    if (Found != SIZE_MAX) {
      Out = {Begin, End, Found};
      return true;
    }
  }
  return false;
}

void AddedTokens::parseOne(const JsonNode &Node, const Vocab &Model,
                           const NormalizerList &Normalizers) {
  Node.only({"id", "content", "single_word", "lstrip", "rstrip", "normalized",
             "special"});
  AddedToken T;
  T.Id = static_cast<int32_t>(Node.at("id").integer(0, MaxTokenId));
  T.Content = Node.at("content").string();
  T.SingleWord = Node.at("single_word").boolean();
  T.LStrip = Node.at("lstrip").boolean();
  T.RStrip = Node.at("rstrip").boolean();
  T.Normalized = Node.at("normalized").boolean();
  T.Special = Node.at("special").boolean();
  if (T.Content.empty())
    return; // Hugging Face passes over these too
  if (ByContent.count(T.Content))
    Node.refuse("gives the token '" + T.Content + "' a second time");

  // Hugging Face numbers tokens that the model lacks one after another and
  // only warns when the file says otherwise; such a file is ambiguous.
  auto Known = Model.find(T.Content);
  int32_t Expected = Known ? *Known : static_cast<int32_t>(Model.size() + New);
  New += !Known;
  if (T.Id != Expected || (!Known && Model.tokenOf(T.Id)))
    Node.refuse("gives the token '" + T.Content + "' the id " +
                std::to_string(T.Id) + " where its place gives " +
                std::to_string(Expected));

  T.Pattern = T.Content;
  bool AtStart = false;
  if (T.Normalized)
    normalize(Normalizers, T.Pattern, AtStart);
  if (T.Pattern.empty())
    Node.refuse("is a token that normalizes to nothing");
  ByContent.insert(T.Content);
  if (!(T.Normalized ? Normal : Raw).add(T.Pattern, All.size()))
    Node.refuse("is spelled like another added token");
  All.push_back(std::move(T));
}

void AddedTokens::parse(const JsonNode &Node, const Vocab &Model,
                        const NormalizerList &Normalizers) {
  if (Node.isNull())
    return;
  for (size_t I = 0, E = Node.size(); I != E; ++I)
    parseOne(Node.at(I), Model, Normalizers);
}

namespace {

bool wordBefore(std::string_view Text, size_t Pos) {
  if (Pos == 0)
    return false;
  size_t Start = previousStart(Text, Pos);
  return isWordChar(nextCodePoint(Text, Start));
}

bool wordAfter(std::string_view Text, size_t Pos) {
  return Pos < Text.size() && isWordChar(nextCodePoint(Text, Pos));
}

size_t skipSpaceLeft(std::string_view Text, size_t Pos) {
  while (Pos) {
    size_t Start = previousStart(Text, Pos), Next = Start;
    if (!isWhiteSpace(nextCodePoint(Text, Next)))
      break;
    Pos = Start;
  }
  return Pos;
}

size_t skipSpaceRight(std::string_view Text, size_t Pos) {
  while (Pos < Text.size()) {
    size_t Next = Pos;
    if (!isWhiteSpace(nextCodePoint(Text, Next)))
      break;
    Pos = Next;
  }
  return Pos;
}

} // namespace

/// Appends Text's pieces, in bytes of Text. The order of the steps is Hugging
/// Face's (AddedVocabulary::find_matches), so that overlaps end alike.
void AddedTokens::cut(std::string_view Text, bool AtStart, const Trie &Patterns,
                      std::vector<Piece> &Out) const {
  size_t Done = 0;
  Trie::Hit Hit;
  for (size_t From = 0; Patterns.find(Text, From, Hit); From = Hit.End) {
    const AddedToken &T = All[Hit.Value];
    if (T.SingleWord &&
        (wordBefore(Text, Hit.Begin) || wordAfter(Text, Hit.End)))
      continue;
    size_t Begin = Hit.Begin, End = Hit.End;
    if (T.LStrip)
      Begin = std::max(skipSpaceLeft(Text, Begin), Done);
    if (T.RStrip)
      End = skipSpaceRight(Text, End);
    if (Done < Begin)
      Out.push_back({Done, Begin, -1, AtStart && Done == 0});
    Out.push_back({Begin, End, T.Id, false});
    Done = End;
  }
  if (Done != Text.size())
    Out.push_back({Done, Text.size(), -1, AtStart && Done == 0});
}

PieceList AddedTokens::extract(std::string Text,
                               const NormalizerList &Normalizers) const {
  std::vector<Piece> Coarse;
  cut(Text, /*AtStart=*/true, Raw, Coarse);
  PieceList Out;
  if (Normalizers.empty() && Normal.empty()) {
    Out.Text = std::move(Text);
    Out.Pieces = std::move(Coarse);
    return Out;
  }
  for (Piece P : Coarse) {
    size_t Base = Out.Text.size();
    if (P.Token >= 0) {
      P.Begin = P.End = Base;
      Out.Pieces.push_back(P);
      continue;
    }
    std::string Part = Text.substr(P.Begin, P.End - P.Begin);
    normalize(Normalizers, Part, P.AtStart);
    size_t First = Out.Pieces.size();
    cut(Part, P.AtStart, Normal, Out.Pieces);
    for (size_t I = First; I != Out.Pieces.size(); ++I) {
      Out.Pieces[I].Begin += Base;
      Out.Pieces[I].End += Base;
    }
    Out.Text += Part;
  }
  return Out;
}

} // namespace fdpp::text
