// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "StepMirror.h"

#include <algorithm>
#include <cstring>

namespace fdpp::runtime {

/// Words of a step's arrays: tokens, positions, offsets, context, pages, rows.
static uint64_t wordsOf(const fdpp_model_limits &limits, int32_t sequences,
                        int32_t maxPages) {
  uint64_t most = std::min(sequences, limits.max_sequences);
  return 2 * uint64_t(limits.max_tokens) + 2 * most + 1 + most * maxPages +
         limits.max_rows;
}

StepMirror::StepMirror(Device &device, const fdpp_model_limits &limits,
                       int32_t sequences, int32_t maxPages, PhiBank &phi,
                       bool picks)
    : device(device), phi(phi), vocabulary(limits.vocab_size),
      heads(int64_t{limits.layers} * limits.query_heads), picks(picks),
      staging(device, wordsOf(limits, sequences, maxPages) * sizeof(int32_t)),
      picked(device, uint64_t(limits.max_rows) * sizeof(int32_t)),
      arrays(device, staging.size(), "step arrays"),
      logits(device, uint64_t(limits.max_rows) * vocabulary * sizeof(float),
             "logits"),
      counters(device, heads * sizeof(uint64_t), "counters"),
      phiThere(device, heads * sizeof(float), "phi"),
      picksThere(device, picked.size(), "picks") {}

const int32_t *StepMirror::stage(const int32_t *array, int64_t count) {
  std::memcpy(static_cast<int32_t *>(staging.data()) + used, array,
              count * sizeof(int32_t));
  used += count;
  return static_cast<const int32_t *>(arrays.data()) + used - count;
}

fdpp_step &StepMirror::send(const fdpp_step &step) {
  used = 0;
  sent = step;
  sent.tokens = stage(step.tokens, step.num_tokens);
  sent.positions = stage(step.positions, step.num_tokens);
  sent.seq_offsets = stage(step.seq_offsets, step.num_seqs + 1);
  sent.context = stage(step.context, step.num_seqs);
  sent.pages = stage(step.pages, int64_t{step.num_seqs} * step.max_pages);
  sent.rows = stage(step.rows, step.num_rows);
  device.upload(arrays.data(), staging.data(), used * sizeof(int32_t));
  sent.logits = static_cast<float *>(logits.data());
  sent.recomputed_rows = static_cast<uint64_t *>(counters.data());
  sent.picks = picks ? static_cast<int32_t *>(picksThere.data()) : nullptr;
  sent.phi = nullptr;
  if (!phi.data())
    return sent;
  if (sentSwitched != phi.switched())
    device.upload(phiThere.data(), phi.data(), phiThere.size());
  sentSwitched = phi.switched();
  sent.phi = static_cast<const float *>(phiThere.data());
  return sent;
}

void StepMirror::sendCounters() {
  device.upload(counters.data(), phi.counters(), counters.size());
  device.wait();
}

void StepMirror::receive() {
  if (picks)
    device.download(picked.data(), picksThere.data(),
                    sent.num_rows * sizeof(int32_t));
  if (phi.data())
    device.download(phi.counters(), counters.data(), counters.size());
  device.wait();
}

void StepMirror::receiveLogits(float *to) {
  device.download(to, logits.data(),
                  sent.num_rows * vocabulary * sizeof(float));
  device.wait();
}

} // namespace fdpp::runtime
