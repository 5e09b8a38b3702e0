// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of a prompt's tokens by mma.m16n8k16 (as FlashAttention-2 does it,
// Dao, arXiv 2307.08691). A block of threads takes the query heads of one KV
// head and as many neighbouring tokens as give 64 or 128 rows, 16 or 32 for
// each of its four warps: 128 read shared memory half as often, 64 are twice as
// many blocks. Keys and values come through shared memory, 64 slots at a time,
// while the 64 before are multiplied. Weights are rounded to the cache's type
// before they are added up and multiplied.
#ifndef FDPP_KERNELS_CUDA_MATRIX_PREFILL_H
#define FDPP_KERNELS_CUDA_MATRIX_PREFILL_H

#include "kernels/cuda/attention.h"

namespace fdpp::cuda {

/// By warps of `Tiles` times 16 rows.
template <class Softmax, class Call, int Tiles> class MatrixPrefill {
  using E = typename Call::cache_type::element;
  static constexpr int dims = Call::head_dim, group = Call::group;
  static constexpr int warps = 4, tiles = Tiles;
  static constexpr int rows = warps * tiles * 16, slots = 64;
  /// Bytes of a row in shared memory, in chunks of 16.
  static constexpr int pitch = (dims + 63) / 64 * 128;
  static constexpr int plane_bytes = slots * pitch;

public:
  static constexpr int threads = warps * warp_size;
  static constexpr int tokens = rows / (group < rows ? group : rows);
  static constexpr int shared_bytes = rows * pitch + 4 * plane_bytes;
  /// Whether there is such an mma, with weights as the policy wants them.
  static constexpr bool possible = sizeof(E) == 2 && dims % 32 == 0 &&
                                   dims <= 128 && group <= rows &&
                                   keeps<Softmax, E>;
  /// Blocks of tokens, at most.
  static int blocks(const Call &call) {
    return (call.batch.tokens + tokens - 1) / tokens + call.batch.sequences;
  }

  /// Block number `block` of tokens, the last ones of a sequence first: they
  /// see most.
  __device__ MatrixPrefill(const Call &call, int kv, int block, char *memory)
      : call(call), kv(kv), memory(memory) {
    for (sequence = 0; sequence < call.batch.sequences; ++sequence) {
      const int begin = call.batch.seq_offsets[sequence];
      const int end = call.batch.seq_offsets[sequence + 1];
      const int all = (end - begin + tokens - 1) / tokens;
      if (block < all) {
        first = begin + (all - 1 - block) * tokens;
        count = end - first < tokens ? end - first : tokens;
        return;
      }
      block -= all;
    }
  }

  __device__ void run() {
    if (count == 0 || !is_wanted())
      return;
    read_queries();
    const int begin = call.visible(sequence, first).x / slots * slots;
    const int end = call.visible(sequence, first + count - 1).y;
    fetch(begin, end, 0);
    RowState state[tiles][2];
    Numerators numerators[tiles] = {};
    start(state);
    int stage = 0;
    for (int base = begin; base < end; base += slots, stage ^= 1) {
      if (base + slots < end) {
        fetch(base + slots, end, stage ^ 1);
        wait_for_copies<1>();
      } else {
        wait_for_copies<0>();
      }
      __syncthreads();
      add(base, stage, state, numerators);
      __syncthreads(); // the stage may be written again
    }
    finish(state, numerators);
  }

private:
  struct RowState {
    float maximum; // of logits times log2(e)
    bool fixed;
    int begin, last; // slots that the row sees; begin > last: none
  };
  /// Of 16 rows; behind the values, a column of ones, so that sums of the
  /// weights are another of the mma's.
  using Numerators = float[dims / 8 + 1][4];
  static constexpr float log2_e = 1.4426950408889634f;

  /// Where chunk `c` of a row lies: the same chunk of eight rows, and chunks 0
  /// to 3 of two, in different banks.
  __device__ static int chunk_offset(int row, int c) {
    return row * pitch + (c ^ ((row & 1) << 2 | (row >> 1 & 3))) * 16;
  }
  __device__ char *plane(int stage, int value) const {
    return memory + rows * pitch + (2 * stage + value) * plane_bytes;
  }
  __device__ int token_of(int row) const { return first + row / group; }
  __device__ int head_of(int row) const { return kv * group + row % group; }
  __device__ bool is_real(int row) const { return row < count * group; }
  /// The row of the results.
  __device__ int64_t result_of(int row) const {
    return int64_t(token_of(row)) * Call::query_heads + head_of(row);
  }
  __device__ static int row_of(int tile, int half) {
    const int warp = thread_index() / warp_size;
    return (warp * tiles + tile) * 16 + half * 8 +
           thread_index() % warp_size / 4;
  }

  __device__ bool is_wanted() const {
    if (!call.only)
      return true;
    bool any = false;
    for (int row = thread_index(); row < rows; row += threads)
      any |= is_real(row) && call.only[result_of(row)] != 0;
    return __syncthreads_or(any);
  }

  __device__ void read_queries() {
    for (int i = thread_index(); i < rows * (dims / 8); i += threads) {
      const int row = i / (dims / 8), chunk = i % (dims / 8);
      uint4 packed = {};
      if (is_real(row)) {
        const Columns<8> part =
            load(call.query + result_of(row) * dims + chunk * 8, Lanes<8>());
        packed = {
            pack<E>(part.of[0], part.of[1]), pack<E>(part.of[2], part.of[3]),
            pack<E>(part.of[4], part.of[5]), pack<E>(part.of[6], part.of[7])};
      }
      *reinterpret_cast<uint4 *>(memory + chunk_offset(row, chunk)) = packed;
    }
  }

  /// Begins to copy the slots from `base` on; zeros from `end` on.
  __device__ void fetch(int base, int end, int stage) {
    for (int i = thread_index(); i < slots * (dims / 8); i += threads) {
      const int slot = i / (dims / 8), chunk = i % (dims / 8);
      const bool real = base + slot < end;
      const E *key =
          call.key_of(sequence, real ? base + slot : base, kv) + chunk * 8;
      const int at = chunk_offset(slot, chunk);
      copy_chunk(plane(stage, 0) + at, key, real);
      copy_chunk(plane(stage, 1) + at, key + Call::cache_type::to_values, real);
    }
    end_copies();
  }

  __device__ void start(RowState (&state)[tiles][2]) const {
#pragma unroll
    for (int m = 0; m < tiles; ++m)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int row = row_of(m, h);
        const bool real = is_real(row);
        const float phi = real ? call.phi_of(head_of(row)) : 0.0f;
        RowState &one = state[m][h];
        one.fixed = Softmax::async && phi == phi;
        one.maximum = one.fixed ? phi * log2_e : -__int_as_float(0x7f800000);
        const int2 seen =
            real ? call.visible(sequence, token_of(row)) : int2{1, 1};
        one.begin = seen.x;
        one.last = seen.y - 1;
      }
  }

