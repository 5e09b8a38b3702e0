// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What stands between an emitted model (kernels/common/model.h) and the step
// ABI, for CUDA: M::run takes a Stream, and M::decode, in models that decode,
// any context. A step enqueues its kernels on step->stream and returns: its
// results are there when the stream is done. Decode steps of few tokens are one
// kernel where the device can run it (grid.h), the others a chain.
#ifndef FDPP_KERNELS_CUDA_MODEL_H
#define FDPP_KERNELS_CUDA_MODEL_H

#include "kernels/common/model.h"
#include "kernels/cuda/graphs.h"
#include "kernels/cuda/kernels.h"

#include <cstdlib>
#include <new>
#include <type_traits>

namespace fdpp::cuda {

/// A step as the emitted entries see it.
template <class KvCache> struct Step : StepBase<Batch, KvCache> {
  PickBody picking; // its picks may be null
};

/// Picks the tokens of a step whose logits are there, if they are asked for.
template <class Context, class KvCache>
FDPP_ANY_CONTEXT void pick(Context &context, const Step<KvCache> &step) {
  if (!step.picking.picks)
    return;
  context.run(int64_t(step.num_rows) * pick_blocks, step.picking);
  context.done("pick", -1);
}

template <class M>
concept Decodes = requires { M::decodes; };

/// What the code was compiled for can be asked of this.
template <class = void> __global__ void probe_kernel() {
  wait_for_kernel_before();
}

/// A decode step by blocks that stay. `stages` of their rings lie in front of
/// what else they share.
template <class M>
__global__ void __launch_bounds__(grid_threads, 1)
    grid_kernel(typename M::Weights weights, Step<typename M::KvCache> step,
                GridState *state, int stages) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ / 10 == FDPP_GRID_ARCH
  char *memory = dynamic_shared();
  __shared__ RingBarriers barriers;
  const Ring ring{memory, &barriers, stages};
  wait_for_kernel_before();
  if (threadIdx.x == 0)
    ring.initialise();
  __syncthreads();
  const int warp = int(threadIdx.x) / warp_size;
  if (warp < block_warps) {
    take_registers<computing_registers>();
    Grid grid(state, ring, memory + stages * stage_bytes);
    M::decode(grid, weights, step);
    pick(grid, step);
    grid.leave();
    return;
  }
  take_registers<moving_registers>();
  if (warp == block_warps && threadIdx.x % warp_size == 0) {
    Loader loader(ring);
    M::decode(loader, weights, step);
  }
#endif
}

