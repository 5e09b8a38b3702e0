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

/// Threads that work on a row.
inline constexpr int row_threads = 256;

// A prologue gives a row's statistics, which a block of row_threads computes
// together, and then its elements in any order.

/// Rows as they are: x[T][K].
template <int K, class X = float> struct Rows {
  static constexpr int columns = K;
  const X *x;

  struct State {};
  __device__ State begin(int) const { return {}; }
  __device__ float at(int row, State, int k) const {
    return load(x + int64_t(row) * K + k);
  }
};

/// x / sqrt(mean(x^2) + epsilon) * gamma (Zhang and Sennrich, 2019).
template <int K, class X = float> struct RmsNorm {
  static constexpr int columns = K;
  const X *x;
  const float *gamma;
  float epsilon;

  struct State {
    float scale;
  };
  __device__ State begin(int row) const {
    float squares = 0.0f;
    for (int k = threadIdx.x; k < K; k += row_threads) {
      float v = load(x + int64_t(row) * K + k);
      squares = fmaf(v, v, squares);
    }
    float mean = block_sum<row_threads>(squares) / float(K);
    return {1.0f / sqrtf(mean + epsilon)};
  }
  __device__ float at(int row, State state, int k) const {
    return load(x + int64_t(row) * K + k) * state.scale * gamma[k];
  }
};

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta (Ba et al., 2016); a
/// null beta is zeros.
template <int K, class X = float> struct LayerNorm {
  static constexpr int columns = K;
  const X *x;
  const float *gamma, *beta;
  float epsilon;

  struct State {
    float mean, scale;
  };
  __device__ State begin(int row) const {
    const X *from = x + int64_t(row) * K;
    float sum = 0.0f, squares = 0.0f;
    for (int k = threadIdx.x; k < K; k += row_threads)
      sum += load(from + k);
    float mean = block_sum<row_threads>(sum) / float(K);
    for (int k = threadIdx.x; k < K; k += row_threads) {
      float v = load(from + k) - mean;
      squares = fmaf(v, v, squares);
    }
    float variance = block_sum<row_threads>(squares) / float(K);
    return {mean, 1.0f / sqrtf(variance + epsilon)};
  }
  __device__ float at(int row, State state, int k) const {
    float v = (load(x + int64_t(row) * K + k) - state.mean) * state.scale;
    return fmaf(v, gamma[k], beta ? beta[k] : 0.0f);
  }
};

/// out[row][Stride] = prologue(x), rounded to Y; zeros beyond its columns.
template <int Stride, class Prologue, class Y>
__global__ void __launch_bounds__(row_threads)
    prologue_kernel(Prologue rows, Y *out) {
  wait_for_kernel_before();
  const int row = int(blockIdx.x);
  auto state = rows.begin(row);
  for (int k = threadIdx.x; k < Stride; k += row_threads)
    out[int64_t(row) * Stride + k] =
        narrow<Y>(k < Prologue::columns ? rows.at(row, state, k) : 0.0f);
}

/// out[T][K] = prologue(x): a norm on its own.
template <class Prologue, class Y>
void normalize(Stream &stream, int tokens, const Prologue &rows, Y *out) {
  stream.launch(prologue_kernel<Prologue::columns, Prologue, Y>,
                dim3(unsigned(tokens)), row_threads, 0, rows, out);
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_PROLOGUE_H
