// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What stands between an emitted model and the step ABI, for CUDA. The emitted
// source defines the struct M that kernels/cpu/model.h describes; here `run`
// takes a Stream. A step enqueues its kernels on step->stream and returns: its
// results are there when the stream is done.
#ifndef FDPP_KERNELS_CUDA_MODEL_H
#define FDPP_KERNELS_CUDA_MODEL_H

#include "fdpp-runtime/model_abi.h"
#include "kernels/cuda/graphs.h"
#include "kernels/cuda/kernels.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <new>
#include <type_traits>

namespace fdpp::cuda {

/// A step as the emitted entries see it. Pointers are the device's.
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

template <class M>
concept ReadsPhi = requires { M::reads_phi; };
template <class M>
concept PrefillReadsPhi = requires { M::prefill_reads_phi; };

/// What the code was compiled for can be asked of this.
template <class = void> __global__ void probe_kernel() {
  wait_for_kernel_before();
}

template <class M> class ModelTable {
  using Step = cuda::Step<typename M::KvCache>;

  struct Model {
    typename M::Weights weights;
    const float *phi; // null: every softmax is exact
    bool overlap;     // of kernels, see stream.h
    StepGraphs graphs = {};
  };

  static constexpr int64_t alignment = 256;
  static constexpr int64_t arena_bytes =
      (M::arena_bytes + alignment - 1) / alignment * alignment;

  static uint64_t workspace_size(int32_t) {
    return arena_bytes + M::scratch_bytes(0);
  }

  static fdpp_model *create(int32_t device, const void *const *weights,
                            const float *phi) {
    if (cudaSetDevice(device) != cudaSuccess)
      return nullptr;
    // PTX of an older architecture that the driver compiled does not wait.
    cudaFuncAttributes code = {};
    if (cudaFuncGetAttributes(&code, probe_kernel<>) != cudaSuccess)
      return nullptr;
    bool overlap =
        code.ptxVersion >= overlap_arch && !std::getenv("FDPP_NO_PDL");
    void *memory = std::malloc(sizeof(Model));
    if (memory)
      new (memory) Model{typename M::Weights(weights), phi, overlap};
    return static_cast<fdpp_model *>(memory);
  }

  static void destroy(fdpp_model *model) {
    static_assert(std::is_trivially_destructible_v<Model>);
    if (model)
      reinterpret_cast<Model *>(model)->graphs.clear();
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
    return step->status;
  }

  /// The step's own, of a runtime that knows it, else the model's.
  static const float *phi_of(const Model &model, const fdpp_step *step) {
    bool known =
        step->struct_size >= offsetof(fdpp_step, phi) + sizeof(fdpp_step::phi);
    return known && step->phi ? step->phi : model.phi;
  }

  static Step step_of(const fdpp_step *args, const float *phi) {
    char *workspace = static_cast<char *>(args->workspace);
    return {args->num_tokens,
            args->num_seqs,
            args->num_rows,
            args->decode_seqs,
            args->tokens,
            args->positions,
            args->rows,
            Batch{args->num_tokens, args->num_seqs, args->seq_offsets,
                  args->context, args->pages, args->max_pages},
            typename M::KvCache{args->cache, args->num_pages},
            args->logits,
            workspace,
            workspace + arena_bytes,
            phi,
            args->recomputed_rows};
  }

  static int32_t step(fdpp_model *handle, fdpp_step *args) {
    if (check(args) != FDPP_STATUS_OK)
      return args->status;
    Model &model = *reinterpret_cast<Model *>(handle);
    const float *phi = phi_of(model, args);
    auto launch = [&](cudaStream_t queue) {
      Stream stream(queue, model.overlap);
      M::run(args->entry, stream, model.weights, step_of(args, phi));
      return stream.error();
    };
    auto queue = static_cast<cudaStream_t>(args->stream);
    cudaError_t error =
        args->entry == FDPP_DECODE
            ? model.graphs.run(StepKey::of(*args, phi), queue, launch)
            : launch(queue);
    if (error != cudaSuccess) {
      args->status = FDPP_STATUS_INTERNAL;
      std::snprintf(args->message, sizeof args->message,
                    "its kernels cannot be launched: %s",
                    cudaGetErrorString(error));
    }
    return args->status;
  }

public:
  static constexpr fdpp_model_table table = {
      .struct_size = sizeof(fdpp_model_table),
      .abi_version = FDPP_STEP_ABI_VERSION,
      .target = "cuda",
      .arch = M::arch,
      .features = M::features,
      .weights = M::weight_table,
      .num_weights = std::size(M::weight_table),
      .limits = M::limits,
      .workspace_size = workspace_size,
      .create = create,
      .step = step,
      .destroy = destroy,
      .tap_names = nullptr,
      .reads_phi = PrefillReadsPhi<M> ? 2 : ReadsPhi<M>,
      .counts_logits = false,
      .calls_sgemm = false};
};

/// The body of `fdpp_model_query`.
template <class M> const fdpp_model_table *query(uint32_t abi_version) {
  return abi_version == FDPP_STEP_ABI_VERSION ? &ModelTable<M>::table : nullptr;
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_MODEL_H
