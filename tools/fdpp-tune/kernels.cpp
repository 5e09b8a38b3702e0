// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One kernel level's linears; see TuneKernels.h.
#include "TuneKernels.h"

#include "kernels/common/tuning.h"
#include "kernels/cpu/library.h"
#include "kernels/cpu/linear.h"

using namespace fdpp;
using namespace fdpp::cpu;
using fdpp::tune::Job;
using fdpp::tune::Kernels;

namespace {

/// Rows<K> of a K known only now.
struct AnyRows {
  int columns;
  const float *x;

  struct State {};
  FDPP_INLINE State begin(int) const { return {}; }
  FDPP_INLINE f32x16 chunk(int row, State, int k, int count) const {
    return load(x + int64_t(row) * columns + k, count);
  }
};

/// Stores rows of an N known only now.
struct StoreAny {
  static constexpr Partner partner = Partner::none;
  int columns;
  float *out;

  template <class V>
  void operator()(V value, V, int row, int column, int count) const {
    store(out + int64_t(row) * columns + column, value, count);
  }
};

/// A library's linear, with all that goes with it.
template <class E>
void run_library(const Job &job, const E *weights, Team &team) {
  prologue<E>(team, job.tokens, AnyRows{job.k, job.x}, job.rows);
  library_gemm_by(job.k, panels_of(job.n), team, job.sgemm, job.tokens,
                  job.rows, weights, job.scratch, job.sums);
  epilogue(team, job.tokens, job.sums, StoreAny{job.n, job.out});
}

template <class E> void run_as(const Job &job, Team &team) {
  for (int64_t i = job.first; i < job.first + job.calls; ++i) {
    auto *weights = reinterpret_cast<const E *>(job.weights +
                                                i % job.copies * job.copyBytes);
    if (job.tile == 0)
      run_library(job, weights, team);
    else
      linear_by(Tiling{job.tile, job.prefetch}, team, job.tokens,
                AnyRows{job.k, job.x}, weights, job.scratch,
                StoreAny{job.n, job.out});
  }
}

void run(const Job &job, void *state, int index, int count) {
  Team team(*static_cast<TeamState *>(state), index, count);
  switch (job.dtype) {
  case 0:
    return run_as<float>(job, team);
  case 1:
    return run_as<bf16>(job, team);
  default:
    return run_as<f16>(job, team);
  }
}

int64_t packed_bytes(int32_t dtype, int32_t n, int32_t k) {
  switch (dtype) {
  case 0:
    return packed_elements<float>(panels_of(n), k) * 4;
  case 1:
    return packed_elements<bf16>(panels_of(n), k) * 2;
  default:
    return packed_elements<f16>(panels_of(n), k) * 2;
  }
}

} // namespace

extern "C" __attribute__((visibility("default")))
const Kernels fdpp_tune_kernels = {tuning_kernels, most_variant, packed_bytes,
                                   run};
