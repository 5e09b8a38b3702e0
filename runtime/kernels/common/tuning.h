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
/// for their own widest).
struct KernelLevel {
  std::string_view name;
  int widest_tile, most_tile;
};
inline constexpr KernelLevel kernel_levels[] = {{"portable", 2, 2},
                                                {"avx2", 6, 6},
                                                {"avx512", 12, 16},
                                                {"avx512bf16", 12, 16},
                                                {"amx", 32, 32}};

/// Tokens that the highest tile of a level holds, 0 for no such level.
constexpr int most_tile_of(std::string_view level) {
  for (const KernelLevel &known : kernel_levels)
    if (known.name == level)
      return known.most_tile;
  return 0;
}

/// Most bytes of weights that a variant may keep on their way.
inline constexpr int most_prefetch = 1 << 16;
/// What the roofline has on its way to a tile that is alone.
inline constexpr int usual_prefetch = 4096;

} // namespace fdpp

#endif // FDPP_KERNELS_COMMON_TUNING_H
