// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A warp's part of decode attention by mma.m16n8k16, 16 slots at a time. Keys
// and values are the wide operand and up to 8 query heads the narrow one:
//
//   S^T[16 slots, 8 heads] = K[16, dims] . Q^T[dims, 8]
//   O^T[dims, 8 heads]    += V^T[dims, 16 slots] . P^T[16, 8]
//
// Keys are read as weights are (linear.h): a thread's 16 bytes of a row are its
// elements of two mma. Values are read alike, and movmatrix turns eight slots
// by eight dimensions around in registers, as it does weights. These are
// rounded to the cache's type before they are added up and multiplied.
#ifndef FDPP_KERNELS_CUDA_MATRIX_ROWS_H
#define FDPP_KERNELS_CUDA_MATRIX_ROWS_H

#include "kernels/cuda/attention.h"

namespace fdpp::cuda {

/// At most `Rows` rows of an AttentionCall.
template <class Softmax, class Call, int Rows> class MatrixRows {
  using E = typename Call::cache_type::element;
  static constexpr int dims = Call::head_dim;
  // 16-byte parts of a row that a thread has; where `possible` is not, any.
  static constexpr int parts = dims < 32 ? 1 : dims / 32;
  static_assert(Rows <= 8);

public:
  static constexpr int slots_at_a_time = 16;

  /// Whether there is such an mma, with weights as the policy wants them.
  static constexpr bool possible =
      sizeof(E) == 2 && dims % 32 == 0 && dims <= 128 && keeps<Softmax, E>;

  /// A thread's parts of two of them, slots g and g + 8: where they lie, null
  /// where there is none, and what is there.
  struct Slots {
    const E *places[2];
    uint4 keys[parts][2], values[parts][2];
  };

  /// Finds the slots from `base` on of a sequence and KV head.
  __device__ static void find(const Call &call, int s, int kv, int base,
                              int end, Slots &slots) {
    find_places(call, s, kv, base, end, slots.places);
  }
  /// Reads those of them that lie in [from, to).
  __device__ static void read(int base, int from, int to, Slots &slots) {
    const int g = thread_index() % warp_size / 4;
#pragma unroll
    for (int i = 0; i < 2; ++i)
      if (const int slot = base + g + 8 * i;
          slots.places[i] && slot >= from && slot < to)
#pragma unroll
        for (int j = 0; j < parts; ++j) {
          const E *at = slots.places[i] + j * 32;
          slots.keys[j][i] = *reinterpret_cast<const uint4 *>(at);
          slots.values[j][i] = *reinterpret_cast<const uint4 *>(
              at + Call::cache_type::to_values);
        }
  }

  /// Adds the slots from `base` on that lie in front of `end`, and reads those
  /// that lie `step` further meanwhile.
  __device__ void advance(const Call &call, int s, int kv, int base, int step,
                          int end, Slots &slots) {
    if constexpr (parts <= 2) {
      Slots now = slots;
      find(call, s, kv, base + step, end, slots);
      read(base + step, 0, end, slots);
      add_values(weigh(call, base, end, now), now);
    } else {
      // In place: registers for both would be too many.
      const E *next[2];
      find_places(call, s, kv, base + step, end, next);
      const Weights weights = weigh(call, base, end, slots);
      read_rows(next, 0, slots.keys);
      add_values(weights, slots);
      read_rows(next, Call::cache_type::to_values, slots.values);
      slots.places[0] = next[0];
      slots.places[1] = next[1];
    }
  }

  /// Begins with `count` rows from `row` on, of the query heads from `head` on.
  __device__ MatrixRows(const Call &call, int64_t row, int head, int count) {
    const int lane = thread_index() % warp_size, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int j = 0; j < parts; ++j) {
      uint32_t pairs[4] = {};
      if (g < count)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float part[4];
          load_vector(call.query + (row + g) * dims + j * 32 + t * 8 + half * 4,
                      part);
          // Rounded to the cache's type, as on every target.
          pairs[2 * half] = pack<E>(part[0], part[1]);
          pairs[2 * half + 1] = pack<E>(part[2], part[3]);
        }
      query[j] = {pairs[0], pairs[1], pairs[2], pairs[3]};
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float phi =
          2 * t + i < count ? call.phi_of(head + 2 * t + i) : 0.0f;
      fixed[i] = Softmax::async && phi == phi;
      maximum[i] = fixed[i] ? phi : -__int_as_float(0x7f800000);
    }
  }

  /// Writes numerators, denominator and maximum of each row.
  __device__ void finish(int count, float (*to)[partial_floats(dims)]) {
    const int lane = thread_index() % warp_size, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float all = sum[h];
      for (int distance = 4; distance < warp_size; distance *= 2)
        all += __shfl_xor_sync(0xffffffffu, all, distance);
      if (2 * t + h >= count)
        continue;
      float *row = to[2 * t + h];
#pragma unroll
      for (int m = 0; m < dims / 16; ++m)
#pragma unroll
        for (int i = 0; i < 2; ++i)
          // The dimension that row g of the turned pairs was.
          row[m / 2 * 32 + g / 2 * 8 + m % 2 * 4 + i * 2 + g % 2] =
              numerators[m][2 * i + h];
      if (g == 0) {
        row[dims] = all;
        row[dims + 1] = maximum[h];
      }
    }
  }

