// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How the weights of a linear lie in memory for a GPU's matrix units, in one
// copy that serves every number of tokens. Plain C++20, shared by the
// compiler's packer, the kernels and their tests.
//
// The N rows of W[N, K] are cut into column segments (common/packing.h), each
// padded to units of 16 rows; 16-bit types only:
//
//   W[units][ceil(K / 64)][16 rows][64 k]
//
// so a unit is one contiguous stream of tiles of 2 KiB. Inside of a tile the
// 16-byte chunk c of row r lies at c xor (r mod 8), the 128-byte swizzle: eight
// rows' chunks of one k lie in different banks, and a tile is what wgmma's
// descriptors and tensor maps of that swizzle name.
//
// A segment with partners has 8 columns in a unit: their rows, then their
// partners', so that both values of a pair reach one thread (rows g and g + 8
// of an accumulator do).
#ifndef FDPP_KERNELS_COMMON_TILES_H
#define FDPP_KERNELS_COMMON_TILES_H

#include "kernels/common/packing.h"

namespace fdpp {

/// Rows of W in a tile, and elements of k in its rows.
inline constexpr int tile_rows = 16, tile_k = 64;
/// Most tokens that a block of threads multiplies with its tiles.
inline constexpr int most_block_tokens = 64;

/// Columns that a unit holds.
constexpr int unit_width(Partner partner) {
  return partner == Partner::none ? tile_rows : tile_rows / 2;
}

constexpr int tile_units(const ColumnSegment &segment) {
  int width = unit_width(segment.partner);
  if (segment.partner == Partner::half)
    return segment.columns / segment.group *
           ((segment.group / 2 + width - 1) / width);
  return (segment.columns + width - 1) / width;
}

/// The epilogue's first column of a unit, and how many are real. The partner of
/// a `half` column stands group / 2 further.
constexpr UnitColumns tile_columns(const ColumnSegment &segment, int unit) {
  int width = unit_width(segment.partner);
  int first = unit * width, end = segment.columns;
  if (segment.partner == Partner::half) {
    int half = segment.group / 2, chunks = (half + width - 1) / width;
    int base = unit / chunks * segment.group;
    first = base + unit % chunks * width;
    end = base + half;
  }
  return {first, end - first < width ? end - first : width};
}

/// The row of the segment's unpacked weight that packed row `row` (counted from
/// the segment's first unit) holds, or -1 for a row of zeros.
constexpr int tile_source_row(const ColumnSegment &segment, int row) {
  int width = unit_width(segment.partner), lane = row % width;
  UnitColumns columns = tile_columns(segment, row / tile_rows);
  if (lane >= columns.lanes)
    return -1;
  if (row % tile_rows < width)
    return columns.first + lane;
  return columns.first + lane +
         (segment.partner == Partner::half ? segment.group / 2
                                           : segment.columns);
}

/// Tiles that make up K.
constexpr int tiles_of(int k) { return (k + tile_k - 1) / tile_k; }

/// Elements of `units` packed units.
constexpr int64_t tile_elements(int units, int k) {
  return int64_t(units) * tile_rows * tiles_of(k) * tile_k;
}

/// Where element (packed row, column k) of a linear with K columns lies.
constexpr int64_t tile_index(int row, int k, int columns_k) {
  int lane = row % tile_rows, chunk = k % tile_k / 8;
  return (int64_t(row / tile_rows) * tiles_of(columns_k) + k / tile_k) *
             tile_rows * tile_k +
         lane * tile_k + (chunk ^ (lane & 7)) * 8 + k % 8;
}

} // namespace fdpp

#endif // FDPP_KERNELS_COMMON_TILES_H
