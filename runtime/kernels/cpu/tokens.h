// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels about tokens: where each is cached, its rotary angles, its embedding
// row, and which rows want logits.
#ifndef FDPP_KERNELS_CPU_TOKENS_H
#define FDPP_KERNELS_CPU_TOKENS_H

#include "fdpp-runtime/model_abi.h"
#include "kernels/cpu/prologue.h"
#include "kernels/cpu/team.h"

#include <cmath>

namespace fdpp::cpu {

/// The sequences of a step, as the step ABI lays them out.
struct Batch {
  int sequences;              // S
  const int32_t *seq_offsets; // [S + 1]
  const int32_t *context;     // [S], the step's tokens included
  const int32_t *pages;       // [S][max_pages]
  int max_pages;
  /// What attention counts its logits in; null: nowhere.
  const fdpp_attention_statistics *statistics = nullptr;

  /// The sequences [first, end) alone; token indices stay those of the step.
  Batch range(int first, int end) const {
    return {end - first,     seq_offsets + first,
            context + first, pages + int64_t(first) * max_pages,
            max_pages,       statistics};
  }

  int tokens_of(int s) const { return seq_offsets[s + 1] - seq_offsets[s]; }
  int page_of(int s, int slot, int page_tokens) const {
    return pages[int64_t(s) * max_pages + slot / page_tokens];
  }
};

/// slots[t] = page * page_tokens + offset of the cache slot that token t is
/// stored in.
template <int PageTokens>
void token_slots(Team &team, const Batch &batch, int32_t *slots) {
  Range mine = team.share(batch.sequences);
  for (int s = mine.begin; s < mine.end; ++s) {
    int begin = batch.seq_offsets[s], end = batch.seq_offsets[s + 1];
    for (int t = begin; t < end; ++t) {
      int slot = batch.context[s] - (end - t);
      slots[t] =
          batch.page_of(s, slot, PageTokens) * PageTokens + slot % PageTokens;
    }
  }
  team.barrier();
}

/// cosine[t][i], sine[t][i] of the angle positions[t] * inv_freq[i], which is
/// rounded to f32 as the reference models do, times `magnitude`.
template <int Half>
void rope_table(Team &team, int tokens, const int32_t *positions,
                const float *inv_freq, float *cosine, float *sine,
                float magnitude = 1.0f) {
  Range mine = team.share(tokens * Half);
  for (int i = mine.begin; i < mine.end; ++i) {
    float angle = float(positions[i / Half]) * inv_freq[i % Half];
    cosine[i] = std::cos(angle) * magnitude;
    sine[i] = std::sin(angle) * magnitude;
  }
  team.barrier();
}

/// How an embedding table lies in memory.
enum class Table {
  rows,  // [vocabulary][Width]
  packed // the panels of the lm_head, for tied embeddings
};

/// out[t] = table[tokens[t]] * scale. The ids are the caller's to check.
template <Table Layout, int Width, class E>
void embed(Team &team, int count, const int32_t *tokens, const E *table,
           float *out, float scale = 1.0f) {
  Range mine = team.share(count);
  for (int t = mine.begin; t < mine.end; ++t) {
    float *to = out + int64_t(t) * Width;
    if constexpr (Layout == Table::rows) {
      const E *from = table + int64_t(tokens[t]) * Width;
      for_each_chunk<Width>([&](int k, int n) FDPP_INLINE_LAMBDA {
        store(to + k, load(from + k, n) * scale, n);
      });
    } else {
      for (int k = 0; k < Width; ++k)
        to[k] = to_float(table[packed_index<E>(tokens[t], k, Width)]) * scale;
    }
  }
  team.barrier();
}

/// out[r] = x[rows[r]].
template <int Width, class X>
void select_rows(Team &team, int count, const int32_t *rows, const X *x,
                 X *out) {
  Range mine = team.share(count);
  for (int r = mine.begin; r < mine.end; ++r)
    __builtin_memcpy(out + int64_t(r) * Width, x + int64_t(rows[r]) * Width,
                     sizeof(X) * Width);
  team.barrier();
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_TOKENS_H