private:
  /// Weights of 16 slots as the narrow operand, and what they make of sums so
  /// far.
  struct Weights {
    uint32_t p[2];
    float scale[2];
  };

  __device__ static void find_places(const Call &call, int s, int kv, int base,
                                     int end, const E *(&places)[2]) {
    const int lane = thread_index() % warp_size;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int slot = base + lane / 4 + 8 * i;
      places[i] =
          slot < end ? call.key_of(s, slot, kv) + lane % 4 * 8 : nullptr;
    }
  }
  __device__ static void read_rows(const E *const (&places)[2], int64_t further,
                                   uint4 (&rows)[parts][2]) {
#pragma unroll
    for (int i = 0; i < 2; ++i)
      if (places[i])
#pragma unroll
        for (int j = 0; j < parts; ++j)
          rows[j][i] =
              *reinterpret_cast<const uint4 *>(places[i] + further + j * 32);
  }

  /// The weights of the slots from `base` on that lie in front of `end`.
  __device__ Weights weigh(const Call &call, int base, int end, Slots &slots) {
    const int g = thread_index() % warp_size / 4;
    float weights[4] = {}; // [slot g, g + 8][head 2t, 2t + 1]
#pragma unroll
    for (int j = 0; j < parts; ++j) {
#pragma unroll
      for (int i = 0; i < 2; ++i)
        if (!slots.places[i])
          slots.keys[j][i] = {};
      const uint4 &a = slots.keys[j][0], &b = slots.keys[j][1];
      mma<E>(weights, {a.x, b.x, a.y, b.y}, query[j].x, query[j].y);
      mma<E>(weights, {a.z, b.z, a.w, b.w}, query[j].z, query[j].w);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i)
      weights[i] = call.logit(weights[i]);
    const bool visible[2] = {base + g < end, base + g + 8 < end};
    Weights result;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float most = maximum[h];
      if (!fixed[h]) {
        most = visible[0] ? fmaxf(most, weights[h]) : most;
        most = visible[1] ? fmaxf(most, weights[2 + h]) : most;
      }
      for (int distance = 4; distance < warp_size; distance *= 2)
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, distance));
      result.scale[h] =
          maximum[h] == most ? 1.0f : shifted_exp(maximum[h] - most);
      maximum[h] = most;
      sum[h] *= result.scale[h];
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float w = shifted_exp(weights[i] - maximum[i % 2]);
      weights[i] = visible[i / 2] ? widen(narrow<E>(w)) : 0.0f;
      sum[i % 2] += weights[i];
    }
    for (int i = 0; i < 2; ++i)
      result.p[i] = transpose(pack<E>(weights[2 * i], weights[2 * i + 1]));
    return result;
  }

  __device__ void add_values(const Weights &weights, Slots &slots) {
#pragma unroll
    for (int m = 0; m < dims / 16; ++m) {
#pragma unroll
      for (int i = 0; i < 2; ++i)
        if (!slots.places[i])
          slots.values[m / 2][i] = {};
      const uint4 &a = slots.values[m / 2][0], &b = slots.values[m / 2][1];
      const uint32_t turned[4] = {
          transpose(m % 2 ? a.z : a.x), transpose(m % 2 ? a.w : a.y),
          transpose(m % 2 ? b.z : b.x), transpose(m % 2 ? b.w : b.y)};
#pragma unroll
      for (int i = 0; i < 4; ++i)
        numerators[m][i] *= weights.scale[i % 2];
      mma<E>(numerators[m], turned, weights.p[0], weights.p[1]);
    }
  }

  uint4 query[parts];                  // of head g
  float numerators[dims / 16][4] = {}; // [dimension][head 2t, 2t + 1]
  float sum[2] = {}, maximum[2];       // of heads 2t and 2t + 1
  bool fixed[2];
};

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_MATRIX_ROWS_H
