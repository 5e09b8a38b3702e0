// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Regex.h"
#include "Failure.h"
#include "Utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace fdpp::text {

namespace {

template <auto Free> struct Freer {
  template <typename T> void operator()(T *P) const { Free(P); }
};
using CompileContext =
    std::unique_ptr<pcre2_compile_context, Freer<pcre2_compile_context_free>>;
using MatchContext =
    std::unique_ptr<pcre2_match_context, Freer<pcre2_match_context_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Freer<pcre2_jit_stack_free>>;
using MatchData =
    std::unique_ptr<pcre2_match_data, Freer<pcre2_match_data_free>>;

std::string messageOf(int Code) {
  PCRE2_UCHAR Buffer[256];
  if (pcre2_get_error_message(Code, Buffer, sizeof(Buffer)) < 0)
    return "error " + std::to_string(Code);
  return reinterpret_cast<const char *>(Buffer);
}

/// What one thread needs to match: result slots, and a JIT stack that is only
/// made when a match outgrows the machine stack JIT code starts on.
struct MatchState {
  MatchData Data{pcre2_match_data_create(1, nullptr)};
  MatchContext Context{pcre2_match_context_create(nullptr)};
  JitStack Stack;

  bool growStack() {
    if (Stack)
      return false;
    Stack.reset(pcre2_jit_stack_create(64 * 1024, 64 * 1024 * 1024, nullptr));
    if (!Stack)
      return false;
    pcre2_jit_stack_assign(Context.get(), nullptr, Stack.get());
    return true;
  }
};

} // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, Freer<pcre2_code_free>> Pcre;
  std::string Shown; // the pattern as the file has it
};

Regex Regex::compile(const std::string &Pattern, unsigned Options,
                     std::string_view Shown) {
  CompileContext Context(pcre2_compile_context_create(nullptr));
  // Linked libraries may be built with other defaults; '.' stops at \n here.
  pcre2_set_newline(Context.get(), PCRE2_NEWLINE_LF);
  int ErrorCode = 0;
  PCRE2_SIZE ErrorOffset = 0;
  auto C = std::make_shared<Code>();
  C->Shown = Shown;
  C->Pcre.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(Pattern.data()),
                              Pattern.size(), Options, &ErrorCode, &ErrorOffset,
                              Context.get()));
  if (!C->Pcre)
    fail("regex '" + C->Shown + "' does not compile: " + messageOf(ErrorCode));
  // Without JIT (SELinux, other CPUs) pcre2_match interprets: slower, the same
  // matches.
  pcre2_jit_compile(C->Pcre.get(), PCRE2_JIT_COMPLETE);
  return Regex(std::move(C));
}

Regex Regex::fromPattern(std::string_view Pattern) {
  return compile(toPcre2(Pattern), PCRE2_UTF | PCRE2_UCP, Pattern);
}

Regex Regex::fromLiteral(std::string_view Text) {
  return compile(std::string(Text), PCRE2_UTF | PCRE2_LITERAL, Text);
}

void Regex::split(std::string_view Subject, std::vector<Match> &Out) const {
  if (Subject.empty())
    return;
  thread_local MatchState State;
  auto *Bytes = reinterpret_cast<PCRE2_SPTR>(Subject.data());
  size_t From = 0, Covered = 0;
  bool AnyMatch = false;
  while (From <= Subject.size()) {
    // The subject is valid UTF-8; checking it again for each match would make
    // the loop quadratic.
    int Rc =
        pcre2_match(Compiled->Pcre.get(), Bytes, Subject.size(), From,
                    PCRE2_NO_UTF_CHECK, State.Data.get(), State.Context.get());
    if (Rc == PCRE2_ERROR_JIT_STACKLIMIT && State.growStack())
      continue;
    if (Rc == PCRE2_ERROR_NOMATCH)
      break;
    if (Rc < 0)
      fail("regex '" + Compiled->Shown + "' gave up: " + messageOf(Rc));
    const PCRE2_SIZE *Where = pcre2_get_ovector_pointer(State.Data.get());
    size_t Begin = Where[0], End = Where[1];
    // An empty match right behind another match is passed over by one
    // character, as Oniguruma's iterator does.
    if (Begin == End && AnyMatch && End == Covered) {
      From += From < Subject.size()
                  ? utf8Length(static_cast<unsigned char>(Subject[From]))
                  : 1;
      continue;
    }
    if (Covered != Begin)
      Out.push_back({Covered, Begin, false});
    Out.push_back({Begin, End, true});
    From = Covered = End;
    AnyMatch = true;
  }
  if (Covered != Subject.size())
    Out.push_back({Covered, Subject.size(), false});
}

} // namespace fdpp::text