template <class M> class ModelTable {
  template <class, class>
  friend constexpr fdpp_model_table fdpp::table_of(const char *target);

  using Step = cuda::Step<typename M::KvCache>;

  struct Model {
    typename M::Weights weights;
    const float *phi; // null: every softmax is exact
    bool overlap;     // of kernels, see stream.h
    int grid_blocks;  // 0: decode steps are always a chain
    int grid_bytes;   // of shared memory in one of them
    WgmmaSupport wgmma = {};
    StepGraphs graphs = {};
  };

  static constexpr int64_t aligned(int64_t bytes) {
    return (bytes + 255) / 256 * 256;
  }

  // The workspace: buffers, scratch, and what is zeros between steps.
  static constexpr int64_t arena_bytes = aligned(M::arena_bytes);
  static int64_t state_offset() {
    return arena_bytes + aligned(M::scratch_bytes(0));
  }
  static constexpr int64_t ticket_offset = aligned(sizeof(GridState));
  static constexpr int64_t tickets =
      largest(int64_t(M::limits.max_sequences) * M::limits.decode_tokens *
                  M::limits.kv_heads,
              M::limits.max_rows);
  static constexpr int64_t parts_offset =
      ticket_offset + aligned(tickets * sizeof(unsigned));

  static constexpr int64_t meetings_offset =
      parts_offset + aligned(int64_t(M::limits.max_rows) * pick_blocks * 8);
  static constexpr int64_t cut_sums_offset =
      meetings_offset + aligned(most_cut_tiles * sizeof(unsigned));

  static uint64_t workspace_size(int32_t) {
    return state_offset() + cut_sums_offset +
           cut_sums_bytes(M::limits.max_tokens);
  }

  /// Finds out whether linears can go by wgmma.
  static cudaError_t prepare_wgmma(Model &model, int device) {
    cudaFuncAttributes code = {};
    cudaError_t error = cudaFuncGetAttributes(&code, probe_kernel<>);
    if (error != cudaSuccess || code.ptxVersion != wgmma_arch ||
        std::getenv("FDPP_NO_WGMMA"))
      return error;
    int blocks = 0;
    error =
        cudaDeviceGetAttribute(&blocks, cudaDevAttrMultiProcessorCount, device);
    model.wgmma.blocks = blocks < wgmma_blocks ? blocks : wgmma_blocks;
    model.wgmma.encode = find_tensor_map_encoder();
    return error;
  }

  /// Finds out whether the device can run decode steps as one kernel.
  static cudaError_t prepare_grid(Model &model, int device) {
    if constexpr (Decodes<M>) {
      auto kernel = grid_kernel<M>;
      int blocks = 0, bytes = 0;
      cudaFuncAttributes code = {};
      cudaError_t error = cudaFuncGetAttributes(&code, kernel);
      if (error != cudaSuccess || code.ptxVersion != grid_arch ||
          std::getenv("FDPP_NO_GRID"))
        return error;
      cudaDeviceGetAttribute(&blocks, cudaDevAttrMultiProcessorCount, device);
      cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin,
                             device);
      bytes -= int(code.sharedSizeBytes);
      error = cudaFuncSetAttribute(
          kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
      if (error != cudaSuccess)
        return error;
      model.grid_blocks = blocks;
      model.grid_bytes = bytes;
    }
    return cudaSuccess;
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
    if (!memory)
      return nullptr;
    auto *model =
        new (memory) Model{typename M::Weights(weights), phi, overlap, 0, 0};
    if (prepare_grid(*model, device) != cudaSuccess ||
        prepare_wgmma(*model, device) != cudaSuccess) {
      std::free(memory);
      return nullptr;
    }
    return static_cast<fdpp_model *>(memory);
  }

  static void destroy(fdpp_model *model) {
    static_assert(std::is_trivially_destructible_v<Model>);
    if (model)
      reinterpret_cast<Model *>(model)->graphs.clear();
    std::free(model);
  }

  /// Null for a step of a runtime that knows none.
  static int32_t *picks_of(const fdpp_step &step) {
    return FDPP_STEP_HAS(step, picks) ? step.picks : nullptr;
  }

  static Step step_of(const fdpp_step *args, const float *phi) {
    char *workspace = static_cast<char *>(args->workspace);
    char *state = workspace + state_offset();
    auto *tickets = reinterpret_cast<unsigned *>(state + ticket_offset);
    Batch batch{args->num_tokens,  args->num_seqs,
                args->seq_offsets, args->context,
                args->pages,       args->max_pages,
                tickets,           is_batch_invariant(*args)};
    PickBody picking{
        M::limits.vocab_size, args->logits,
        reinterpret_cast<unsigned long long *>(state + parts_offset), tickets,
        picks_of(*args)};
    return {step_base<Batch, typename M::KvCache>(*args, batch, workspace,
                                                  workspace + arena_bytes, phi),
            picking};
  }

  /// What a step has of it: nothing where it has few tokens, or where no
  /// sequence's results may depend on the others. Sums by wgmma and by mma
  /// differ in their last bits.
  static WgmmaSupport wgmma_of(const fdpp_step &args, const Model &model) {
    if (args.num_tokens <= most_narrow_tokens || is_batch_invariant(args))
      return {};
    WgmmaSupport support = model.wgmma;
    char *state = static_cast<char *>(args.workspace) + state_offset();
    support.space = {reinterpret_cast<float *>(state + cut_sums_offset),
                     reinterpret_cast<unsigned *>(state + meetings_offset)};
    return support;
  }

  /// Runs a decode step as one kernel; false if it has to be a chain.
  static bool run_grid(const Model &model, Stream &stream, const Step &step) {
    if constexpr (Decodes<M>) {
      if (model.grid_blocks == 0 || step.num_tokens > grid_tokens)
        return false;
      GridNeeds needs;
      M::decode(needs, model.weights, step);
      pick(needs, step);
      int stages = (model.grid_bytes - needs.shared_bytes) / stage_bytes;
      stages = stages < most_stages ? stages : most_stages;
      if (!needs.possible || stages < least_stages)
        return false;
      stream.launch_together(
          grid_kernel<M>, model.grid_blocks, grid_threads,
          stages * stage_bytes + needs.shared_bytes, model.weights, step,
          reinterpret_cast<GridState *>(step.workspace + state_offset()),
          stages);
      return true;
    }
    return false;
  }

  static void run_chain(Stream &stream, int entry,
                        const typename M::Weights &weights, const Step &step) {
    M::run(entry, stream, weights, step);
    pick(stream, step);
  }

  static int32_t step(fdpp_model *handle, fdpp_step *args) {
    if (check_counts(*args, M::limits) != FDPP_STATUS_OK)
      return args->status;
    Model &model = *reinterpret_cast<Model *>(handle);
    const float *phi = phi_of(*args, model.phi);
    const KernelListener listener = listener_of(*args);
    const bool decodes = args->entry == FDPP_DECODE && !listener.on_kernel;
    const WgmmaSupport wgmma = wgmma_of(*args, model);
    auto launch = [&](cudaStream_t queue) {
      Stream stream(queue, model.overlap && !listener.on_kernel, listener,
                    wgmma.encode ? &wgmma : nullptr);
      const Step step = step_of(args, phi);
      if (!decodes || !run_grid(model, stream, step))
        run_chain(stream, args->entry, model.weights, step);
      return stream.error();
    };
    auto queue = static_cast<cudaStream_t>(args->stream);
    cudaError_t error =
        decodes ? model.graphs.run(StepKey::of(*args, phi, picks_of(*args)),
                                   queue, launch)
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
  static constexpr fdpp_model_table table = [] {
    fdpp_model_table table = table_of<M, ModelTable>("cuda");
    table.picks = true;
    table.batch_invariant = true;
    return table;
  }();
};

/// The body of `fdpp_model_query`.
template <class M> const fdpp_model_table *query(uint32_t abi_version) {
  return abi_version == FDPP_STEP_ABI_VERSION ? &ModelTable<M>::table : nullptr;
}

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_MODEL_H
