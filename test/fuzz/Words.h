// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Mutations of text that exchange whole words: bytes changed at random rarely
// get past a parser.
#ifndef FDPP_TEST_FUZZ_WORDS_H
#define FDPP_TEST_FUZZ_WORDS_H

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace fuzz {

/// For LLVMFuzzerCustomMutator: one call in eight changes bytes, the others
/// words, numbers and lines. `words` are put in the place of words.
size_t mutateWords(uint8_t *data, size_t size, size_t limit, unsigned seed,
                   std::initializer_list<const char *> words);

} // namespace fuzz

#endif // FDPP_TEST_FUZZ_WORDS_H
