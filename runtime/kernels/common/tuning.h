// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a tuning table (docs/tuning.md) and the kernels must agree on. Plain
// C++20, shared by the compiler that reads tables and fdpp-tune that writes
// them.
#ifndef FDPP_KERNELS_COMMON_TUNING_H
#define FDPP_KERNELS_COMMON_TUNING_H

#include <string_view>

namespace fdpp {

/// Version of the table's format, and the oldest that is read. Format 2 may
/// have ranges of the kind `library`.
inline constexpr int tuning_format = 2, least_tuning_format = 1;
/// Counted up whenever the linears change so much that older measurements say
/// nothing about them.
inline constexpr int tuning_kernels = 1;

/// A set of kernels that one instruction set makes: what of a CPU decides which
/// code the templates become. `widest_tile` and `most_tile` are those of
/// kernels/cpu/tile.h, of amx its linears' in bf16
/// (kernels/cpu/matrix_linear.h; others are avx512's, which take a wider tile
/// for their own widest). By the roofline up to `flat_tile` tokens go in one
/// tile, with far_prefetch bytes on their way from `far_from` tokens on, 0:
/// never.
struct KernelLevel {
  std::string_view name;
  int widest_tile, most_tile, flat_tile, far_from;
};
inline constexpr KernelLevel kernel_levels[] = {
    {"portable", 2, 2, 2, 0},
    {"avx2", 6, 6, 6, 0},
    {"avx512", 12, 16, 12, 0},
    {"avx512bf16", 12, 16, 16, 7}, // measured on Zen 4
    {"amx", 32, 32, 32, 0}};

/// Null for no such level.
constexpr const KernelLevel *kernel_level(std::string_view name) {
  for (const KernelLevel &known : kernel_levels)
    if (known.name == name)
      return &known;
  return nullptr;
}

/// Tokens that the highest tile of a level holds, 0 for no such level.
constexpr int most_tile_of(std::string_view level) {
  const KernelLevel *known = kernel_level(level);
  return known ? known->most_tile : 0;
}

/// Most bytes of weights that a variant may keep on their way.
inline constexpr int most_prefetch = 1 << 16;
/// What the roofline has on its way to a tile that is alone.
inline constexpr int usual_prefetch = 4096, far_prefetch = 8192;

/// A register tile and what is on its way to it.
struct UsualTile {
  int tokens, prefetch;
};
/// The roofline's for m tokens.
constexpr UsualTile usual_tile(const KernelLevel &level, int m) {
  if (m == 1)
    return {1, usual_prefetch};
  if (m > level.flat_tile)
    return {level.widest_tile, 0};
  bool isFar = level.far_from > 0 && m >= level.far_from;
  return {m > level.widest_tile ? level.flat_tile : level.widest_tile,
          isFar ? far_prefetch : usual_prefetch};
}

} // namespace fdpp

#endif // FDPP_KERNELS_COMMON_TUNING_H
