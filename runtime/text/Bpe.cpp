// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Bpe.h"
#include "Failure.h"
#include "Utf8.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <vector>

namespace fdpp::text {

size_t MergeTable::slotOf(uint64_t Key) const {
  // Fibonacci hashing: ids are small and dense, the product's top bits mix.
  uint64_t H = Key * 0x9E3779B97F4A7C15u;
  size_t Mask = Slots.size() - 1;
  size_t I = static_cast<size_t>(H >> 32) & Mask;
  while (Slots[I].Key != Empty && Slots[I].Key != Key)
    I = (I + 1) & Mask;
  return I;
}

void MergeTable::reserve(size_t Count) {
  size_t Size = std::max<size_t>(Slots.size(), 64);
  while (Size < Count * 2)
    Size *= 2;
  if (Size == Slots.size())
    return;
  std::vector<Slot> Old(Size);
  Old.swap(Slots);
  for (const Slot &S : Old)
    if (S.Key != Empty)
      Slots[slotOf(S.Key)] = S;
}

void MergeTable::set(int32_t Left, int32_t Right, Merge M) {
  reserve(Used + 1);
  Slot &S = Slots[slotOf(keyOf(Left, Right))];
  Used += S.Key == Empty;
  S.Key = keyOf(Left, Right);
  S.Value = M;
}

Merge MergeTable::find(int32_t Left, int32_t Right) const {
  if (Slots.empty())
    return {};
  return Slots[slotOf(keyOf(Left, Right))].Value;
}

WordCache::WordCache(size_t TextBytes) {
  size_t Size = 64;
  while (Size < TextBytes / 8 && Size < (1 << 16))
    Size *= 2;
  Slots.resize(Size);
}

void Bpe::addMerge(std::string_view Left, std::string_view Right,
                   uint32_t Rank) {
  std::string Joined(Left);
  Joined += Right;
  auto Need = [&](std::string_view Token) {
    auto Id = Tokens.find(Token);
    if (!Id)
      fail("'model.merges' entry " + std::to_string(Rank) +
           " needs the token '" + std::string(Token) +
           "', which is not in 'model.vocab'");
    return *Id;
  };
  Merges.set(Need(Left), Need(Right), {Rank, Need(Joined)});
}

void Bpe::finish() {
  for (size_t C = 0; C != IdOfChar.size(); ++C) {
    std::string Char;
    appendUtf8(Char, static_cast<char32_t>(C));
    IdOfChar[C] = Tokens.find(Char).value_or(-1);
  }
  for (size_t B = 0; B != IdOfByte.size(); ++B) {
    const char *Hex = "0123456789ABCDEF";
    std::string Name = {'<', '0', 'x', Hex[B >> 4], Hex[B & 15], '>'};
    IdOfByte[B] = Tokens.find(Name).value_or(-1);
  }
}

std::optional<int32_t> Bpe::charId(std::string_view Char) const {
  if (Char.size() > 2)
    return Tokens.find(Char);
  size_t Pos = 0;
  int32_t Id = IdOfChar[nextCodePoint(Char, Pos)];
  return Id < 0 ? std::nullopt : std::optional(Id);
}

/// The ids of Word's characters, with bytes or unk_token for those outside the
/// vocabulary.
void Bpe::split(std::string_view Word, std::vector<int32_t> &Out) const {
  int32_t Unk = -1; // an unk that waits: fuse_unk makes one of several
  auto PutUnk = [&] {
    if (Unk >= 0)
      Out.push_back(Unk);
    Unk = -1;
  };
  for (size_t Pos = 0; Pos < Word.size();) {
    std::string_view Char =
        Word.substr(Pos, utf8Length(static_cast<unsigned char>(Word[Pos])));
    Pos += Char.size();
    if (auto Id = charId(Char)) {
      PutUnk();
      Out.push_back(*Id);
      continue;
    }
    auto ByteId = [&](char B) {
      return IdOfByte[static_cast<unsigned char>(B)];
    };
    if (ByteFallback && std::all_of(Char.begin(), Char.end(),
                                    [&](char B) { return ByteId(B) >= 0; })) {
      // A waiting unk stays behind these bytes: so do Hugging Face's.
      for (char B : Char)
        Out.push_back(ByteId(B));
      continue;
    }
    if (!HasUnk)
      continue;
    if (!FuseUnk)
      PutUnk();
    auto Id = Tokens.find(UnkToken);
    if (!Id)
      fail("the text has a character outside the vocabulary, and unk_token '" +
           UnkToken + "' is not in it either");
    Unk = *Id;
  }
  PutUnk();
}

/// Merges Ids[From..] by scanning for the lowest rank: fastest for words.
void Bpe::mergeShort(std::vector<int32_t> &Ids, size_t From) const {
  Merge Next[64]; // of (I, I + 1)
  size_t N = Ids.size() - From;
  int32_t *Id = Ids.data() + From;
  for (size_t I = 0; I + 1 < N; ++I)
    Next[I] = Merges.find(Id[I], Id[I + 1]);
  while (N > 1) {
    size_t Best = 0;
    for (size_t I = 1; I + 1 < N; ++I)
      if (Next[I].Rank < Next[Best].Rank)
        Best = I;
    if (Next[Best].Rank == UINT32_MAX)
      break;
    Id[Best] = Next[Best].Id;
    for (size_t I = Best + 1; I + 1 < N; ++I) {
      Id[I] = Id[I + 1];
      Next[I - 1] = Next[I];
    }
    --N;
    if (Best > 0)
      Next[Best - 1] = Merges.find(Id[Best - 1], Id[Best]);
    if (Best + 1 < N)
      Next[Best] = Merges.find(Id[Best], Id[Best + 1]);
  }
  Ids.resize(From + N);
}

/// Merges Ids[From..] with a queue of candidates over a linked list: n log n.
void Bpe::mergeLong(std::vector<int32_t> &Ids, size_t From) const {
  struct Symbol {
    int32_t Id; // -1: merged into its left neighbour
    uint32_t Prev, Next;
  };
  constexpr uint32_t None = UINT32_MAX;
  if (Ids.size() - From >= None)
    fail("a word of " + std::to_string(Ids.size() - From) +
         " characters is too long");
  auto N = static_cast<uint32_t>(Ids.size() - From);
  std::vector<Symbol> Symbols(N);
  for (uint32_t I = 0; I != N; ++I)
    Symbols[I] = {Ids[From + I], I ? I - 1 : None, I + 1 < N ? I + 1 : None};

  // (rank, position): the leftmost pair of the lowest rank merges first.
  using Candidate = std::pair<uint32_t, uint32_t>;
  std::vector<Candidate> Heap;
  Heap.reserve(N);
  auto Offer = [&](uint32_t Left, bool Push) {
    Merge M = Merges.find(Symbols[Left].Id, Symbols[Symbols[Left].Next].Id);
    if (M.Rank == UINT32_MAX)
      return;
    Heap.push_back({M.Rank, Left});
    if (Push)
      std::push_heap(Heap.begin(), Heap.end(), std::greater<>());
  };
  for (uint32_t I = 0; I + 1 < N; ++I)
    Offer(I, /*Push=*/false);
  std::make_heap(Heap.begin(), Heap.end(), std::greater<>());

  while (!Heap.empty()) {
    auto [Rank, At] = Heap.front();
    std::pop_heap(Heap.begin(), Heap.end(), std::greater<>());
    Heap.pop_back();
    Symbol &Left = Symbols[At];
    if (Left.Id < 0 || Left.Next == None)
      continue;
    Symbol &Right = Symbols[Left.Next];
    Merge M = Merges.find(Left.Id, Right.Id);
    if (M.Rank != Rank)
      continue; // the pair has changed since it was offered
    Left.Id = M.Id;
    Right.Id = -1;
    Left.Next = Right.Next;
    if (Left.Next != None) {
      Symbols[Left.Next].Prev = At;
      Offer(At, /*Push=*/true);
    }
    if (Left.Prev != None)
      Offer(Left.Prev, /*Push=*/true);
  }
  size_t Out = From;
  for (uint32_t I = 0; I != None && N; I = Symbols[I].Next)
    Ids[Out++] = Symbols[I].Id;
  Ids.resize(Out);
}

void Bpe::encode(std::string_view Word, WordCache &Cache,
                 std::vector<int32_t> &Out) const {
  if (Word.empty())
    return;
  constexpr size_t LongestCached = 64;
  bool Cached = Word.size() <= LongestCached;
  WordCache::Slot *Slot = nullptr;
  if (Cached) {
    size_t Hash = std::hash<std::string_view>()(Word);
    Slot = &Cache.Slots[Hash & (Cache.Slots.size() - 1)];
    if (std::string_view(Cache.Words).substr(Slot->Word, Slot->WordLength) ==
        Word) {
      auto Begin = Cache.Ids.begin() + static_cast<ptrdiff_t>(Slot->Ids);
      Out.insert(Out.end(), Begin,
                 Begin + static_cast<ptrdiff_t>(Slot->IdCount));
      return;
    }
  }
  size_t From = Out.size();
  std::optional<int32_t> Whole;
  if (IgnoreMerges)
    Whole = Tokens.find(Word);
  if (Whole) {
    Out.push_back(*Whole);
  } else {
    split(Word, Out);
    if (Out.size() - From <= 64)
      mergeShort(Out, From);
    else
      mergeLong(Out, From);
  }
  if (Cached) {
    *Slot = {Cache.Words.size(), Word.size(), Cache.Ids.size(),
             Out.size() - From};
    Cache.Words += Word;
    Cache.Ids.insert(Cache.Ids.end(),
                     Out.begin() + static_cast<ptrdiff_t>(From), Out.end());
  }
}

} // namespace fdpp::text
