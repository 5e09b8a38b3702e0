// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Steps kept as CUDA graphs. A decode step launches some ten kernels a layer,
// each of which takes the host longer to enqueue than the device to run; a
// graph of them is one launch. What a graph holds is fixed: grids and
// arguments. Of a step these are its counts and addresses; lengths, pages and
// tokens are read by the kernels, so one graph serves every step of as many
// tokens.
#ifndef FDPP_KERNELS_CUDA_GRAPHS_H
#define FDPP_KERNELS_CUDA_GRAPHS_H

#include "kernels/common/model.h"

#include <cstring>
#include <cuda_runtime_api.h>

namespace fdpp::cuda {

/// All of a step that its launches depend on.
struct StepKey {
  int32_t counts[8];
  const void *addresses[12];

  static StepKey of(const fdpp_step &step, const float *phi,
                    const int32_t *picks) {
    StepKey key;
    std::memset(&key, 0, sizeof key); // padding is compared, too
    const int32_t counts[] = {step.entry,       step.num_tokens,
                              step.num_seqs,    step.num_rows,
                              step.max_pages,   step.num_pages,
                              step.decode_seqs, is_batch_invariant(step)};
    const void *addresses[] = {
        step.tokens,          step.positions, step.seq_offsets,
        step.context,         step.pages,     step.rows,
        step.cache,           step.logits,    step.workspace,
        step.recomputed_rows, picks,          phi};
    std::memcpy(key.counts, counts, sizeof counts);
    std::memcpy(key.addresses, addresses, sizeof addresses);
    return key;
  }
  bool operator==(const StepKey &other) const {
    return std::memcmp(this, &other, sizeof *this) == 0;
  }
};

/// The graphs of a session's steps. A step is launched kernel by kernel when it
/// is new, which loads its kernels, and becomes a graph when it comes again.
/// When there are too many, the oldest goes.
class StepGraphs {
public:
  /// Runs launch(stream), which enqueues the step's kernels and returns the
  /// first error, or what it enqueued before.
  template <class Launch>
  cudaError_t run(const StepKey &key, cudaStream_t stream, Launch launch) {
    Entry *entry = find(key);
    if (!entry) {
      add(key);
      return launch(stream);
    }
    if (!entry->graph) {
      cudaError_t error = capture(*entry, stream, launch);
      if (error != cudaSuccess)
        return error;
    }
    return cudaGraphLaunch(entry->graph, stream);
  }

  void clear() {
    for (Entry &entry : entries)
      drop(entry);
  }

private:
  static constexpr int most = 64;
  struct Entry {
    StepKey key;
    cudaGraphExec_t graph; // null: seen once
    bool used;
  };

  Entry *find(const StepKey &key) {
    for (Entry &entry : entries)
      if (entry.used && entry.key == key)
        return &entry;
    return nullptr;
  }

  void add(const StepKey &key) {
    Entry &entry = entries[next];
    next = (next + 1) % most;
    drop(entry);
    entry = {key, nullptr, true};
  }

  static void drop(Entry &entry) {
    if (entry.graph)
      cudaGraphExecDestroy(entry.graph);
    entry.graph = nullptr;
    entry.used = false;
  }

  template <class Launch>
  static cudaError_t capture(Entry &entry, cudaStream_t stream, Launch launch) {
    cudaError_t error =
        cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    if (error != cudaSuccess)
      return error;
    cudaError_t launched = launch(stream);
    cudaGraph_t graph = nullptr;
    error = cudaStreamEndCapture(stream, &graph);
    if (launched == cudaSuccess && error == cudaSuccess)
      error = cudaGraphInstantiate(&entry.graph, graph, 0);
    if (graph)
      cudaGraphDestroy(graph);
    return launched != cudaSuccess ? launched : error;
  }

  Entry entries[most] = {};
  int next = 0;
};

} // namespace fdpp::cuda

#endif // FDPP_KERNELS_CUDA_GRAPHS_H