  /// Adds 64 slots: logits, their weights, and these times the values.
  __device__ void add(int base, int stage, RowState (&state)[tiles][2],
                      Numerators (&numerators)[tiles]) const {
    const int lane = thread_index() % warp_size, g = lane / 4, t = lane % 4;
    float logits[tiles][slots / 8][4] = {};
    const char *keys = plane(stage, 0);
#pragma unroll
    for (int part = 0; part < dims / 32; ++part) {
      uint4 query[tiles][2];
#pragma unroll
      for (int m = 0; m < tiles; ++m)
#pragma unroll
        for (int h = 0; h < 2; ++h)
          query[m][h] = *reinterpret_cast<const uint4 *>(
              memory + chunk_offset(row_of(m, h), part * 4 + t));
#pragma unroll
      for (int n = 0; n < slots / 8; ++n) {
        const uint4 key = *reinterpret_cast<const uint4 *>(
            keys + chunk_offset(n * 8 + g, part * 4 + t));
#pragma unroll
        for (int m = 0; m < tiles; ++m) {
          const uint4 &a = query[m][0], &b = query[m][1];
          mma<E>(logits[m][n], {a.x, b.x, a.y, b.y}, key.x, key.y);
          mma<E>(logits[m][n], {a.z, b.z, a.w, b.w}, key.z, key.w);
        }
      }
    }
    uint32_t weights[tiles][slots / 8][2]; // of rows g and g + 8
#pragma unroll
    for (int m = 0; m < tiles; ++m)
#pragma unroll
      for (int h = 0; h < 2; ++h)
        weigh(base, h, state[m][h], logits[m], numerators[m], weights[m]);
    const uint32_t ones = pack<E>(1.0f, 1.0f);
    const char *values = plane(stage, 1);
#pragma unroll
    for (int k = 0; k < slots / 16; ++k) {
#pragma unroll
      for (int n = 0; n < dims / 8; n += 2) {
        uint32_t turned[4]; // slots 0-7 and 8-15 of 8 dimensions, of 8 more
        load_transposed(
            values + chunk_offset(k * 16 + lane % 16, n + lane / 16), turned);
#pragma unroll
        for (int m = 0; m < tiles; ++m) {
          const uint32_t (&of)[2] = weights[m][2 * k];
          const uint32_t (&more)[2] = weights[m][2 * k + 1];
          const uint32_t p[4] = {of[0], of[1], more[0], more[1]};
          mma<E>(numerators[m][n], p, turned[0], turned[1]);
          mma<E>(numerators[m][n + 1], p, turned[2], turned[3]);
          if (n == 0)
            mma<E>(numerators[m][dims / 8], p, ones, ones);
        }
      }
    }
  }

