// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Words.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t limit);

namespace {

constexpr const char *kNumbers[] = {
    "0", "1",     "2",          "-1",         "3.0e+38",
    "7", "64",    "65",         "4096",       "1048576",
    "?", "1e400", "0x7FC00000", "2147483648", "9223372036854775807"};

using Parts = std::vector<std::string>;

/// 0: space, 1: word, 2: a mark, which stands alone.
int kindOf(char c) {
  if (std::isspace(static_cast<unsigned char>(c)))
    return 0;
  bool word = std::isalnum(static_cast<unsigned char>(c)) ||
              std::strchr("_.%@$#!", c) || (c & 0x80);
  return word ? 1 : 2;
}

Parts split(std::string_view text) {
  Parts parts;
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    while (end < text.size() && kindOf(text[at]) != 2 &&
           kindOf(text[end]) == kindOf(text[at]))
      ++end;
    parts.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return parts;
}

class Mutator {
public:
  Mutator(Parts parts, unsigned seed, std::initializer_list<const char *> words)
      : parts(std::move(parts)), words(words), random(seed) {}

  Parts run() {
    for (size_t count = 1 + random() % 3; count && !parts.empty(); --count)
      mutate(any());
    return std::move(parts);
  }

private:
  size_t any() { return random() % parts.size(); }

  void mutate(size_t at) {
    switch (random() % 7) {
    case 0: // one word in another's place
      parts[at] = parts[any()];
      break;
    case 1:
      std::swap(parts[at], parts[any()]);
      break;
    case 2:
      replaceNumber(at);
      break;
    case 3:
      replaceWord(at);
      break;
    case 4:
      parts.erase(place(at));
      break;
    case 5:
      moveRange(at, at + 1 + random() % 12);
      break;
    case 6: // a line, or what a list has of them
      moveRange(lineStart(at), lineStart(std::min(at + 1, parts.size())));
    }
  }

  Parts::iterator place(size_t at) {
    return parts.begin() + static_cast<ptrdiff_t>(at);
  }

  /// The next number from `at` on; '4x8xf32' holds two.
  void replaceNumber(size_t at) {
    const char *number = kNumbers[random() % std::size(kNumbers)];
    for (; at < parts.size(); ++at) {
      std::string &part = parts[at];
      size_t begin = part.find_first_of("0123456789?");
      if (begin == part.npos || part.find_first_of("%@#!") != part.npos)
        continue;
      size_t end =
          std::min(part.find_first_not_of("0123456789?", begin), part.size());
      part.replace(begin, end - begin, number);
      return;
    }
  }

  /// The next word from `at` on, or its end: 'tensor<4xf32' holds a type.
  void replaceWord(size_t at) {
    if (words.empty())
      return;
    std::string word = words[random() % words.size()];
    while (at < parts.size() && kindOf(parts[at].front()) != 1)
      ++at;
    if (at == parts.size())
      return;
    size_t tail = parts[at].rfind('x');
    bool whole = tail == std::string::npos || random() % 2;
    parts[at].replace(whole ? 0 : tail + 1, std::string::npos, word);
  }

  size_t lineStart(size_t at) {
    while (at < parts.size() && parts[at].find('\n') == std::string::npos)
      ++at;
    return at;
  }

  /// Copies or moves [from, to) somewhere else, or drops it.
  void moveRange(size_t from, size_t to) {
    to = std::min(to, parts.size());
    if (from >= to)
      return;
    Parts range(place(from), place(to));
    unsigned choice = random() % 4;
    if (choice < 2)
      parts.erase(place(from), place(to));
    if (choice > 0)
      parts.insert(place(random() % (parts.size() + 1)), range.begin(),
                   range.end());
  }

  Parts parts;
  std::vector<const char *> words;
  std::mt19937 random;
};

} // namespace

size_t fuzz::mutateWords(uint8_t *data, size_t size, size_t limit,
                         unsigned seed,
                         std::initializer_list<const char *> words) {
  if (seed % 8 == 0 || size == 0)
    return LLVMFuzzerMutate(data, size, limit);
  std::string_view text(reinterpret_cast<const char *>(data), size);
  size_t length = 0;
  for (const std::string &part : Mutator(split(text), seed, words).run()) {
    size_t count = std::min(part.size(), limit - length);
    std::copy_n(part.begin(), count, data + length);
    length += count;
  }
  return length;
}
