// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A linear as three kernels, the middle one a BLAS library's:
//
//   prologue      rows[T][K] = round(norm(x)), f32
//   library_gemm  sums[T][panels * 16] = rows . W^T, by the library's sgemm
//   epilogue      each segment's epilogue over its columns of the sums
//
// The library reads plain f32 matrices, so every call unpacks the weights: a
// thread takes a block of its panels after the other, as much as its L2 cache
// holds. The library must compute on the thread that calls it, and may be
// called by several at a time.
#ifndef FDPP_KERNELS_CPU_LIBRARY_H
#define FDPP_KERNELS_CPU_LIBRARY_H

#include "fdpp-runtime/model_abi.h"
#include "kernels/common/scratch.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/prologue.h"
#include "kernels/cpu/team.h"

namespace fdpp::cpu {

/// rows[token][k], rounded to the weights' type E but stored in f32.
template <class E, class Prologue>
void prologue(Team &team, int tokens, const Prologue &from, float *rows) {
  const int k = from.columns;
  Range mine = team.share(tokens);
  for (int row = mine.begin; row < mine.end; ++row) {
    auto state = from.begin(row);
    for_each_chunk(k, [&](int at, int count) FDPP_INLINE_LAMBDA {
      store(rows + int64_t(row) * k + at,
            round_to<E>(from.chunk(row, state, at, count)), count);
    });
  }
  team.barrier();
}

/// Columns [begin, begin + depth) of `panels` panels as a plain matrix:
/// block[k][panel][16], a row of which is library_block_columns long.
/// `begin` is even.
template <class E>
FDPP_NOINLINE void unpack(const E *weights, int64_t panel, int panels,
                          int begin, int depth, float *block) {
  constexpr int pack_elements = panel_rows * k_pack<E>;
  constexpr int64_t row = library_block_columns;
  for (int p = 0; p < panels; ++p) {
    const E *from = weights + p * panel + begin / k_pack<E> * pack_elements;
    float *to = block + p * panel_rows;
    if constexpr (k_pack<E> == 2) {
      for (int k = 0; k + 2 <= depth; k += 2, from += pack_elements) {
        auto pairs = load_pairs(from);
        store(to + k * row, even(pairs), lanes);
        store(to + (k + 1) * row, odd(pairs), lanes);
      }
      if (depth % 2 != 0)
        store(to + (depth - 1) * row, even(load_pairs(from)), lanes);
    } else {
      for (int k = 0; k < depth; ++k, from += pack_elements)
        store(to + k * row, load(from), lanes);
    }
  }
}

/// sums[token][column], the columns in the order of the packed rows of W,
/// `panels` * 16 of them. `scratch`: library_scratch_bytes(threads) bytes.
template <class E>
void library_gemm_by(int k, int panels, Team &team, fdpp_sgemm_fn sgemm,
                     int tokens, const float *rows, const E *weights,
                     void *scratch, float *sums) {
  if (tokens == 0) // a step may want no logits at all
    return;
  const int64_t panel = packed_elements<E>(1, k);
  const int columns = panels * panel_rows;
  constexpr int most = library_block_columns / panel_rows;
  float *block = static_cast<float *>(scratch) + int64_t(team.index) *
                                                     library_block_columns *
                                                     library_block_depth;
  Range mine = team.share(panels);
  for (int first = mine.begin; first < mine.end; first += most) {
    const int count = mine.end - first < most ? mine.end - first : most;
    for (int begin = 0; begin < k; begin += library_block_depth) {
      const int left = k - begin;
      const int depth = left < library_block_depth ? left : library_block_depth;
      unpack<E>(weights + first * panel, panel, count, begin, depth, block);
      sgemm(FDPP_ROW_MAJOR, FDPP_NO_TRANSPOSE, FDPP_NO_TRANSPOSE, tokens,
            count * panel_rows, depth, 1.0f, rows + begin, k, block,
            library_block_columns, begin == 0 ? 0.0f : 1.0f,
            sums + first * panel_rows, columns);
    }
  }
  team.barrier();
}

/// The same for K and a number of columns known to the compiler.
template <int K, int Columns, class E>
void library_gemm(Team &team, fdpp_sgemm_fn sgemm, int tokens,
                  const float *rows, const E *weights, void *scratch,
                  float *sums) {
  static_assert(Columns % panel_rows == 0);
  library_gemm_by(K, Columns / panel_rows, team, sgemm, tokens, rows, weights,
                  scratch, sums);
}

/// The epilogues over all their columns of the sums.
template <class... Epilogues>
void epilogue(Team &team, int tokens, const float *sums,
              const Epilogues &...epilogues) {
  const int64_t row_values =
      (0 + ... + segment_panels(segment_of(epilogues))) * panel_rows;
  Range mine = team.share(tokens);
  for (int row = mine.begin; row < mine.end; ++row) {
    const float *from = sums + row * row_values;
    auto run = [&](const auto &epilogue) FDPP_INLINE_LAMBDA {
      const ColumnSegment segment = segment_of(epilogue);
      constexpr int per_unit =
          panels_per_unit(std::remove_cvref_t<decltype(epilogue)>::partner);
      for (int u = 0; u < segment_units(segment); ++u) {
        UnitColumns at = unit_columns(segment, u);
        const float *partner = from + (per_unit - 1) * panel_rows;
        epilogue(load(from), load(partner), row, at.first, at.lanes);
        from += per_unit * panel_rows;
      }
    };
    (run(epilogues), ...);
  }
  team.barrier();
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_LIBRARY_H
