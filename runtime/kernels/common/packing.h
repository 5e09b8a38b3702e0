// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How the weights of a linear lie in memory, in one copy that serves every
// number of tokens. Plain C++20, shared by the compiler's packer, the kernels
// and their tests.
//
// A linear is y[T, N] = x[T, K] . W[N, K]^T. Its N rows are cut into column
// segments, one per epilogue, each padded to whole panels of 16 rows:
//
//   f32, f16   W[panels][K][16]
//   bf16       W[panels][ceil(K / 2)][16][2]      an odd K gets a zero column
//
// so a panel is one contiguous stream and 64 bytes are 16 rows of one k (f32),
// of two k (f16) or of one k pair (bf16, the shape vdpbf16ps wants).
//
// Where an epilogue needs two values at once, its rows are permuted so that
// both lie in neighbouring panels and reach the same thread in registers:
//
//   none      rows in order
//   half      rotary halves: of each `group` rows (a head), chunk j of 16 rows
//             of the first half is a panel, and the rows group / 2 further are
//             the next one
//   gate_up   2 * columns rows, all gates and then all ups: 16 gate rows are a
//             panel, the 16 up rows of the same columns are the next one
#ifndef FDPP_KERNELS_COMMON_PACKING_H
#define FDPP_KERNELS_COMMON_PACKING_H

#include "kernels/common/types.h"

#include <cstdint>

namespace fdpp {

/// Rows of W that lie side by side in a panel.
inline constexpr int panel_rows = 16;

/// Which second value an epilogue is given.
enum class Partner { none, half, gate_up };

/// Rows of W that one epilogue consumes. `columns` counts what the epilogue
/// sees: source rows for none and half, pairs of them for gate_up. `group` is
/// the head dimension (even) for half and unused otherwise.
struct ColumnSegment {
  Partner partner = Partner::none;
  int columns = 0;
  int group = 0;
};

constexpr int panels_of(int rows) {
  return (rows + panel_rows - 1) / panel_rows;
}

/// Panels that are computed together: a lone panel or a pair of partners.
constexpr int panels_per_unit(Partner partner) {
  return partner == Partner::none ? 1 : 2;
}

/// Rows of the unpacked weight that belong to the segment.
constexpr int source_rows(const ColumnSegment &segment) {
  return segment.partner == Partner::gate_up ? 2 * segment.columns
                                             : segment.columns;
}

/// Units (see panels_per_unit) in the segment.
constexpr int segment_units(const ColumnSegment &segment) {
  if (segment.partner != Partner::half)
    return panels_of(segment.columns);
  return segment.columns / segment.group * panels_of(segment.group / 2);
}

constexpr int segment_panels(const ColumnSegment &segment) {
  return segment_units(segment) * panels_per_unit(segment.partner);
}

/// What a unit holds: the epilogue's first column and how many of the 16 lanes
/// are real. The partner of a `half` column stands group / 2 further.
struct UnitColumns {
  int first;
  int lanes;
};

constexpr UnitColumns unit_columns(const ColumnSegment &segment, int unit) {
  int first = unit * panel_rows, end = segment.columns;
  if (segment.partner == Partner::half) {
    int half = segment.group / 2, chunks = panels_of(half);
    int base = unit / chunks * segment.group;
    first = base + unit % chunks * panel_rows;
    end = base + half;
  }
  return {first, end - first < panel_rows ? end - first : panel_rows};
}

/// The row of the segment's unpacked weight that packed row `panel_row`
/// (counted from the segment's first panel) holds, or -1 for a row of zeros.
constexpr int source_row(const ColumnSegment &segment, int panel_row) {
  int panel = panel_row / panel_rows, lane = panel_row % panel_rows;
  int per_unit = panels_per_unit(segment.partner);
  UnitColumns columns = unit_columns(segment, panel / per_unit);
  if (lane >= columns.lanes)
    return -1;
  int row = columns.first + lane;
  if (panel % per_unit == 0)
    return row;
  return row + (segment.partner == Partner::half ? segment.group / 2
                                                 : segment.columns);
}

/// The inverse of source_row.
constexpr int packed_row(const ColumnSegment &segment, int row) {
  if (segment.partner == Partner::none)
    return row;
  int second = 0, unit = 0, lane = 0;
  if (segment.partner == Partner::gate_up) {
    second = row >= segment.columns;
    int column = row - second * segment.columns;
    unit = column / panel_rows;
    lane = column % panel_rows;
  } else {
    int half = segment.group / 2, within = row % segment.group;
    second = within >= half;
    int dim = within - second * half;
    unit = row / segment.group * panels_of(half) + dim / panel_rows;
    lane = dim % panel_rows;
  }
  return (unit * 2 + second) * panel_rows + lane;
}

/// Elements of k that lie side by side for one row: 2 for bf16, else 1.
template <class E> inline constexpr int k_pack = 1;
template <> inline constexpr int k_pack<bf16> = 2;

/// K rounded up to whole packs.
template <class E> constexpr int packed_k(int k) {
  return (k + k_pack<E> - 1) / k_pack<E> * k_pack<E>;
}

/// Elements of `panels` packed panels.
template <class E> constexpr int64_t packed_elements(int panels, int k) {
  return int64_t(panels) * panel_rows * packed_k<E>(k);
}

/// Where element (panel_row, column k) of a linear with K columns lies;
/// panel_row counts from the linear's first panel.
template <class E>
constexpr int64_t packed_index(int panel_row, int k, int columns_k) {
  int64_t panel = panel_row / panel_rows;
  int lane = panel_row % panel_rows, pack = k_pack<E>;
  return panel * panel_rows * packed_k<E>(columns_k) +
         int64_t(k / pack) * panel_rows * pack + lane * pack + k % pack;
}

} // namespace fdpp

#endif // FDPP_KERNELS_COMMON_PACKING_H
