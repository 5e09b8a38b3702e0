// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Intel AMX: eight tile registers of up to 16 rows of 64 bytes, and
//
//   tile C (f32, [rows][16]) += tile A (bf16, [rows][32]) . tile B
//
// where B holds 16 pairs of k for 16 outputs, which is 1 KiB of a packed panel
// of bf16 weights as it lies in memory (common/packing.h). A sum is 16 pairs
// long before it is added to C, and subnormals count as zero.
//
// A process must ask for the state once (common/matrix_permission.h).
#ifndef FDPP_KERNELS_CPU_MATRIX_UNIT_H
#define FDPP_KERNELS_CPU_MATRIX_UNIT_H

#include "kernels/cpu/vector.h"

namespace fdpp::cpu::matrix {

/// Rows of a tile register.
inline constexpr int tile_rows = 16;
/// Bytes of a row: one pack of k for 16 outputs, or 32 values of a token.
inline constexpr int row_bytes = 64;
/// Elements of k that one multiplication takes.
inline constexpr int step_k = 32;

/// What LDTILECFG reads: bytes and rows of each register.
struct alignas(64) Config {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};

  void set(int tile, int count) {
    bytes[tile] = count > 0 ? row_bytes : 0;
    rows[tile] = uint8_t(count);
  }
};

#if defined(FDPP_MATRIX_UNIT_HEADER) // tests without such a processor
} // namespace fdpp::cpu::matrix
#include FDPP_MATRIX_UNIT_HEADER
namespace fdpp::cpu::matrix {
inline constexpr bool available = true;
#elif defined(__AMX_TILE__) && defined(__AMX_BF16__)
inline constexpr bool available = true;

FDPP_INLINE void configure(const Config &config) {
  __builtin_ia32_tile_loadconfig(&config);
}
FDPP_INLINE void release() { __builtin_ia32_tilerelease(); }
template <int Tile> FDPP_INLINE void zero() { __builtin_ia32_tilezero(Tile); }
template <int Tile> FDPP_INLINE void load(const void *from) {
  __builtin_ia32_tileloadd64(Tile, from, row_bytes);
}
template <int Tile> FDPP_INLINE void store(void *to) {
  __builtin_ia32_tilestored64(Tile, to, row_bytes);
}
/// C += A . B.
template <int C, int A, int B> FDPP_INLINE void multiply() {
  __builtin_ia32_tdpbf16ps(C, A, B);
}
#else
inline constexpr bool available = false;

// Never called, so never defined.
void configure(const Config &config);
void release();
template <int Tile> void zero();
template <int Tile> void load(const void *from);
template <int Tile> void store(void *to);
template <int C, int A, int B> void multiply();
#endif

} // namespace fdpp::cpu::matrix

namespace fdpp::cpu {
/// Whether linears with weights of type E run on the matrix unit. All of them
/// do or none: it sums in another order than vectors do, and a token's result
/// must not depend on how many stand beside it.
template <class E>
inline constexpr bool on_matrix_unit =
    matrix::available && std::is_same_v<E, bf16>;
} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_MATRIX_UNIT_H
