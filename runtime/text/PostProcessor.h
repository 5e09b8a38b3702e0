// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `post_processor` of a tokenizer.json: the special tokens around a text.

#ifndef FDPP_RUNTIME_TEXT_POSTPROCESSOR_H
#define FDPP_RUNTIME_TEXT_POSTPROCESSOR_H

#include "Json.h"

#include <cstdint>
#include <vector>

namespace fdpp::text {

/// What TemplateProcessing puts before and after a single text. ByteLevel only
/// changes offsets, which nobody asks for here.
struct PostProcessor {
  std::vector<int32_t> Before, After;
};

/// From the file's value; null adds nothing. Throws Failure.
PostProcessor parsePostProcessor(const JsonNode &Node);

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_POSTPROCESSOR_H
