// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What every target's kernels/TARGET/model.h needs between an emitted model and
// the step ABI. The emitted source defines a struct M:
//
//   struct M {
//     using KvCache = Cache<...>;
//     struct Weights { explicit Weights(const void *const *); ... };
//     static constexpr fdpp_weight_entry weight_table[] = {...};
//     static constexpr fdpp_model_limits limits = {...};
//     static constexpr const char *arch, *features;
//     static constexpr int64_t arena_bytes;       // every buffer of a step
//     static int64_t scratch_bytes(int threads);  // of the largest kernel
//     static void run(int entry, Context &, const Weights &,
//                     const Step<KvCache> &);     // the target's context
//     static constexpr const char *tap_names[];   // only if it has taps
//     static constexpr bool reads_phi = true;     // only if attention does
//     static constexpr bool prefill_reads_phi = true; // ... in prefill, too
//     static constexpr bool calls_sgemm = true;   // only if some linear does
//   };
//
// and `fdpp_model_query` as `return query<M>(abi_version);`.
#ifndef FDPP_KERNELS_COMMON_MODEL_H
#define FDPP_KERNELS_COMMON_MODEL_H

#include "kernels/common/listener.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>

#ifdef __CUDACC__
#define FDPP_HOST_DEVICE __host__ __device__
#else
#define FDPP_HOST_DEVICE
#endif

namespace fdpp {

/// What emitted entries see of a step on every target. Pointers are the
/// device's.
template <class Batch, class KvCache> struct StepBase {
  int num_tokens, num_seqs, num_rows, decode_seqs;
  const int32_t *tokens;    // [num_tokens]
  const int32_t *positions; // [num_tokens]
  const int32_t *rows;      // [num_rows]
  Batch batch;
  KvCache cache;
  float *logits;             // [num_rows][vocabulary]
  char *workspace;           // buffers, placed by the compiler
  void *scratch;             // of the kernel that runs
  const float *phi;          // [layers][query heads], or null
  uint64_t *recomputed_rows; // [layers][query heads] counters, or null

  /// The buffer that begins `offset` bytes into the workspace.
  template <class T> FDPP_HOST_DEVICE T *at(int64_t offset) const {
    return reinterpret_cast<T *>(workspace + offset);
  }
};

/// The same of a step of the ABI, whose arena and scratch are given.
template <class Batch, class KvCache>
StepBase<Batch, KvCache> step_base(const fdpp_step &step, const Batch &batch,
                                   char *arena, void *scratch,
                                   const float *phi) {
  return {step.num_tokens,
          step.num_seqs,
          step.num_rows,
          step.decode_seqs,
          step.tokens,
          step.positions,
          step.rows,
          batch,
          KvCache{step.cache, step.num_pages},
          step.logits,
          arena,
          scratch,
          phi,
          step.recomputed_rows};
}

/// The largest of several sizes.
template <class... Sizes> constexpr int64_t largest(Sizes... sizes) {
  int64_t most = 0;
  ((most = sizes > most ? int64_t(sizes) : most), ...);
  return most;
}

/// Models with an asynchronous softmax.
template <class M>
concept ReadsPhi = requires { M::reads_phi; };
template <class M>
concept PrefillReadsPhi = requires { M::prefill_reads_phi; };

/// What a model's table says of it.
template <class M>
inline constexpr int reads_phi = PrefillReadsPhi<M> ? 2 : ReadsPhi<M>;

/// What a model's table says on every target, with the functions of `Of`;
/// nothing of what a target can do beside.
template <class M, class Of>
constexpr fdpp_model_table table_of(const char *target) {
  fdpp_model_table table = {};
  table.workspace_size = Of::workspace_size;
  table.create = Of::create;
  table.step = Of::step;
  table.destroy = Of::destroy;
  table.struct_size = sizeof(fdpp_model_table);
  table.abi_version = FDPP_STEP_ABI_VERSION;
  table.target = target;
  table.arch = M::arch;
  table.features = M::features;
  table.weights = M::weight_table;
  table.num_weights = std::size(M::weight_table);
  table.limits = M::limits;
  table.reads_phi = reads_phi<M>;
  table.names_kernels = true;
  return table;
}

/// True if a step of a runtime that is perhaps older has `field`.
#define FDPP_STEP_HAS(step, field)                                             \
  ((step).struct_size >= offsetof(fdpp_step, field) + sizeof(fdpp_step::field))

inline int32_t refuse(fdpp_step &step, const char *what, int given, int most) {
  step.status = FDPP_STATUS_INVALID;
  std::snprintf(step.message, sizeof step.message,
                "%s: %d given, the engine takes 1 to %d", what, given, most);
  return step.status;
}

/// Whether the counts of a step are within the model's limits.
inline int32_t check_counts(fdpp_step &step, const fdpp_model_limits &most) {
  auto outside = [](int value, int limit) {
    return value < 1 || value > limit;
  };
  if (step.entry < 0 || !(most.entries >> step.entry & 1))
    return refuse(step, "entry", step.entry, FDPP_ENTRY_COUNT - 1);
  if (outside(step.num_tokens, most.max_tokens))
    return refuse(step, "tokens of a step", step.num_tokens, most.max_tokens);
  if (outside(step.num_seqs, most.max_sequences))
    return refuse(step, "sequences of a step", step.num_seqs,
                  most.max_sequences);
  if (step.num_rows < 0 || step.num_rows > most.max_rows)
    return refuse(step, "rows of logits", step.num_rows, most.max_rows);
  step.status = FDPP_STATUS_OK;
  return step.status;
}

/// Nobody for a step of a runtime that does not know of it.
inline KernelListener listener_of(const fdpp_step &step) {
  if (!FDPP_STEP_HAS(step, kernel_ctx))
    return {};
  return {step.on_kernel, step.kernel_ctx};
}

/// False for a step of a runtime that does not know of it.
inline bool is_batch_invariant(const fdpp_step &step) {
  return FDPP_STEP_HAS(step, batch_invariant) && step.batch_invariant != 0;
}

/// The step's own phi, of a runtime that knows it, else the model's.
inline const float *phi_of(const fdpp_step &step, const float *of_model) {
  return FDPP_STEP_HAS(step, phi) && step.phi ? step.phi : of_model;
}

} // namespace fdpp

#endif // FDPP_KERNELS_COMMON_MODEL_H
