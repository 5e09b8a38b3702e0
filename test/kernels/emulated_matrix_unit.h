// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The matrix unit of kernels/cpu/matrix_unit.h as Intel's manual describes it
// (TDPBF16PS), for processors that have none. It checks what the processor
// checks: shapes that fit, and registers that are configured.
#include <cstdlib>
#include <cstring>

namespace fdpp::cpu::matrix {

struct Register {
  alignas(64) uint8_t row[tile_rows][row_bytes];
};
inline thread_local Register registers[8];
inline thread_local Config configuration = [] {
  Config none;
  none.palette = 0;
  return none;
}();

inline void require(bool condition) {
  if (!condition)
    std::abort(); // #GP or #UD on a processor
}

inline void configure(const Config &config) {
  require(config.palette == 1);
  for (int i = 0; i < 8; ++i)
    require(config.rows[i] <= tile_rows && config.bytes[i] <= row_bytes &&
            (config.rows[i] == 0) == (config.bytes[i] == 0));
  configuration = config;
  std::memset(registers, 0, sizeof registers);
}
inline void release() {
  configuration = Config();
  configuration.palette = 0;
}
template <int Tile> inline int rows() {
  require(configuration.palette == 1 && configuration.rows[Tile] > 0);
  return configuration.rows[Tile];
}
template <int Tile> inline void zero() {
  rows<Tile>();
  std::memset(&registers[Tile], 0, sizeof registers[Tile]);
}
template <int Tile> inline void load(const void *from) {
  for (int i = 0; i < rows<Tile>(); ++i)
    std::memcpy(registers[Tile].row[i],
                static_cast<const char *>(from) + i * row_bytes, row_bytes);
}
template <int Tile> inline void store(void *to) {
  for (int i = 0; i < rows<Tile>(); ++i)
    std::memcpy(static_cast<char *>(to) + i * row_bytes, registers[Tile].row[i],
                row_bytes);
}
template <int C, int A, int B> inline void multiply() {
  require(rows<C>() == rows<A>() && rows<B>() == tile_rows);
  auto pair = [](const Register &of, int row, int k, int half) {
    bf16 value;
    std::memcpy(&value, of.row[row] + 4 * k + 2 * half, sizeof value);
    return to_float(value);
  };
  for (int m = 0; m < rows<C>(); ++m)
    for (int n = 0; n < lanes; ++n) {
      float sums[2] = {0, 0};
      for (int k = 0; k < tile_rows; ++k)
        for (int half = 0; half < 2; ++half)
          sums[half] =
              __builtin_fmaf(pair(registers[A], m, k, half),
                             pair(registers[B], k, n, half), sums[half]);
      float c;
      std::memcpy(&c, registers[C].row[m] + 4 * n, sizeof c);
      c += sums[0] + sums[1];
      std::memcpy(registers[C].row[m] + 4 * n, &c, sizeof c);
    }
}

} // namespace fdpp::cpu::matrix
