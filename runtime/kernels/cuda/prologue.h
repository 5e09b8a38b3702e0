// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What happens to a token's row on its way into a linear: nothing, RMS norm or
// layer norm. A prologue computes in f32; the result is then rounded to the
// weight's type, as on every target.
#ifndef FDPP_KERNELS_CUDA_PROLOGUE_H
#define FDPP_KERNELS_CUDA_PROLOGUE_H

#include "kernels/common/tiles.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/stream.h"

namespace fdpp::cuda {

/// What a prologue multiplies and adds to an element.
struct NoParameters {};
struct Gamma {
  float gamma;
};
struct GammaBeta {
  float gamma, beta;
};

// A prologue is sums over a row, one after another: what each element adds to
// pass p is term(p, v, state), and finish(p, sum, state) makes of the sum what
// passes and elements behind it read. at(...) is an element of the result;
// parameters(k) depend on the model alone.

/// Rows as they are: x[T][K].
template <int K, class X = float> struct Rows {
  static constexpr int columns = K, passes = 0;
  const X *x;

  struct State {};
  using Parameters = NoParameters;
  __device__ Parameters parameters(int) const { return {}; }
  __device__ float term(int, float, State) const { return 0.0f; }
  __device__ void finish(int, float, State &) const {}
  __device__ float at(float v, State, Parameters) const { return v; }
};

/// x / sqrt(mean(x^2) + epsilon) * gamma (Zhang and Sennrich, 2019).
template <int K, class X = float> struct RmsNorm {
  static constexpr int columns = K, passes = 1;
  const X *x;
  const float *gamma;
  float epsilon;

  struct State {
    float scale;
  };
  using Parameters = Gamma;
  __device__ Parameters parameters(int k) const { return {gamma[k]}; }
  __device__ float term(int, float v, State) const { return v * v; }
  __device__ void finish(int, float sum, State &state) const {
    state.scale = 1.0f / sqrtf(sum / float(K) + epsilon);
  }
  __device__ float at(float v, State state, Parameters with) const {
    return v * state.scale * with.gamma;
  }
};

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta (Ba et al., 2016); a
/// null beta is zeros.
template <int K, class X = float> struct LayerNorm {
  static constexpr int columns = K, passes = 2;
  const X *x;
  const float *gamma, *beta;
  float epsilon;

  struct State {
    float mean, scale;
  };
  using Parameters = GammaBeta;
  __device__ Parameters parameters(int k) const {
    return {gamma[k], beta ? beta[k] : 0.0f};
  }
  __device__ float term(int pass, float v, State state) const {
    return pass == 0 ? v : (v - state.mean) * (v - state.mean);
  }
  __device__ void finish(int pass, float sum, State &state) const {
    if (pass == 0)
      state.mean = sum / float(K);
    else
      state.scale = 1.0f / sqrtf(sum / float(K) + epsilon);
  }
  __device__ float at(float v, State state, Parameters with) const {
    return fmaf((v - state.mean) * state.scale, with.gamma, with.beta);
  }
};

/// Neighbouring elements that a thread has at a time.
template <int K> inline constexpr int vector_of = K % 4 == 0 ? 4 : 1;

/// The elements of a thread of a block: those of vector `i` of `count` begin at
/// column(i).
template <int K> struct ColumnsOfThread {
  static constexpr int vector = vector_of<K>;
  static constexpr int count = (K / vector + block_threads - 1) / block_threads;
  const int thread = thread_index();
  __device__ int column(int i) const {
    return (i * block_threads + thread) * vector;
  }
};

/// The parameters of a thread's elements: they can be read early.
template <class Prologue> struct ThreadParameters {
  using Columns = ColumnsOfThread<Prologue::columns>;
  typename Prologue::Parameters of[Columns::count][Columns::vector];

  __device__ explicit ThreadParameters(const Prologue &rows) {
    const Columns mine;
#pragma unroll
    for (int i = 0; i < Columns::count; ++i)
#pragma unroll
      for (int j = 0; j < Columns::vector; ++j)
        if (mine.column(i) < Prologue::columns)
          of[i][j] = rows.parameters(mine.column(i) + j);
  }
};

/// What a prologue gives for `Tokens` rows, of which `count` are real, from row
/// `first` on: put(row - first, k, values) for neighbouring elements. By all
/// threads of a block; a row's result does not depend on how many there are.
template <int Tokens, class Prologue, class Put>
__device__ void for_each_element(const Prologue &rows,
                                 const ThreadParameters<Prologue> &parameters,
                                 int first, int count, Put put) {
  using Columns = ColumnsOfThread<Prologue::columns>;
  constexpr int columns = Prologue::columns, vector = Columns::vector;
  constexpr int warps = block_threads / warp_size;
  // Rows that fit into registers.
  constexpr int fitting = 32 / (Columns::count * vector);
  constexpr int group = fitting < 1 ? 1 : fitting < Tokens ? fitting : Tokens;
  __shared__ float partial[warps][group];
  const Columns mine;
  const int warp = mine.thread / warp_size;
  for (int base = 0; base < count; base += group) {
    float values[group][Columns::count][vector];
    typename Prologue::State states[group] = {};
#pragma unroll
    for (int t = 0; t < group; ++t)
#pragma unroll
      for (int i = 0; i < Columns::count; ++i)
        if (const int k = mine.column(i); base + t < count && k < columns)
          load_vector(rows.x + int64_t(first + base + t) * columns + k,
                      values[t][i]);
#pragma unroll
    for (int pass = 0; pass < Prologue::passes; ++pass) {
#pragma unroll
      for (int t = 0; t < group; ++t) {
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < Columns::count; ++i)
          if (base + t < count && mine.column(i) < columns)
#pragma unroll
            for (int j = 0; j < vector; ++j)
              sum += rows.term(pass, values[t][i][j], states[t]);
        sum = warp_sum(sum);
        if (mine.thread % warp_size == 0)
          partial[warp][t] = sum;
      }
      block_barrier();
#pragma unroll
      for (int t = 0; t < group; ++t) {
        float sum = 0.0f;
#pragma unroll
        for (int w = 0; w < warps; ++w)
          sum += partial[w][t];
        rows.finish(pass, sum, states[t]);
      }
      block_barrier(); // partial may be written again
    }
#pragma unroll
    for (int t = 0; t < group; ++t)
#pragma unroll
      for (int i = 0; i < Columns::count; ++i)
        if (const int k = mine.column(i); base + t < count && k < columns) {
          float results[vector];
#pragma unroll
          for (int j = 0; j < vector; ++j)
            results[j] =
                rows.at(values[t][i][j], states[t], parameters.of[i][j]);
          put(base + t, k, results);
        }
  }
}

/// out[row][Stride] = prologue(x), rounded to Y; zeros beyond its columns.
template <int Stride, class Prologue, class Y> struct PrologueBody {
  static constexpr int shared_bytes = 0;
  Prologue rows;
  Y *out;

  __device__ void operator()(int row, char *) const {
    Y *to = out + int64_t(row) * Stride;
    for_each_element<1>(
        rows, ThreadParameters<Prologue>(rows), row, 1,
        [&](int, int k, const auto &values) { store_vector(to + k, values); });
    for (int k = Prologue::columns + thread_index(); k < Stride;
         k += block_threads)
      to[k] = narrow<Y>(0.0f);
  }
};

/// out[T][K] = prologue(x): a norm on its own.
template <class Context, class Prologue, class Y>
FDPP_ANY_CONTEXT void normalize(Context &context, int tokens,
                                const Prologue &rows, Y *out) {
  context.run(tokens, PrologueBody<Prologue::columns, Prologue, Y>{rows, out});
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_PROLOGUE_H
