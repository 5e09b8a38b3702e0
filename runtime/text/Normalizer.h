// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `normalizer` of a tokenizer.json: NFC, NFD, NFKC, NFKD, Prepend,
// Replace, Strip and Sequence of them.

#ifndef FDPP_RUNTIME_TEXT_NORMALIZER_H
#define FDPP_RUNTIME_TEXT_NORMALIZER_H

#include "Json.h"

#include <memory>
#include <string>
#include <vector>

namespace fdpp::text {

class Normalizer {
public:
  virtual ~Normalizer() = default;

  /// Rewrites Text (valid UTF-8). AtStart says whether its first character is
  /// the input's first one, before and after.
  virtual void apply(std::string &Text, bool &AtStart) const = 0;
};

/// From the file's value; null gives no normalizers. Throws Failure.
std::vector<std::unique_ptr<Normalizer>> parseNormalizers(const JsonNode &Node);

} // namespace fdpp::text

#endif // FDPP_RUNTIME_TEXT_NORMALIZER_H
