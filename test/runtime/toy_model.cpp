// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A model.so for tests: the step ABI, written by hand. It checks every field
// of a step as strictly as the ABI allows and computes ToyFormula.h over the
// paged cache with the team it is given.
#include "ToyFormula.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <new>
#include <sched.h>
#include <thread>

/// How long a step takes at least, for tests that watch a model answer.
#ifndef TOY_STEP_MS
#define TOY_STEP_MS 0
#endif

#ifndef TOY_ABI
#define TOY_ABI FDPP_STEP_ABI_VERSION
#endif

/// The values that the model shows: a null pointer for none.
#ifdef TOY_TAPS
static const char *const kNames[] = {"slots", "logits", nullptr};
static const char *const *const kTapNames = kNames;
#else
static const char *const *const kTapNames = nullptr;
#endif

/// A table that ends before the taps, as the first engines had it.
#ifndef TOY_TABLE_SIZE
#define TOY_TABLE_SIZE sizeof(fdpp_model_table)
#endif

/// Whether the model counts the logits of its attention, as it has none:
/// toy::attentionLogit.
#ifndef TOY_COUNTS
#define TOY_COUNTS 1
#endif

/// Whether the model computes with the sgemm of a BLAS library.
#ifndef TOY_SGEMM
#define TOY_SGEMM 0
#endif

struct fdpp_model {
  const int32_t *embed, *bank;
  const float *phi;
};

