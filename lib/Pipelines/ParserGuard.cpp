// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ParserGuard.cpp - Texts that libMLIR cannot survive ----------------===//
#include "fdpp/Pipelines/ParserGuard.h"

#include "llvm/ADT/StringExtras.h"

using namespace llvm;

/// Takes the next token off the front of `text`: a word with what stands
/// before it ('!alias', '%1'), or a single character. Empty at the end, and
/// for blanks, comments and strings, which are no tokens here.
static StringRef takeToken(StringRef &text) {
  auto take = [&](size_t count) {
    StringRef token = text.take_front(count);
    text = text.drop_front(token.size());
    return token;
  };
  char first = text.front();
  if (text.starts_with("//")) {
    take(text.find('\n'));
    return {};
  }
  if (first == '"') {
    size_t end = 1;
    while (end < text.size() && text[end] != '"' && text[end] != '\n')
      end += text[end] == '\\' ? 2 : 1;
    take(end + 1);
    return {};
  }
  if (isSpace(first)) {
    take(1);
    return {};
  }
  auto isWord = [](char c) {
    return isAlnum(c) || StringRef("_$.").contains(c);
  };
  size_t lead = StringRef("!%#@^").contains(first) ? 1 : 0;
  size_t end = text.find_if_not(isWord, lead);
  return take(std::max<size_t>(std::min(end, text.size()), 1));
}

Error mlir::fdpp::checkParsable(StringRef text, StringRef name) {
  if (text.starts_with("ML\xefR")) // bytecode
    return Error::success();
  StringRef rest = text, before, last;
  while (!rest.empty()) {
    StringRef token = takeToken(rest);
    if (token.empty())
      continue;
    bool isElement = before == "array" && last == "<";
    if (isElement && (token == "index" || token.starts_with("!"))) {
      size_t line = text.drop_back(rest.size()).count('\n') + 1;
      return createStringError(name + ":" + Twine(line) + ": array of '" +
                               token +
                               "' cannot be read; write the width of its "
                               "numbers, as in array<i64: 1>");
    }
    before = last;
    last = token;
  }
  return Error::success();
}
