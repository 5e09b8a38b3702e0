// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What becomes of a linear's sums: the emitted epilogue of each column segment
// is called with every value, one at a time or with neighbouring columns.
#ifndef FDPP_KERNELS_CUDA_EPILOGUES_H
#define FDPP_KERNELS_CUDA_EPILOGUES_H

#include "kernels/common/tiles.h"
#include "kernels/cuda/cache.h"
#include "kernels/cuda/ptx.h"

namespace fdpp::cuda {

using fdpp::Partner;

template <class Epilogue> constexpr ColumnSegment segment_of() {
  ColumnSegment segment{Epilogue::partner, Epilogue::columns, 0};
  if constexpr (Epilogue::partner == Partner::half)
    segment.group = Epilogue::group;
  return segment;
}

/// Units of a linear with these epilogues.
template <class... Epilogues> constexpr int units_of() {
  return (0 + ... + tile_units(segment_of<Epilogues>()));
}

/// The epilogue of a unit, over its sums[16 rows][stride], by `Threads` threads
/// of which this is number `thread`.
template <int Threads, class Epilogue>
__device__ void run_unit(const Epilogue &epilogue, int thread, int unit,
                         int first, int tokens, const float *sums, int stride) {
  constexpr ColumnSegment segment = segment_of<Epilogue>();
  constexpr int width = unit_width(Epilogue::partner);
  const UnitColumns at = tile_columns(segment, unit);
  for (int i = thread; i < width * tokens; i += Threads) {
    const int row = i % width, token = i / width;
    if (row >= at.lanes)
      continue;
    const float value = sums[row * stride + token];
    const float partner = sums[(row + tile_rows - width) * stride + token];
    epilogue(value, partner, first + token, at.first + row, 1);
  }
}

/// True if a segment's columns go by eights: so do its rows in memory then.
constexpr bool goes_by_eight(const ColumnSegment &segment) {
  return segment.columns % 8 == 0 &&
         (segment.partner != Partner::half || segment.group % 16 == 0);
}

/// The same by one warp, a token a thread, which gives `Width` columns of it at
/// once.
template <int Width, class Epilogue>
__device__ void run_columns(const Epilogue &epilogue, int token, int column,
                            const float *sums, int stride) {
  constexpr int partner = tile_rows - unit_width(Epilogue::partner);
  const int lane = thread_index() % warp_size;
  epilogue(each_column<Width>([&](int i) { return sums[i * stride + lane]; }),
           each_column<Width>(
               [&](int i) { return sums[(i + partner) * stride + lane]; }),
           token, column, Lanes<Width>());
}
template <class Epilogue>
__device__ void run_unit_by_columns(const Epilogue &epilogue, int unit,
                                    int first, int tokens, const float *sums,
                                    int stride) {
  constexpr ColumnSegment segment = segment_of<Epilogue>();
  const int lane = thread_index() % warp_size;
  if constexpr (goes_by_eight(segment)) {
    const UnitColumns at = tile_columns(segment, unit);
    if (lane >= tokens || at.lanes == 0)
      return;
    if (at.lanes == 16)
      run_columns<unit_width(Epilogue::partner)>(epilogue, first + lane,
                                                 at.first, sums, stride);
    else
      run_columns<8>(epilogue, first + lane, at.first, sums, stride);
  } else {
    run_unit<warp_size>(epilogue, lane, unit, first, tokens, sums, stride);
  }
}

/// use(epilogue, unit of its segment) for the epilogue that the unit is of; a
/// unit behind the last has none.
template <class Use, class Epilogue, class... Rest>
__device__ void with_epilogue(int unit, const Use &use,
                              const Epilogue &epilogue, const Rest &...rest) {
  constexpr int units = tile_units(segment_of<Epilogue>());
  if (unit < units)
    return use(epilogue, unit);
  if constexpr (sizeof...(Rest) > 0)
    with_epilogue(unit - units, use, rest...);
}

/// The epilogue of a unit of a linear, by `Threads` threads.
template <int Threads, class... Epilogues>
__device__ void run_epilogues(int thread, int unit, int first, int tokens,
                              const float *sums, int stride,
                              const Epilogues &...epilogues) {
  with_epilogue(
      unit,
      [&](const auto &epilogue, int unit) {
        run_unit<Threads>(epilogue, thread, unit, first, tokens, sums, stride);
      },
      epilogues...);
}

/// The same by one warp, at most 32 tokens.
template <class... Epilogues>
__device__ void run_epilogues_by_columns(int unit, int first, int tokens,
                                         const float *sums, int stride,
                                         const Epilogues &...epilogues) {
  with_epilogue(
      unit,
      [&](const auto &epilogue, int unit) {
        run_unit_by_columns(epilogue, unit, first, tokens, sums, stride);
      },
      epilogues...);
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_EPILOGUES_H
