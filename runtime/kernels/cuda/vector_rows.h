// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A warp's part of decode attention: rows that read one KV head, over some of
// its slots. By vectors, for every type, size and policy: a few threads share a
// slot, 8 dimensions of its key and value each, so that a warp reads whole
// rows; each such group of threads has a running result of its own, and in the
// end these are combined.
#ifndef FDPP_KERNELS_CUDA_VECTOR_ROWS_H
#define FDPP_KERNELS_CUDA_VECTOR_ROWS_H

#include "kernels/cuda/attention.h"

namespace fdpp::cuda {

/// Eight neighbouring elements, as they lie in memory.
template <class E> struct StoredEight {
  uint4 words[sizeof(E) * 8 / 16];

  __device__ void load(const E *from) {
#pragma unroll
    for (unsigned i = 0; i < sizeof(E) * 8 / 16; ++i)
      words[i] = reinterpret_cast<const uint4 *>(from)[i];
  }
  __device__ void clear() {
#pragma unroll
    for (unsigned i = 0; i < sizeof(E) * 8 / 16; ++i)
      words[i] = {};
  }
  __device__ float at(int i) const {
    return widen(reinterpret_cast<const E *>(words)[i]);
  }
};

/// What a row's weights so far are relative to, and their sums.
template <int Dims> struct RunningRow {
  float maximum, sum, numerators[Dims];

  /// Makes the weights relative to `most`, at least the maximum.
  __device__ float rescale(float most) {
    const float scale = maximum == most ? 1.0f : shifted_exp(maximum - most);
    maximum = most;
    sum *= scale;
#pragma unroll
    for (int i = 0; i < Dims; ++i)
      numerators[i] *= scale;
    return scale;
  }
  /// Adds what the thread `distance` lanes away has.
  __device__ void add_from(int distance, bool fixed) {
    if (!fixed) {
      const float other = __shfl_xor_sync(0xffffffffu, maximum, distance);
      rescale(fmaxf(maximum, other));
    }
    sum += __shfl_xor_sync(0xffffffffu, sum, distance);
#pragma unroll
    for (int i = 0; i < Dims; ++i)
      numerators[i] += __shfl_xor_sync(0xffffffffu, numerators[i], distance);
  }
};

/// At most `Rows` rows of an AttentionCall.
template <class Softmax, class Call, int Rows> class VectorRows {
  using E = typename Call::cache_type::element;
  static constexpr int dims = Call::head_dim;
  static_assert(dims <= 256, "a warp reads a slot at once");

  /// Threads that share a slot: a power of two.
  static constexpr int threads_of_slot(int chunks) {
    int threads = 1;
    while (threads < chunks)
      threads *= 2;
    return threads;
  }
  static constexpr int slot_threads = threads_of_slot(dims / 8);
  static constexpr int warp_slots = warp_size / slot_threads;
  /// Slots of a thread on their way.
  static constexpr int depth = 2;

public:
  /// Slots that a warp reads at a time.
  static constexpr int slots_at_a_time = warp_slots * depth;

  /// A thread's of these: where they lie, null where there is none, and what is
  /// there.
  struct Slots {
    const E *places[depth];
    StoredEight<E> keys[depth], values[depth];
  };

  /// Finds the slots from `base` on of a sequence and KV head.
  __device__ static void find(const Call &call, int s, int kv, int base,
                              int end, Slots &slots) {
    const int chunk = thread_index() % slot_threads;
#pragma unroll
    for (int i = 0; i < depth; ++i) {
      const int slot = slot_of(base, i);
      slots.places[i] = slot < end && chunk < dims / 8
                            ? call.key_of(s, slot, kv) + chunk * 8
                            : nullptr;
    }
  }
  /// Reads those of them that lie in [from, to).
  __device__ static void read(int base, int from, int to, Slots &slots) {
#pragma unroll
    for (int i = 0; i < depth; ++i)
      if (const int slot = slot_of(base, i);
          slots.places[i] && slot >= from && slot < to) {
        slots.keys[i].load(slots.places[i]);
        slots.values[i].load(slots.places[i] + Call::cache_type::to_values);
      }
  }

  /// Adds the slots from `base` on that lie in front of `end`, and reads those
  /// that lie `step` further meanwhile.
  __device__ void advance(const Call &call, int s, int kv, int base, int step,
                          int end, Slots &slots) {
    Slots now = slots;
    find(call, s, kv, base + step, end, slots);
    read(base + step, 0, end, slots);
    add(call, base, end, now);
  }

  /// Begins with `count` rows from `row` on, of the query heads from `head` on.
  __device__ VectorRows(const Call &call, int64_t row, int head, int count) {
    const int chunk = thread_index() % slot_threads;
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
      const bool real = r < count && chunk < dims / 8;
#pragma unroll
      for (int d = 0; d < 8; d += 4) {
        float part[4] = {};
        if (real)
          load_vector(call.query + (row + r) * dims + chunk * 8 + d, part);
#pragma unroll
        for (int i = 0; i < 4; ++i)
          // Rounded to the cache's type, as on every target.
          query[r][d + i] = widen(narrow<E>(part[i]));
      }
      const float phi = r < count ? call.phi_of(head + r) : 0.0f;
      fixed[r] = Softmax::async && phi == phi;
      running[r].maximum = fixed[r] ? phi : -__int_as_float(0x7f800000);
    }
  }

