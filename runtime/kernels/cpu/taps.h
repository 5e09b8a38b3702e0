// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How a model compiled with --taps shows what its kernels stored. Calls stand
// behind the kernel whose result they show, before anything may overwrite it.
#ifndef FDPP_KERNELS_CPU_TAPS_H
#define FDPP_KERNELS_CPU_TAPS_H

#include "fdpp-runtime/model_abi.h"
#include "kernels/common/scratch.h"
#include "kernels/cpu/cache.h"
#include "kernels/cpu/team.h"

namespace fdpp::cpu {

/// What the value is called, here and in the graph, and its layer.
struct TapLabel {
  const char *name, *node;
  int layer;
};

template <class T> constexpr int32_t tap_dtype = -1;
template <> inline constexpr int32_t tap_dtype<float> = FDPP_F32;
template <> inline constexpr int32_t tap_dtype<bf16> = FDPP_BF16;
template <> inline constexpr int32_t tap_dtype<f16> = FDPP_F16;

/// Shows `data` [rows][columns] to the callback of the step, if it has one.
template <class Step, class T>
void tap(Team &team, const Step &step, TapLabel label, int rows, int columns,
         const T *data) {
  static_assert(tap_dtype<T> >= 0, "the step ABI has no name for the type");
  if (!step.tap)
    return;
  if (team.index == 0) {
    fdpp_tap value = {.struct_size = sizeof(fdpp_tap),
                      .name = label.name,
                      .node = label.node,
                      .layer = label.layer,
                      .dtype = tap_dtype<T>,
                      .rows = rows,
                      .columns = columns,
                      .data = data};
    step.tap(step.tap_ctx, &value);
  }
  team.barrier();
}

/// Bytes of scratch that tap_keys and tap_values need.
template <class KvCache>
constexpr int64_t tap_scratch_bytes(int tokens, KvCache) {
  return align_bytes(int64_t(tokens) * KvCache::kv_heads * KvCache::head_dim *
                     int64_t(sizeof(typename KvCache::element)));
}

/// Gathers what the cache holds at `slots` [tokens], those of the step, as
/// [tokens][heads * dims] and shows it. `element(slot, head, dim)` reads one
/// element.
template <class Step, class Element>
void tap_cache(Team &team, const Step &step, TapLabel label,
               const int32_t *slots, Element element) {
  using Cache = decltype(step.cache);
  constexpr int columns = Cache::kv_heads * Cache::head_dim;
  auto *rows = static_cast<typename Cache::element *>(step.scratch);
  if (!step.tap)
    return;
  if (team.index == 0)
    for (int token = 0; token < step.num_tokens; ++token)
      for (int column = 0; column < columns; ++column)
        rows[int64_t(token) * columns + column] = element(
            slots[token], column / Cache::head_dim, column % Cache::head_dim);
  tap(team, step, label, step.num_tokens, columns, rows);
}

/// Shows the keys of the step's tokens as the cache has them.
template <class Step>
void tap_keys(Team &team, const Step &step, TapLabel label, int layer,
              const int32_t *slots) {
  using Cache = decltype(step.cache);
  tap_cache(team, step, label, slots, [&](int slot, int head, int dim) {
    return step.cache.keys(layer, slot / Cache::page_tokens,
                           head)[key_index<typename Cache::element>(
        slot % Cache::page_tokens, dim, Cache::page_tokens)];
  });
}

/// Shows the values of the step's tokens as the cache has them.
template <class Step>
void tap_values(Team &team, const Step &step, TapLabel label, int layer,
                const int32_t *slots) {
  using Cache = decltype(step.cache);
  tap_cache(team, step, label, slots, [&](int slot, int head, int dim) {
    return step.cache.values(
        layer, slot / Cache::page_tokens,
        head)[value_index(slot % Cache::page_tokens, dim, Cache::head_dim)];
  });
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_TAPS_H
