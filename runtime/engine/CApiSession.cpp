// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp.h: sequences, steps, sampling, statistics.
#include "CApiSupport.h"

#include <numeric>

using namespace fdpp::runtime;

namespace {

fdpp_sequence *keep(fdpp_session *session, Sequence *sequence) {
  try {
    session->sequences.push_back(std::make_unique<fdpp_sequence>());
  } catch (...) {
    session->session.destroySequence(sequence);
    throw;
  }
  *session->sequences.back() = {session, sequence};
  return session->sequences.back().get();
}

StepItem readItem(const fdpp_session *session, const fdpp_step_item *given) {
  fdpp_step_item item = readStruct(given);
  need(item.sequence, "sequence");
  need(item.tokens || item.count < 1, "tokens");
  if (item.sequence->session != session)
    userError("an item names a sequence of another session");
  return {item.sequence->sequence, item.tokens, item.count,
          item.logits == FDPP_LOGITS_LAST, item.all_logits};
}

/// A value of the step ABI as one of the C API.
void showValue(void *ctx, const fdpp_tap *tap) {
  static_assert(int{FDPP_VALUE_F32} == int{FDPP_F32} &&
                int{FDPP_VALUE_BF16} == int{FDPP_BF16} &&
                int{FDPP_VALUE_F16} == int{FDPP_F16});
  const auto &session = *static_cast<const fdpp_session *>(ctx);
  fdpp_value value = {};
  value.struct_size = sizeof(value);
  value.name = tap->name;
  value.node = tap->node;
  value.layer = tap->layer;
  value.dtype = tap->dtype;
  value.rows = tap->rows;
  value.columns = tap->columns;
  value.data = tap->data;
  session.onValue(session.valueCtx, &value);
}

void showKernel(void *ctx, const KernelTime &kernel) {
  const auto &session = *static_cast<const fdpp_session *>(ctx);
  fdpp_kernel_time value = {};
  value.struct_size = sizeof(value);
  value.name = kernel.name;
  value.layer = kernel.layer;
  value.start_ms = kernel.start * 1e3;
  value.ms = kernel.seconds * 1e3;
  value.bytes = kernel.bytes;
  session.onKernel(session.kernelCtx, &value);
}

} // namespace

SamplerParams fdpp::runtime::readSampling(const fdpp_sampling *given) {
  fdpp_sampling known = readStruct(given);
  SamplerParams params;
  params.temperature = known.temperature;
  params.topK = known.top_k;
  params.topP = known.top_p == 0 ? 1 : known.top_p;
  params.minP = known.min_p;
  params.repeatPenalty = known.repeat_penalty == 0 ? 1 : known.repeat_penalty;
  params.seed = known.seed;
  checkSampler(params);
  return params;
}

