// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tokenizer.json and chat.json; whatever loads must work on any text, and what
// a stream decodes piecewise must be what decode() gives at once.

#include "Fuzz.h"
#include "Words.h"

#include "text/ChatTemplate.h"
#include "text/Tokenizer.h"

#include <algorithm>
#include <vector>

using namespace fdpp::text;

static void useTokenizer(const Tokenizer &tokenizer, std::string_view text) {
  auto ids = tokenizer.encode(text, /*AddSpecial=*/true);
  if (!ids) {
    fuzz::requireOneLine(ids.error());
    return;
  }
  std::string whole = tokenizer.decode(*ids, /*SkipSpecial=*/false), parts;
  StreamDecoder stream(tokenizer, /*SkipSpecial=*/false);
  for (int32_t id : *ids) {
    if (id < 0 || static_cast<size_t>(id) >= tokenizer.vocabSize())
      fuzz::defect("an id outside the vocabulary", std::to_string(id));
    parts += stream.push(id);
  }
  if (whole != parts + stream.flush())
    fuzz::defect("the stream says something else", whole);
}

static void useTemplate(const ChatTemplate &form) {
  ChatMessage turns[] = {{"system", " be brief\n"},
                         {"user", "a"},
                         {"assistant", "b\n"},
                         {"user", "\xff"}};
  for (size_t first : {0, 1, 2})
    for (bool prompt : {false, true}) {
      auto text = form.render(std::span(turns).subspan(first), prompt,
                              /*Now=*/1700000000);
      if (!text)
        fuzz::requireOneLine(text.error());
    }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view input(reinterpret_cast<const char *>(data), size);
  if (auto tokenizer = Tokenizer::parse(input, "fuzz.json")) {
    for (std::string_view text : {"", "lo llo 12 <s>a<t>", "\u2581ab \u20AC",
                                  "\xFF\xE2\x82", "  \n\r\n it's 1234 <s> x"})
      useTokenizer(*tokenizer, text);
    useTokenizer(*tokenizer, input.substr(0, 200));
    tokenizer->decode(
        std::vector<int32_t>{-1, 0, 229, 255, 261, INT32_MAX, INT32_MIN}, true);
  } else {
    fuzz::requireOneLine(tokenizer.error());
  }
  if (auto form = ChatTemplate::parse(input, "fuzz.json"))
    useTemplate(*form);
  else
    fuzz::requireOneLine(form.error());
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
                                          size_t limit, unsigned seed) {
  return fuzz::mutateWords(data, size, limit, seed,
                           {"null", "true", "[]", "{}", "\"a\"", "Regex",
                            "String", "(a|b*)*", "Replace", "Sequence", "Split",
                            "Strip", "NFKC", "ByteLevel", "Metaspace", "Digits",
                            "Punctuation", "<s>", "\\\\s+"});
}
