// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What stands between an emitted model and the step ABI. The emitted source
// defines a struct M:
//
//   struct M {
//     using KvCache = Cache<...>;
//     struct Weights { explicit Weights(const void *const *); ... };
//     static constexpr fdpp_weight_entry weight_table[] = {...};
//     static constexpr fdpp_model_limits limits = {...};
//     static constexpr const char *arch, *features;
//     static constexpr int64_t arena_bytes;       // every buffer of a step
//     static int64_t scratch_bytes(int threads);  // of the largest kernel
//     static void run(int entry, Team &, const Weights &,
//                     const Step<KvCache> &);
//     static constexpr const char *tap_names[];   // only if it has taps
//     static constexpr bool reads_phi = true;     // only if attention does
//     static constexpr bool calls_sgemm = true;   // only if some linear does
//   };
//
// and `fdpp_model_query` as `return query<M>(abi_version);`.
#ifndef FDPP_KERNELS_CPU_MODEL_H
#define FDPP_KERNELS_CPU_MODEL_H

#include "fdpp-runtime/model_abi.h"
#include "kernels/common/scratch.h"
#include "kernels/cpu/kernels.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <new>
#include <type_traits>

namespace fdpp::cpu {

/// A step as the emitted entries see it.
template <class KvCache> struct Step {
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
  fdpp_tap_fn tap;           // see kernels/cpu/taps.h; may be null
  void *tap_ctx;
  fdpp_sgemm_fn sgemm; // of a library; null in models that call none

  /// The buffer that begins `offset` bytes into the workspace.
  template <class T> T *at(int64_t offset) const {
    return reinterpret_cast<T *>(workspace + offset);
  }
};

/// The largest of several sizes.
template <class... Sizes> constexpr int64_t largest(Sizes... sizes) {
  int64_t most = 0;
  ((most = sizes > most ? int64_t(sizes) : most), ...);
  return most;
}

/// Models compiled with --taps.
template <class M>
concept HasTaps = requires { M::tap_names; };

/// Models with an asynchronous softmax.
template <class M>
concept ReadsPhi = requires { M::reads_phi; };
template <class M>
concept PrefillReadsPhi = requires { M::prefill_reads_phi; };

/// Models some of whose linears are a library's.
template <class M>
concept CallsSgemm = requires { M::calls_sgemm; };

template <class M> class ModelTable {
  using Step = cpu::Step<typename M::KvCache>;

  struct Model {
    typename M::Weights weights;
    const float *phi; // null: every softmax is exact
  };
  struct Call {
    const Model *model;
    int entry;
    Step step;
    TeamState *team;
  };

  static constexpr int64_t state_bytes = align_bytes(sizeof(TeamState));

  static uint64_t workspace_size(int32_t threads) {
    return state_bytes + M::arena_bytes +
           align_bytes(M::scratch_bytes(threads));
  }

  // malloc, because the C++ library's new brings its exceptions with it: a
  // pool of 72 KB that stays when the engine is closed, and a newer libc.
  static fdpp_model *create(int32_t, const void *const *weights,
                            const float *phi) {
    void *memory = std::malloc(sizeof(Model));
    if (memory)
      new (memory) Model{typename M::Weights(weights), phi};
    return static_cast<fdpp_model *>(memory);
  }

  static void destroy(fdpp_model *model) {
    static_assert(std::is_trivially_destructible_v<Model>);
    std::free(model);
  }

  static int32_t refuse(fdpp_step *step, const char *what, int given,
                        int most) {
    step->status = FDPP_STATUS_INVALID;
    std::snprintf(step->message, sizeof step->message,
                  "%s: %d given, the engine takes 1 to %d", what, given, most);
    return step->status;
  }

  static int32_t check(fdpp_step *step) {
    const fdpp_model_limits &most = M::limits;
    auto outside = [](int value, int limit) {
      return value < 1 || value > limit;
    };
    if (step->entry < 0 || !(most.entries >> step->entry & 1))
      return refuse(step, "entry", step->entry, FDPP_ENTRY_COUNT - 1);
    if (outside(step->num_tokens, most.max_tokens))
      return refuse(step, "tokens of a step", step->num_tokens,
                    most.max_tokens);
    if (outside(step->num_seqs, most.max_sequences))
      return refuse(step, "sequences of a step", step->num_seqs,
                    most.max_sequences);
    if (step->num_rows < 0 || step->num_rows > most.max_rows)
      return refuse(step, "rows of logits", step->num_rows, most.max_rows);
    step->status = FDPP_STATUS_OK;
    if (CallsSgemm<M> && !sgemm_of(step)) {
      step->status = FDPP_STATUS_INVALID;
      std::snprintf(step->message, sizeof step->message,
                    "the engine needs the sgemm of a blas library, which this "
                    "runtime does not give; update fdpp");
    }
    return step->status;
  }

  /// Null for a step of a runtime that opens no library.
  static fdpp_sgemm_fn sgemm_of(const fdpp_step *step) {
    bool known = step->struct_size >=
                 offsetof(fdpp_step, sgemm) + sizeof(fdpp_step::sgemm);
    return known ? step->sgemm : nullptr;
  }

  static void run_thread(void *context, int32_t index, int32_t count) {
    const Call &call = *static_cast<const Call *>(context);
    Team team(*call.team, index, count);
    M::run(call.entry, team, call.model->weights, call.step);
  }

  /// False for a step of a runtime that knows no taps.
  static bool has_tap(const fdpp_step *step) {
    return HasTaps<M> && step->struct_size >= offsetof(fdpp_step, tap_ctx) +
                                                  sizeof(fdpp_step::tap_ctx);
  }

  /// The step's own, of a runtime that knows it, else the model's.
  static const float *phi_of(const Model &model, const fdpp_step *step) {
    bool known =
        step->struct_size >= offsetof(fdpp_step, phi) + sizeof(fdpp_step::phi);
    return known && step->phi ? step->phi : model.phi;
  }

  /// Null for a step of a runtime that counts no logits.
  static const fdpp_attention_statistics *statistics_of(const fdpp_step *step) {
    bool known =
        step->struct_size >= offsetof(fdpp_step, attention_statistics) +
                                 sizeof(fdpp_step::attention_statistics);
    return known ? step->attention_statistics : nullptr;
  }

  static constexpr const char *const *tap_names() {
    if constexpr (HasTaps<M>)
      return M::tap_names;
    return nullptr;
  }

  static int32_t step(fdpp_model *model, fdpp_step *args) {
    if (check(args) != FDPP_STATUS_OK)
      return args->status;
    char *workspace = static_cast<char *>(args->workspace);
    char *arena = workspace + state_bytes;
    Call call{reinterpret_cast<const Model *>(model), args->entry,
              Step{args->num_tokens, args->num_seqs, args->num_rows,
                   args->decode_seqs, args->tokens, args->positions, args->rows,
                   Batch{args->num_seqs, args->seq_offsets, args->context,
                         args->pages, args->max_pages, statistics_of(args)},
                   typename M::KvCache{args->cache, args->num_pages},
                   args->logits, arena, arena + M::arena_bytes,
                   phi_of(*reinterpret_cast<const Model *>(model), args),
                   args->recomputed_rows, has_tap(args) ? args->tap : nullptr,
                   has_tap(args) ? args->tap_ctx : nullptr, sgemm_of(args)},
              new (workspace) TeamState};
    args->executor->parallel(args->executor->self, run_thread, &call);
    return args->status;
  }

public:
  static constexpr fdpp_model_table table = {
      .struct_size = sizeof(fdpp_model_table),
      .abi_version = FDPP_STEP_ABI_VERSION,
      .target = "cpu",
      .arch = M::arch,
      .features = M::features,
      .weights = M::weight_table,
      .num_weights = std::size(M::weight_table),
      .limits = M::limits,
      .workspace_size = workspace_size,
      .create = create,
      .step = step,
      .destroy = destroy,
      .tap_names = tap_names(),
      .reads_phi = PrefillReadsPhi<M> ? 2 : ReadsPhi<M>,
      .counts_logits = true,
      .calls_sgemm = CallsSgemm<M>};
};

/// The body of `fdpp_model_query`.
template <class M> const fdpp_model_table *query(uint32_t abi_version) {
  return abi_version == FDPP_STEP_ABI_VERSION ? &ModelTable<M>::table : nullptr;
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_MODEL_H