  /// Makes of a row's logits its weights.
  __device__ void weigh(int base, int half, RowState &state,
                        float (&logits)[slots / 8][4], Numerators &numerators,
                        uint32_t (&weights)[slots / 8][2]) const {
    const int t = thread_index() % 4;
    const float minus_infinity = -__int_as_float(0x7f800000);
    auto each = [&](auto f) {
#pragma unroll
      for (int n = 0; n < slots / 8; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i)
          f(logits[n][2 * half + i], base + n * 8 + 2 * t + i);
    };
    float scale = call.options.scale * log2_e;
    if (call.options.softcap != 0.0f) {
      each([&](float &x, int) { x = call.logit(x) * log2_e; });
      scale = 1.0f;
    }
    if (base < state.begin || base + slots - 1 > state.last)
      each([&](float &x, int slot) {
        if (slot < state.begin || slot > state.last)
          x = minus_infinity;
      });
    float origin = state.maximum;
    if (!state.fixed) {
      float most = minus_infinity;
      each([&](float &x, int) { most = fmaxf(most, x); });
      most = fmaxf(state.maximum, most * scale);
      origin = most;
    }
    // The four threads of a row that is fixed have the same already.
    origin = fmaxf(origin, __shfl_xor_sync(0xffffffffu, origin, 1));
    origin = fmaxf(origin, __shfl_xor_sync(0xffffffffu, origin, 2));
    const float most = origin;
    if (origin == minus_infinity)
      origin = 0.0f; // nothing seen yet: any finite number will do
    if (!state.fixed && most != state.maximum) {
      const float rescale = exp2_of(state.maximum - origin);
#pragma unroll
      for (int n = 0; n < dims / 8 + 1; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i)
          numerators[n][2 * half + i] *= rescale;
      state.maximum = most;
    }
#pragma unroll
    for (int n = 0; n < slots / 8; ++n)
      weights[n][half] =
          pack<E>(exp2_of(fmaf(logits[n][2 * half], scale, -origin)),
                  exp2_of(fmaf(logits[n][2 * half + 1], scale, -origin)));
  }

  /// Rows of results, each by the four threads that have it.
  __device__ void finish(RowState (&state)[tiles][2],
                         Numerators (&numerators)[tiles]) const {
    const int t = thread_index() % 4;
#pragma unroll
    for (int m = 0; m < tiles; ++m)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int row = row_of(m, h);
        const float denominator = numerators[m][dims / 8][2 * h];
        bool finite = true;
#pragma unroll
        for (int n = 0; n < dims / 8; ++n)
          finite &= isfinite(numerators[m][n][2 * h]) &&
                    isfinite(numerators[m][n][2 * h + 1]);
        for (int distance = 1; distance < 4; distance *= 2)
          finite &= __shfl_xor_sync(0xffffffffu, int(finite), distance) != 0;
        if (!is_real(row))
          continue;
        const int64_t result = result_of(row);
        if (call.only && call.only[result] == 0)
          continue;
        const float scale = denominator == 0.0f ? 0.0f : 1.0f / denominator;
#pragma unroll
        for (int n = 0; n < dims / 8; ++n)
          store_vector(call.out + result * dims + n * 8 + 2 * t,
                       {numerators[m][n][2 * h] * scale,
                        numerators[m][n][2 * h + 1] * scale});
        if (t == 0)
          note_row<Softmax>(call, result, state[m][h].fixed, denominator,
                            finite);
      }
  }

  const Call &call;
  const int kv;
  char *memory;
  int sequence = 0, first = 0, count = 0; // tokens of this block
};

/// Block (KV head, block of tokens).
template <class Softmax, int Tiles, class Call>
__global__ void __launch_bounds__(MatrixPrefill<Softmax, Call, Tiles>::threads,
                                  2) matrix_prefill_kernel(Call call) {
  wait_for_kernel_before();
  MatrixPrefill<Softmax, Call, Tiles>(call, int(blockIdx.x), int(blockIdx.y),
                                      dynamic_shared())
      .run();
}

template <class Softmax, int Tiles, class Call>
void launch_matrix_prefill(Stream &stream, const Call &call) {
  using Matrix = MatrixPrefill<Softmax, Call, Tiles>;
  stream.launch_with_shared(
      matrix_prefill_kernel<Softmax, Tiles, Call>,
      dim3(Call::kv_heads, unsigned(Matrix::blocks(call))), Matrix::threads,
      Matrix::shared_bytes, call);
}

/// Blocks that keep a large device busy, two for each processor.
inline constexpr int enough_blocks = 264;

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_MATRIX_PREFILL_H