namespace {

const fdpp_weight_entry kWeights[] = {
    {"embed", toy::kVocab * sizeof(int32_t), FDPP_I32, 1},
    {"bank", toy::kLayers * toy::kVocab * sizeof(int32_t), FDPP_I32,
     toy::kLayers},
};
const fdpp_model_limits kLimits = toy::limits();

/// Why the step breaks the ABI, or null.
const char *complaint(const fdpp_step &s) {
  if (s.struct_size != sizeof(fdpp_step))
    return "struct_size";
  if (s.num_tokens < 1 || s.num_tokens > kLimits.max_tokens)
    return "num_tokens";
  if (s.num_seqs < 1 || s.num_seqs > kLimits.max_sequences)
    return "num_seqs";
  if (s.num_rows < 0 || s.num_rows > kLimits.max_rows)
    return "num_rows";
  if (!(kLimits.entries >> s.entry & 1))
    return "entry not offered";
  if (reinterpret_cast<uintptr_t>(s.workspace) % 64 != 0)
    return "workspace alignment";
  if (s.seq_offsets[0] != 0 || s.seq_offsets[s.num_seqs] != s.num_tokens)
    return "seq_offsets";
  for (int32_t i = 0; i < s.num_seqs; ++i) {
    int32_t count = s.seq_offsets[i + 1] - s.seq_offsets[i];
    bool decodes =
        s.entry == FDPP_DECODE || (s.entry == FDPP_MIXED && i < s.decode_seqs);
    if (count < 1 || (decodes && count > kLimits.decode_tokens))
      return "tokens of a sequence";
    if (s.context[i] < count || s.context[i] > kLimits.max_context)
      return "context";
    if (s.context[i] > s.max_pages * toy::kPageTokens)
      return "max_pages";
    for (int32_t p = 0; p * toy::kPageTokens < s.context[i]; ++p)
      if (s.pages[i * s.max_pages + p] < 0 ||
          s.pages[i * s.max_pages + p] >= s.num_pages)
        return "page id";
  }
  for (int32_t t = 0; t < s.num_tokens; ++t)
    if (s.tokens[t] < 0 || s.tokens[t] >= toy::kVocab)
      return "token id";
  for (int32_t r = 0; r < s.num_rows; ++r)
    if (s.rows[r] < 0 || s.rows[r] >= s.num_tokens)
      return "row";
  if ((s.sgemm != nullptr) != TOY_SGEMM)
    return "sgemm";
  return nullptr;
}

/// True if the library multiplies [1 2; 3 4] by [5; 6] and adds [7; 8].
bool multiplies(fdpp_sgemm_fn sgemm) {
  const float a[] = {1, 2, 3, 4}, b[] = {5, 6};
  float c[] = {7, 8};
  sgemm(FDPP_ROW_MAJOR, FDPP_NO_TRANSPOSE, FDPP_NO_TRANSPOSE, 2, 1, 2, 1, a, 2,
        b, 1, 1, c, 1);
  return c[0] == 24 && c[1] == 47;
}

/// The cache of one step: where a slot of a sequence lies.
struct Cache {
  const fdpp_step &s;
  int32_t *page(int32_t layer, int32_t seq, int32_t slot) const {
    int32_t id = s.pages[seq * s.max_pages + slot / toy::kPageTokens];
    return static_cast<int32_t *>(s.cache) +
           (static_cast<int64_t>(layer) * s.num_pages + id) * toy::kPageInts;
  }
  int32_t &token(int32_t layer, int32_t seq, int32_t slot) const {
    return page(layer, seq, slot)[slot % toy::kPageTokens];
  }
  int32_t &position(int32_t layer, int32_t seq, int32_t slot) const {
    return page(layer, seq, slot)[toy::kPageTokens + slot % toy::kPageTokens];
  }
};

int32_t sequenceOf(const fdpp_step &s, int32_t token) {
  int32_t seq = 0;
  while (s.seq_offsets[seq + 1] <= token)
    ++seq;
  return seq;
}

int32_t slotOf(const fdpp_step &s, int32_t token) {
  int32_t seq = sequenceOf(s, token);
  return s.context[seq] - (s.seq_offsets[seq + 1] - token);
}

struct Work {
  const fdpp_model &model;
  const fdpp_step &step;
};

void append(void *ctx, int32_t index, int32_t count) {
  const fdpp_step &s = static_cast<Work *>(ctx)->step;
  Cache cache{s};
  for (int32_t t = index; t < s.num_tokens; t += count)
    for (int32_t l = 0; l < toy::kLayers; ++l) {
      int32_t seq = sequenceOf(s, t), slot = slotOf(s, t);
      cache.token(l, seq, slot) = s.tokens[t];
      cache.position(l, seq, slot) = s.positions[t];
    }
}

float logit(const Work &work, int32_t token, int32_t v) {
  const fdpp_step &s = work.step;
  Cache cache{s};
  int32_t seq = sequenceOf(s, token), sum = 0;
  for (int32_t l = 0; l < toy::kLayers; ++l)
    for (int32_t slot = 0; slot <= slotOf(s, token); ++slot)
      sum += toy::term(work.model.embed[cache.token(l, seq, slot)],
                       work.model.bank[l * toy::kVocab + v], slot,
                       cache.position(l, seq, slot));
  return static_cast<float>(sum);
}

void head(void *ctx, int32_t index, int32_t count) {
  Work &work = *static_cast<Work *>(ctx);
  // Barrier state in the workspace, as emitted code has it.
  auto &arrived = *static_cast<std::atomic<int32_t> *>(work.step.workspace);
  arrived.fetch_add(1);
  while (arrived.load() < count)
    sched_yield();
  for (int32_t r = 0; r < work.step.num_rows; ++r)
    for (int32_t v = index; v < toy::kVocab; v += count)
      work.step.logits[static_cast<int64_t>(r) * toy::kVocab + v] =
          logit(work, work.step.rows[r], v);
}

/// The slot of each token in every layer, then the logits.
void showValues(const fdpp_step &s) {
  auto show = [&](const char *name, const char *node, int32_t layer,
                  int32_t rows, int32_t columns, const float *data) {
    fdpp_tap tap = {sizeof(fdpp_tap), name, node,    layer,
                    FDPP_F32,         rows, columns, data};
    s.tap(s.tap_ctx, &tap);
  };
  static const char *const kNodes[] = {"graph/first", "graph/second"};
  float slots[64];
  for (int32_t t = 0; t < s.num_tokens; ++t)
    slots[t] = static_cast<float>(slotOf(s, t));
  for (int32_t l = 0; l < toy::kLayers; ++l)
    show("slots", kNodes[l], l, s.num_tokens, 1, slots);
  show("logits", "", -1, s.num_rows, toy::kVocab, s.logits);
}

/// The rows of every token, layer and head.
void countLogits(const fdpp_step &s) {
  const fdpp_attention_statistics &all = *s.attention_statistics;
  auto add = [&](uint64_t *histogram, int64_t row, float x) {
    auto bin = static_cast<int64_t>((x - all.low) / all.width);
    ++histogram[row * all.bins + std::clamp<int64_t>(bin, 0, all.bins - 1)];
  };
  auto widen = [&](int64_t at, float x) {
    all.extremes[at] = std::min(all.extremes[at], x);
    all.extremes[at + 1] = std::max(all.extremes[at + 1], x);
  };
  for (int32_t t = 0; t < s.num_tokens; ++t)
    for (int32_t row = 0; row < toy::kLayers * toy::kHeads; ++row) {
      float maximum = -INFINITY, sum = 0;
      for (int32_t slot = 0; slot <= slotOf(s, t); ++slot) {
        float x = toy::attentionLogit(row, slot);
        add(all.logits, row, x);
        widen(row * 4, x);
        maximum = std::max(maximum, x);
      }
      for (int32_t slot = 0; slot <= slotOf(s, t); ++slot)
        sum += std::exp(toy::attentionLogit(row, slot) - maximum);
      add(all.row_maximum, row, maximum);
      add(all.row_log_sum_exp, row, maximum + std::log(sum));
      widen(row * 4 + 2, maximum + std::log(sum));
    }
}

int32_t step(fdpp_model *model, fdpp_step *s) {
  s->status = FDPP_STATUS_OK;
  if (const char *why = complaint(*s)) {
    std::snprintf(s->message, sizeof(s->message), "toy: %s", why);
    return s->status = FDPP_STATUS_INVALID;
  }
  if (TOY_SGEMM && !multiplies(s->sgemm))
    return s->status = FDPP_STATUS_INTERNAL;
  Work work{*model, *s};
  std::this_thread::sleep_for(std::chrono::milliseconds(TOY_STEP_MS));
  new (s->workspace) std::atomic<int32_t>(0);
  auto done = [&](const char *kernel, int32_t layer) {
    if (s->on_kernel)
      s->on_kernel(s->kernel_ctx, kernel, layer);
  };
  s->executor->parallel(s->executor->self, append, &work);
  done("kv_append", -1);
  s->executor->parallel(s->executor->self, head, &work);
  for (int32_t l = 0; l < toy::kLayers; ++l) {
    done(s->entry == FDPP_PREFILL ? "prefill_attention" : "decode_attention",
         l);
    done("bank", l);
  }
  if (kTapNames && s->tap)
    showValues(*s);
  if (TOY_COUNTS && s->attention_statistics)
    countLogits(*s);
  // A phi above 100 stands for a head whose every row fails its test.
  const float *phi = s->phi ? s->phi : model->phi;
  for (int32_t i = 0; phi && i < toy::kLayers * toy::kHeads; ++i)
    if (phi[i] > 100)
      s->recomputed_rows[i] += s->num_tokens;
  return FDPP_STATUS_OK;
}

const fdpp_model_table kTable = {
    TOY_TABLE_SIZE,
    TOY_ABI,
    "cpu",
    "toy",
    "sse2",
    kWeights,
    2,
    kLimits,
    [](int32_t) -> uint64_t { return 64; },
    [](int32_t, const void *const *weights, const float *phi) {
      return new (std::nothrow)
          fdpp_model{static_cast<const int32_t *>(weights[0]),
                     static_cast<const int32_t *>(weights[1]), phi};
    },
    step,
    [](fdpp_model *model) { delete model; },
    kTapNames,
    /*reads_phi=*/1,
    TOY_COUNTS,
    TOY_SGEMM,
    /*picks=*/0,
    /*names_kernels=*/1,
};

} // namespace

#ifndef TOY_NO_SYMBOL
extern "C" __attribute__((visibility("default")))
const fdpp_model_table *fdpp_model_query(uint32_t abi) {
  return abi == TOY_ABI ? &kTable : nullptr;
}
#endif