  /// Writes numerators, denominator and maximum of each row; threads' results
  /// are combined.
  __device__ void finish(int, float (*to)[partial_floats(dims)]) {
    const int lane = thread_index() % warp_size;
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
#pragma unroll
      for (int distance = slot_threads; distance < warp_size; distance *= 2)
        running[r].add_from(distance, fixed[r]);
      if (lane < dims / 8)
#pragma unroll
        for (int d = 0; d < 8; ++d)
          to[r][lane * 8 + d] = running[r].numerators[d];
      if (lane == 0) {
        to[r][dims] = running[r].sum;
        to[r][dims + 1] = running[r].maximum;
      }
    }
  }

private:
  /// Adds the slots from `base` on that lie in front of `end`.
  __device__ void add(const Call &call, int base, int end, Slots &slots) {
    bool visible[depth];
#pragma unroll
    for (int i = 0; i < depth; ++i) {
      visible[i] = slot_of(base, i) < end;
      if (!slots.places[i]) {
        slots.keys[i].clear();
        slots.values[i].clear();
      }
    }
    float weights[depth][Rows];
#pragma unroll
    for (int i = 0; i < depth; ++i) {
      float key[8];
#pragma unroll
      for (int d = 0; d < 8; ++d)
        key[d] = slots.keys[i].at(d);
#pragma unroll
      for (int r = 0; r < Rows; ++r) {
        float product = 0.0f;
#pragma unroll
        for (int d = 0; d < 8; ++d)
          product = fmaf(key[d], query[r][d], product);
#pragma unroll
        for (int distance = slot_threads / 2; distance > 0; distance /= 2)
          product += __shfl_xor_sync(0xffffffffu, product, distance);
        weights[i][r] = call.logit(product);
      }
    }
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
      if (!fixed[r]) {
        float most = running[r].maximum;
#pragma unroll
        for (int i = 0; i < depth; ++i)
          most = visible[i] ? fmaxf(most, weights[i][r]) : most;
        running[r].rescale(most);
      }
#pragma unroll
      for (int i = 0; i < depth; ++i) {
        float w = shifted_exp(weights[i][r] - running[r].maximum);
        if constexpr (Softmax::async)
          w = fixed[r] ? Softmax::round(w) : w;
        weights[i][r] = visible[i] ? w : 0.0f;
        running[r].sum += weights[i][r];
      }
    }
#pragma unroll
    for (int i = 0; i < depth; ++i) {
      float value[8];
#pragma unroll
      for (int d = 0; d < 8; ++d)
        value[d] = slots.values[i].at(d);
#pragma unroll
      for (int r = 0; r < Rows; ++r)
#pragma unroll
        for (int d = 0; d < 8; ++d)
          running[r].numerators[d] =
              fmaf(weights[i][r], value[d], running[r].numerators[d]);
    }
  }

  __device__ static int slot_of(int base, int i) {
    const int lane = thread_index() % warp_size;
    return base + i * warp_slots + lane / slot_threads;
  }

  float query[Rows][8];
  bool fixed[Rows];
  RunningRow<8> running[Rows] = {};
};

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_VECTOR_ROWS_H
