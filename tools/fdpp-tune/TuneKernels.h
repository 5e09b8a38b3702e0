// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What fdpp-tune calls: the linears of an engine for any N and K, compiled once
// for each kernel level into a library of their own, so that code for one
// instruction set never runs on another.
#ifndef FDPP_TOOLS_TUNE_KERNELS_H
#define FDPP_TOOLS_TUNE_KERNELS_H

#include "fdpp-runtime/model_abi.h"

#include <cstdint>

namespace fdpp::tune {

/// Storage types, in the order of the dtype field.
inline constexpr const char *kDtypes[] = {"f32", "bf16", "f16"};

/// `calls` linears one after another over weights that rotate through `copies`
/// packed copies, beginning with copy `first`.
struct Job {
  int32_t dtype;
  int32_t n, k, tokens;
  int32_t tile, prefetch; // the variant; a tile of 0 is a library's
  int32_t calls;
  int64_t first, copies, copyBytes;
  const char *weights; // [copies][copyBytes], 64-aligned
  const float *x;      // [tokens][k]
  float *out;          // [tokens][n]
  void *scratch;       // linear_scratch_bytes(tokens, k, threads), 64-aligned
  // Of a library, else null; its scratch is library_scratch_bytes(threads).
  fdpp_sgemm_fn sgemm;
  float *rows; // [tokens][k]
  float *sums; // [tokens][n, rounded up to panels]
};

/// Exported as `fdpp_tune_kernels`.
struct Kernels {
  int32_t generation; // tuning_kernels
  int32_t mostTile;
  /// Bytes of packed weights.
  int64_t (*packedBytes)(int32_t dtype, int32_t n, int32_t k);
  /// Runs a job; every thread of the team calls it. `state` is a TeamState.
  void (*run)(const Job &job, void *state, int index, int count);
};

} // namespace fdpp::tune

#endif // FDPP_TOOLS_TUNE_KERNELS_H
