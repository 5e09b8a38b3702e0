// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// GPT-2's spelling of bytes as printable characters: byte-level vocabularies
// write the byte 0x20 as U+0120.

#ifndef FDPP_RUNTIME_TEXT_BYTELEVEL_H
#define FDPP_RUNTIME_TEXT_BYTELEVEL_H

#include <string>
#include <string_view>

namespace fdpp::text {

/// Appends the spelling of Bytes.
void spellBytes(std::string_view Bytes, std::string &Out);

/// Appends the bytes that Spelling (valid UTF-8) stands for, or Spelling
/// itself when one of its characters stands for no byte.
void unspellBytes(std::string_view Spelling, std::string &Out);

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_BYTELEVEL_H
