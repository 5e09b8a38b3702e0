// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "support.h"

#include <gtest/gtest.h>

#include <set>

using namespace fdpp;

namespace {

const ColumnSegment all_segments[] = {
    {Partner::none, 1, 0},     {Partner::none, 16, 0},
    {Partner::none, 37, 0},    {Partner::half, 128, 64},
    {Partner::half, 72, 24},   {Partner::half, 6, 2},
    {Partner::half, 160, 80},  {Partner::gate_up, 32, 0},
    {Partner::gate_up, 21, 0}, {Partner::gate_up, 1, 0},
};

TEST(Packing, EveryRowHasOnePlace) {
  for (const ColumnSegment &segment : all_segments) {
    std::set<int> seen;
    int rows = segment_panels(segment) * panel_rows;
    for (int p = 0; p < rows; ++p) {
      int source = source_row(segment, p);
      if (source < 0)
        continue;
      EXPECT_LT(source, source_rows(segment));
      EXPECT_TRUE(seen.insert(source).second) << source;
      EXPECT_EQ(p, packed_row(segment, source));
    }
    EXPECT_EQ(source_rows(segment), int(seen.size()));
  }
}

TEST(Packing, PartnersShareAUnitAndALane) {
  for (const ColumnSegment &segment : all_segments) {
    if (segment.partner == Partner::none)
      continue;
    int apart =
        segment.partner == Partner::half ? segment.group / 2 : segment.columns;
    for (int unit = 0; unit < segment_units(segment); ++unit) {
      UnitColumns at = unit_columns(segment, unit);
      for (int lane = 0; lane < panel_rows; ++lane) {
        int row = unit * 2 * panel_rows + lane;
        if (lane >= at.lanes) {
          EXPECT_EQ(-1, source_row(segment, row));
          EXPECT_EQ(-1, source_row(segment, row + panel_rows));
          continue;
        }
        EXPECT_EQ(at.first + lane, source_row(segment, row));
        EXPECT_EQ(at.first + lane + apart,
                  source_row(segment, row + panel_rows));
      }
    }
  }
}

template <class E> void expect_dense(int k) {
  std::set<int64_t> seen;
  for (int row = 0; row < 3 * panel_rows; ++row)
    for (int i = 0; i < packed_k<E>(k); ++i)
      EXPECT_TRUE(seen.insert(packed_index<E>(row, i, k)).second);
  EXPECT_EQ((packed_elements<E>(3, k)), int64_t(seen.size()));
  EXPECT_EQ(0, *seen.begin());
  EXPECT_EQ((packed_elements<E>(3, k)) - 1, *seen.rbegin());
}

TEST(Packing, IndicesAreDense) {
  for (int k : {1, 2, 7, 64}) {
    expect_dense<float>(k);
    expect_dense<f16>(k);
    expect_dense<bf16>(k);
  }
}

TEST(Packing, SixtyFourBytesAreSixteenRows) {
  // The documented orders, spelled out once.
  EXPECT_EQ(1, (packed_index<bf16>(0, 1, 8)));
  EXPECT_EQ(2, (packed_index<bf16>(1, 0, 8)));
  EXPECT_EQ(32, (packed_index<bf16>(0, 2, 8)));
  EXPECT_EQ(16, (packed_index<float>(0, 1, 8)));
  EXPECT_EQ(1, (packed_index<f16>(1, 0, 8)));
  EXPECT_EQ(16 * 8, (packed_index<f16>(16, 0, 8)));
}

} // namespace
