// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What stands between an emitted model (kernels/common/model.h) and the step
// ABI: M::run takes a Team.
#ifndef FDPP_KERNELS_CPU_MODEL_H
#define FDPP_KERNELS_CPU_MODEL_H

#include "kernels/common/model.h"
#include "kernels/common/scratch.h"
#include "kernels/cpu/kernels.h"

#include <cstdlib>
#include <new>
#include <type_traits>

namespace fdpp::cpu {

/// A step as the emitted entries see it.
template <class KvCache> struct Step : StepBase<Batch, KvCache> {
  fdpp_tap_fn tap; // see kernels/cpu/taps.h; may be null
  void *tap_ctx;
  fdpp_sgemm_fn sgemm; // of a library; null in models that call none
};

/// Models compiled with --taps.
template <class M>
concept HasTaps = requires { M::tap_names; };

/// Models some of whose linears are a library's.
template <class M>
concept CallsSgemm = requires { M::calls_sgemm; };

template <class M> class ModelTable {
  template <class, class>
  friend constexpr fdpp_model_table fdpp::table_of(const char *target);

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
    KernelListener listener;
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

  static int32_t check(fdpp_step *step) {
    if (check_counts(*step, M::limits) != FDPP_STATUS_OK)
      return step->status;
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
    return FDPP_STEP_HAS(*step, sgemm) ? step->sgemm : nullptr;
  }

  static void run_thread(void *context, int32_t index, int32_t count) {
    const Call &call = *static_cast<const Call *>(context);
    Team team(*call.team, index, count, call.listener);
    M::run(call.entry, team, call.model->weights, call.step);
  }

  /// False for a step of a runtime that knows no taps.
  static bool has_tap(const fdpp_step *step) {
    return HasTaps<M> && FDPP_STEP_HAS(*step, tap_ctx);
  }

  /// Null for a step of a runtime that counts no logits.
  static const fdpp_attention_statistics *statistics_of(const fdpp_step *step) {
    return FDPP_STEP_HAS(*step, attention_statistics)
               ? step->attention_statistics
               : nullptr;
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
    const Model &of = *reinterpret_cast<const Model *>(model);
    Batch batch{args->num_seqs, args->seq_offsets, args->context,
                args->pages,    args->max_pages,   statistics_of(args)};
    Call call{&of, args->entry,
              Step{step_base<Batch, typename M::KvCache>(*args, batch, arena,
                                                         arena + M::arena_bytes,
                                                         phi_of(*args, of.phi)),
                   has_tap(args) ? args->tap : nullptr,
                   has_tap(args) ? args->tap_ctx : nullptr, sgemm_of(args)},
              new (workspace) TeamState, listener_of(*args)};
    args->executor->parallel(args->executor->self, run_thread, &call);
    return args->status;
  }

public:
  static constexpr fdpp_model_table table = [] {
    fdpp_model_table table = table_of<M, ModelTable>("cpu");
    table.tap_names = tap_names();
    table.counts_logits = true;
    table.calls_sgemm = CallsSgemm<M>;
    // Kernels always are; what a library does is not known.
    table.batch_invariant = !CallsSgemm<M>;
    return table;
  }();
};

/// The body of `fdpp_model_query`.
template <class M> const fdpp_model_table *query(uint32_t abi_version) {
  return abi_version == FDPP_STEP_ABI_VERSION ? &ModelTable<M>::table : nullptr;
}

} // namespace fdpp::cpu

#endif // FDPP_KERNELS_CPU_MODEL_H
