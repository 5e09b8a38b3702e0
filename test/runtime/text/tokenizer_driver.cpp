// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Puts runtime/text behind pipes, so that test/python can compare it with
// other implementations. Numbers are 32-bit little-endian.
//
//   fdpp-tokenizer-driver encode TOKENIZER.json
//     in:  add_special, byte count, bytes      out: count, ids
//   fdpp-tokenizer-driver decode TOKENIZER.json
//     in:  skip_special, count, ids            out: byte count, bytes
//   fdpp-tokenizer-driver stream TOKENIZER.json
//     in:  as decode       out: count, then each part as byte count, bytes
//   fdpp-tokenizer-driver chat CHAT.json
//     in:  generation_prompt, seconds since 1970, message count, then role and
//          content, each as byte count, bytes
//     out: ok, byte count, text or message
//   fdpp-tokenizer-driver bench TOKENIZER.json TEXT
//     prints load time and encode speed, in CPU time

#include "text/ChatTemplate.h"
#include "text/Tokenizer.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>

using namespace fdpp::text;

static bool readWord(uint32_t &Word) {
  return std::fread(&Word, sizeof(Word), 1, stdin) == 1;
}

static uint32_t needWord() {
  uint32_t Word = 0;
  if (!readWord(Word)) {
    std::fprintf(stderr, "input ends inside a record\n");
    std::exit(1);
  }
  return Word;
}

template <typename Container> static Container needData() {
  Container Data(needWord(), 0);
  using Value = typename Container::value_type;
  if (std::fread(Data.data(), sizeof(Value), Data.size(), stdin) !=
      Data.size()) {
    std::fprintf(stderr, "input ends inside a record\n");
    std::exit(1);
  }
  return Data;
}

static void writeWord(size_t N) {
  auto Word = static_cast<uint32_t>(N);
  std::fwrite(&Word, sizeof(Word), 1, stdout);
}

template <typename Container> static void writeData(const Container &Data) {
  writeWord(Data.size());
  std::fwrite(Data.data(), sizeof(*Data.data()), Data.size(), stdout);
}

[[noreturn]] static void die(const std::string &Message) {
  std::fprintf(stderr, "%s\n", Message.c_str());
  std::exit(1);
}

static Tokenizer mustLoad(const char *Path) {
  auto Tok = Tokenizer::load(Path);
  if (!Tok)
    die(Tok.error());
  return *Tok;
}

static void encodeAll(const Tokenizer &Tok) {
  for (uint32_t AddSpecial; readWord(AddSpecial);) {
    auto Ids = Tok.encode(needData<std::string>(), AddSpecial != 0);
    if (!Ids)
      die(Ids.error());
    writeData(*Ids);
  }
}

static void decodeAll(const Tokenizer &Tok) {
  for (uint32_t Skip; readWord(Skip);)
    writeData(Tok.decode(needData<std::vector<int32_t>>(), Skip != 0));
}

static void streamAll(const Tokenizer &Tok) {
  for (uint32_t Skip; readWord(Skip);) {
    auto Ids = needData<std::vector<int32_t>>();
    StreamDecoder Decoder(Tok, Skip != 0);
    writeWord(Ids.size() + 1);
    for (int32_t Id : Ids)
      writeData(Decoder.push(Id));
    writeData(Decoder.flush());
  }
}

static void chatAll(const char *Path) {
  auto Chat = ChatTemplate::load(Path);
  if (!Chat)
    die(Chat.error());
  for (uint32_t Generate; readWord(Generate);) {
    std::time_t Now = needWord();
    std::vector<ChatMessage> Messages(needWord());
    for (ChatMessage &M : Messages) {
      M.Role = needData<std::string>();
      M.Content = needData<std::string>();
    }
    auto Text = Chat->render(Messages, Generate != 0, Now);
    writeWord(static_cast<bool>(Text));
    writeData(Text ? *Text : Text.error());
  }
}

/// CPU time of this single-threaded program: steady on a busy machine.
static double seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

static void bench(const char *Path, const char *TextPath) {
  double Start = seconds();
  Tokenizer Tok = mustLoad(Path);
  std::printf("load %.1f ms\n", (seconds() - Start) * 1e3);
  std::ifstream In(TextPath, std::ios::binary);
  std::string Text((std::istreambuf_iterator<char>(In)), {});
  double Best = 1e9;
  size_t Count = 0;
  for (int Run = 0; Run != 7; ++Run) {
    Start = seconds();
    Count = Tok.encode(Text, false)->size();
    Best = std::min(Best, seconds() - Start);
  }
  std::printf("encode %zu bytes, %zu tokens: %.2f MB/s\n", Text.size(), Count,
              static_cast<double>(Text.size()) / Best / 1e6);
}

int main(int argc, char **argv) {
  std::string_view Mode = argc > 2 ? argv[1] : "";
  if (Mode == "encode")
    encodeAll(mustLoad(argv[2]));
  else if (Mode == "decode")
    decodeAll(mustLoad(argv[2]));
  else if (Mode == "stream")
    streamAll(mustLoad(argv[2]));
  else if (Mode == "chat")
    chatAll(argv[2]);
  else if (Mode == "bench" && argc == 4)
    bench(argv[2], argv[3]);
  else
    die("usage: fdpp-tokenizer-driver encode|decode|stream|chat|bench FILE");
  return 0;
}
