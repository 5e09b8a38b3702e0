// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// runtime/kernels/cuda/model.h for a processor: an emitted model becomes a
// library that the runtime takes for one of target cpu.
#ifndef FDPP_KERNELS_CUDA_MODEL_H
#define FDPP_KERNELS_CUDA_MODEL_H

#include "kernels/common/model.h"
#include "kernels/cuda/decode_attention.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/prefill_attention.h"
#include "kernels/cuda/tokens.h"

#include <new>

namespace fdpp::cuda {

template <class KvCache> struct Step : StepBase<Batch, KvCache> {};

template <class M> class ModelTable {
  template <class, class>
  friend constexpr fdpp_model_table fdpp::table_of(const char *target);

  struct Model {
    typename M::Weights weights;
    const float *phi;
  };

  static uint64_t scratch_offset() {
    return (M::arena_bytes + 255) / 256 * 256;
  }
  static uint64_t ticket_offset() {
    return scratch_offset() + (M::scratch_bytes(0) + 255) / 256 * 256;
  }
  static uint64_t meetings_offset() {
    return ticket_offset() + uint64_t(M::limits.max_tokens) *
                                 M::limits.kv_heads * sizeof(unsigned);
  }
  static uint64_t cut_sums_offset() {
    return (meetings_offset() + most_cut_tiles * sizeof(unsigned) + 255) / 256 *
           256;
  }
  static uint64_t workspace_size(int32_t) {
    return cut_sums_offset() + cut_sums_bytes(M::limits.max_tokens);
  }

  static fdpp_model *create(int32_t, const void *const *weights,
                            const float *phi) {
    return reinterpret_cast<fdpp_model *>(
        new Model{typename M::Weights(weights), phi});
  }
  static void destroy(fdpp_model *model) {
    delete reinterpret_cast<Model *>(model);
  }

  static int32_t step(fdpp_model *handle, fdpp_step *args) {
    if (check_counts(*args, M::limits) != FDPP_STATUS_OK)
      return args->status;
    const Model &model = *reinterpret_cast<Model *>(handle);
    char *workspace = static_cast<char *>(args->workspace);
    Batch batch{args->num_tokens,
                args->num_seqs,
                args->seq_offsets,
                args->context,
                args->pages,
                args->max_pages,
                reinterpret_cast<unsigned *>(workspace + ticket_offset()),
                is_batch_invariant(*args)};
    // Few blocks, so that tiles are cut; batch-invariant steps and those of few
    // tokens do without.
    WgmmaSupport wgmma;
    wgmma.encode = "emulation";
    wgmma.blocks = 5;
    wgmma.space = {reinterpret_cast<float *>(workspace + cut_sums_offset()),
                   reinterpret_cast<unsigned *>(workspace + meetings_offset())};
    Stream stream(nullptr, false, listener_of(*args),
                  is_batch_invariant(*args) || args->num_tokens <= 8 ? nullptr
                                                                     : &wgmma);
    M::run(args->entry, stream, model.weights,
           {step_base<Batch, typename M::KvCache>(*args, batch, workspace,
                                                  workspace + scratch_offset(),
                                                  phi_of(*args, model.phi))});
    return args->status;
  }

public:
  static constexpr fdpp_model_table table = [] {
    fdpp_model_table table = table_of<M, ModelTable>("cpu");
    table.batch_invariant = true;
    return table;
  }();
};

template <class M> const fdpp_model_table *query(uint32_t) {
  return &ModelTable<M>::table;
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_MODEL_H