extern "C" {

void fdpp_session_set_progress(fdpp_session *session, fdpp_progress_fn progress,
                               void *ctx) {
  session->session.setProgress(progress, ctx);
}

fdpp_result fdpp_sequence_create(fdpp_session *session, uint64_t id,
                                 fdpp_sequence **sequence) {
  return guarded([&] {
    need(session && sequence, "session and sequence");
    *sequence = keep(session, session->session.createSequence(id));
  });
}

void fdpp_sequence_destroy(fdpp_sequence *sequence) {
  if (!sequence)
    return;
  fdpp_session *session = sequence->session;
  session->session.destroySequence(sequence->sequence);
  std::erase_if(session->sequences,
                [&](const auto &own) { return own.get() == sequence; });
}

fdpp_result fdpp_sequence_fork(fdpp_sequence *source, uint64_t id,
                               fdpp_sequence **sequence) {
  return guarded([&] {
    need(source && sequence, "source and sequence");
    *sequence = keep(source->session,
                     source->session->session.fork(source->sequence, id));
  });
}

int32_t fdpp_sequence_length(const fdpp_sequence *sequence) {
  return sequence->sequence->length();
}

const int32_t *fdpp_sequence_tokens(const fdpp_sequence *sequence) {
  return sequence->sequence->tokens().data();
}

fdpp_result fdpp_sequence_truncate(fdpp_sequence *sequence, int32_t length) {
  return guarded([&] {
    need(sequence, "sequence");
    if (length < 0 || length > sequence->sequence->length())
      userError("cannot truncate a sequence of " +
                std::to_string(sequence->sequence->length()) + " tokens to " +
                std::to_string(length));
    sequence->sequence->truncate(length);
  });
}

fdpp_result fdpp_sequence_fill(fdpp_sequence *sequence, int32_t count,
                               uint64_t seed) {
  return guarded([&] {
    need(sequence, "sequence");
    sequence->session->session.fill(sequence->sequence, count, seed);
  });
}

fdpp_result fdpp_session_step(fdpp_session *session,
                              const fdpp_step_item *items, size_t count) {
  return guarded([&] {
    need(session && (items || count == 0), "session and items");
    if (count > static_cast<size_t>(session->session.options().sequences))
      userError("more items than the session has sequences");
    session->items.clear();
    for (size_t i = 0; i < count; ++i)
      session->items.push_back(readItem(session, element(items, i)));
    session->session.step(session->items.data(), static_cast<int32_t>(count));
  });
}

fdpp_result fdpp_session_set_tap(fdpp_session *session, fdpp_value_fn on_value,
                                 void *ctx) {
  return guarded([&] {
    need(session, "session");
    session->session.setTap(on_value ? showValue : nullptr, session);
    session->onValue = on_value;
    session->valueCtx = ctx;
  });
}

fdpp_result fdpp_session_set_profile(fdpp_session *session,
                                     fdpp_kernel_time_fn on_kernel, void *ctx) {
  return guarded([&] {
    need(session, "session");
    session->session.setProfile(on_kernel ? showKernel : nullptr, session);
    session->onKernel = on_kernel;
    session->kernelCtx = ctx;
  });
}

fdpp_result fdpp_session_count_logits(fdpp_session *session,
                                      const fdpp_logit_counts *counts) {
  return guarded([&] {
    need(session, "session");
    if (!counts)
      return session->session.countLogits(nullptr);
    fdpp_logit_counts given = readStruct(counts);
    need(given.logits && given.row_maximum && given.row_log_sum_exp &&
             given.extremes,
         "the arrays to count in");
    if (given.bins < 1 || !(given.width > 0))
      userError("a histogram needs bins of some width");
    fdpp_attention_statistics statistics = {};
    statistics.struct_size = sizeof(statistics);
    statistics.bins = given.bins;
    statistics.low = given.low;
    statistics.width = given.width;
    statistics.logits = given.logits;
    statistics.row_maximum = given.row_maximum;
    statistics.row_log_sum_exp = given.row_log_sum_exp;
    statistics.extremes = given.extremes;
    session->session.countLogits(&statistics);
  });
}

const float *fdpp_sequence_logits(const fdpp_sequence *sequence) {
  return sequence->session->session.logits(sequence->sequence);
}

fdpp_result fdpp_sequence_sample(fdpp_sequence *sequence,
                                 const fdpp_sampling *sampling,
                                 int32_t *token) {
  return guarded([&] {
    need(sequence && token, "sequence and token");
    Session &session = sequence->session->session;
    if (!session.hasLogits(sequence->sequence))
      userError("no logits to sample from; step with FDPP_LOGITS_LAST first");
    *token = session.sample(*sequence->sequence, readSampling(sampling));
  });
}

fdpp_result fdpp_session_get_stats(const fdpp_session *session,
                                   fdpp_stats *stats) {
  return guarded([&] {
    need(session, "session");
    const Session &own = session->session;
    const SessionStats &counters = own.stats();
    fdpp_stats value = {};
    value.prefill_tokens = counters.prefill.tokens;
    value.prefill_steps = counters.prefill.steps;
    value.prefill_ms = counters.prefill.ms;
    value.decode_tokens = counters.decode.tokens;
    value.decode_steps = counters.decode.steps;
    value.decode_ms = counters.decode.ms;
    value.sample_ms = counters.sampleMs;
    value.weight_bytes = counters.weightBytes;
    value.cache_bytes = counters.cacheBytes;
    value.recomputed_rows = std::accumulate(
        own.recomputed().begin(), own.recomputed().end(), uint64_t{0});
    value.total_pages = own.pages().pages();
    value.free_pages = own.pages().freePages();
    value.phi_rows = own.phiBank().rows();
    value.exact_heads = own.phiBank().switched();
    writeStruct(stats, value);
  });
}

void fdpp_session_reset_stats(fdpp_session *session) {
  session->session.resetStats();
}

const uint64_t *fdpp_session_recomputed(const fdpp_session *session) {
  return session->session.recomputed().data();
}

fdpp_result fdpp_session_read_ceiling(fdpp_session *session, uint64_t bytes,
                                      double *bytes_per_second) {
  return guarded([&] {
    need(session && bytes_per_second, "session and bytes_per_second");
    Device &device = session->session.device();
    if (!device.isHost()) {
      *bytes_per_second = device.readCeiling(bytes);
      return;
    }
    if (!session->ceiling || session->ceiling->bytes() != bytes)
      session->ceiling.emplace(bytes);
    *bytes_per_second = session->ceiling->measure(session->session.team());
  });
}

} // extern "C"
