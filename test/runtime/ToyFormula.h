// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The toy model of the runtime tests: what it computes, and its limits. A
// logit depends on every visible token, its slot in the cache, its position,
// the layer and both weights; all sums are small integers, exact in f32, so
// that any wrong page, split or order shows and equality is exact.
#ifndef FDPP_TEST_RUNTIME_TOYFORMULA_H
#define FDPP_TEST_RUNTIME_TOYFORMULA_H

#include "fdpp-runtime/model_abi.h"

#include <cstdint>
#include <vector>

namespace toy {

constexpr int32_t kVocab = 260; // 256 bytes and four special tokens
constexpr int32_t kEos = 256;
constexpr int32_t kLayers = 2;
constexpr int32_t kHeads = 2;
constexpr int32_t kPageTokens = 4;
constexpr int32_t kPageInts = 2 * kPageTokens; // tokens, then positions
constexpr int32_t kMaxContext = 64;

#ifndef TOY_ENTRIES
#define TOY_ENTRIES 7
#endif

inline fdpp_model_limits limits(int32_t entries = TOY_ENTRIES) {
  fdpp_model_limits l = {};
  l.struct_size = sizeof(l);
  l.vocab_size = kVocab;
  l.layers = kLayers;
  l.query_heads = kHeads;
  l.kv_heads = 1;
  l.head_dim = 4;
  l.page_tokens = kPageTokens;
  l.cache_dtype = FDPP_I32;
  l.max_context = kMaxContext;
  l.max_tokens = 8;
  l.max_sequences = 3;
  l.max_rows = 5;
  l.decode_tokens = 1;
  l.entries = entries;
  l.page_bytes = kPageInts * sizeof(int32_t);
  return l;
}

/// The weights: `embed` [kVocab], `bank` [kLayers][kVocab].
inline int32_t embedWeight(int32_t id) { return id * 31 % 211; }
inline int32_t bankWeight(int32_t layer, int32_t id) {
  return (id * 17 + layer * 5) % 193;
}

/// What the token in `slot` of a layer adds to logit `v`.
inline int32_t term(int32_t embed, int32_t bank, int32_t slot,
                    int32_t position) {
  return (embed * (slot + 1) + bank * (position + 3)) % 97;
}

/// What the model counts as the logit of a cache slot, for every token that
/// sees it: rows of layer and head grow to 0.5, 4.5, 20.5 and 300.5.
inline float attentionLogit(int32_t row, int32_t slot) {
  constexpr float kLargest[] = {0.5F, 4.5F, 20.5F, 300.5F};
  return kLargest[row] - static_cast<float>(3 - slot % 4);
}

/// The logits after the last of `tokens`, by a plain loop.
inline std::vector<float> reference(const std::vector<int32_t> &tokens) {
  std::vector<float> logits(kVocab);
  for (int32_t v = 0; v < kVocab; ++v) {
    int32_t sum = 0;
    for (int32_t l = 0; l < kLayers; ++l)
      for (int32_t i = 0; i < static_cast<int32_t>(tokens.size()); ++i)
        sum += term(embedWeight(tokens[i]), bankWeight(l, v), i, i);
    logits[v] = static_cast<float>(sum);
  }
  return logits;
}

} // namespace toy

#endif // FDPP_TEST_RUNTIME_TOYFORMULA_H
