// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Regular expressions as tokenizer.json writes them (Oniguruma, Ruby syntax),
// run by PCRE2 with Unicode properties.

#ifndef FDPP_RUNTIME_TEXT_REGEX_H
#define FDPP_RUNTIME_TEXT_REGEX_H

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fdpp::text {

/// A half-open byte range of a text, and whether the pattern matched it.
struct Match {
  size_t Begin, End;
  bool Matched;
};

/// A compiled pattern; immutable, shared between threads.
class Regex {
public:
  /// Compiles an Oniguruma pattern. Where PCRE2 reads a construct differently
  /// it is rewritten; a construct without a certain equivalent throws Failure.
  static Regex fromPattern(std::string_view Pattern);

  /// A pattern that matches Text itself.
  static Regex fromLiteral(std::string_view Text);

  /// Appends ranges that cover Subject (valid UTF-8) from end to end, matches
  /// and gaps in order. Throws Failure when PCRE2 hits its match limit.
  void split(std::string_view Subject, std::vector<Match> &Out) const;

private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> C) : Compiled(std::move(C)) {}
  static Regex compile(const std::string &Pattern, unsigned Options,
                       std::string_view Shown);
  std::shared_ptr<const Code> Compiled;
};

/// The PCRE2 form of an Oniguruma pattern; for tests too. Throws Failure.
std::string toPcre2(std::string_view Pattern);

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_REGEX_H
