// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What one user of an engine owns: the model instance, the KV cache, the
// workspace, the thread team and the sequences.
#ifndef FDPP_RUNTIME_ENGINE_SESSION_H
#define FDPP_RUNTIME_ENGINE_SESSION_H

#include "Device.h"
#include "PageAllocator.h"
#include "PhiBank.h"
#include "Sampler.h"
#include "Sequence.h"
#include "StepBuilder.h"
#include "StepMirror.h"
#include "StepProfile.h"
#include "ThreadTeam.h"
#include "fdpp-runtime/model_abi.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <sys/types.h>
#include <vector>

namespace fdpp::runtime {

/// A loaded model; what it points to outlives every session on it.
struct ModelView {
  const fdpp_model_table *table;
  const void *const *weights;
  const float *phi;             // null: exact everywhere
  uint64_t stepWeightBytes = 0; // of the manifest, for the statistics
  uint64_t stepTokenBytes = 0;
  fdpp_sgemm_fn sgemm = nullptr; // for models with calls_sgemm
  Device *device = &cpuDevice(); // where `weights` lie
};

/// 0 means the default, which the constructor writes back.
struct SessionOptions {
  int32_t threads = 0;   // default: defaultThreads()
  int32_t context = 0;   // tokens a sequence may reach; min(max_context, 8192)
  int32_t sequences = 0; // alive at once; 1
  int32_t pages = 0;     // of the cache; enough for all sequences in full
  bool batchInvariant = false; // logits do not depend on the other sequences
};

constexpr int32_t kDefaultContext = 8192;

/// The options with every default filled in; throws a user error for values
/// the model cannot take.
SessionOptions resolveOptions(SessionOptions options,
                              const fdpp_model_limits &limits);

/// Bytes of the KV cache one token takes in all layers.
double cacheBytesPerToken(const fdpp_model_limits &limits);

/// Bytes set aside for logits: those kept for each sequence, and one step's.
uint64_t logitsBytes(const SessionOptions &options,
                     const fdpp_model_limits &limits);

struct PhaseStats {
  uint64_t steps = 0, tokens = 0;
  double ms = 0;
};

struct SessionStats {
  PhaseStats prefill; // steps of FDPP_PREFILL and FDPP_MIXED
  PhaseStats decode;  // steps of FDPP_DECODE
  uint64_t weightBytes = 0, cacheBytes = 0; // least traffic of those steps
  double sampleMs = 0;
};

/// Called between the model steps of one call with the tokens done so far;
/// a result other than 0 cancels the rest.
using ProgressFn = int32_t (*)(void *ctx, int32_t done, int32_t total);

class Session {
public:
  Session(const ModelView &model, const SessionOptions &options);
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  const SessionOptions &options() const { return settings; }
  const fdpp_model_limits &limits() const { return model.table->limits; }
  const PageAllocator &pages() const { return allocator; }
  ThreadTeam &team() { return threads; }
  Device &device() const { return *model.device; }

  /// `id` keys the sampler's random numbers.
  Sequence *createSequence(uint64_t id);
  void destroySequence(Sequence *sequence);
  /// A copy that shares the pages of `source` until one of them appends.
  Sequence *fork(const Sequence *source, uint64_t id);

  /// Runs all tokens of all items. Refuses the whole call before it starts,
  /// with nothing changed, when an argument is wrong, a sequence would outgrow
  /// the context or pages are short. Allocates nothing. Also refused while
  /// another step runs, which may be one of the process this was forked from.
  void step(const StepItem *items, int32_t count);

  /// Gives `sequence`, which must be empty, `count` tokens of id 0 whose keys
  /// and values are random numbers of `seed`; runs nothing.
  void fill(Sequence *sequence, int32_t count, uint64_t seed);

  /// Logits of the last token of `sequence`, if the latest call of `step` kept
  /// them; else null. Valid until the next call. Those of a device come here
  /// when they are asked for.
  const float *logits(const Sequence *sequence) const;
  bool hasLogits(const Sequence *sequence) const;
  /// A token by those logits, which there must be. Greedily without having
  /// them here, where the device has picked.
  int32_t sample(const Sequence &sequence, const SamplerParams &params);

  void setProgress(ProgressFn fn, void *ctx);
  /// Null: no tap. Throws a user error for an engine without taps.
  void setTap(fdpp_tap_fn fn, void *ctx);
  /// Tells of the kernels of later steps; null: of none. Throws a user error
  /// for an engine that does not name them.
  void setProfile(KernelTimeFn fn, void *ctx);
  /// Where later steps count the logits of attention; null: nowhere. Throws a
  /// user error for an engine that cannot.
  void countLogits(const fdpp_attention_statistics *statistics);
  SessionStats &stats() { return counters; }
  const SessionStats &stats() const { return counters; }
  /// layers x query_heads counts of rows redone exactly.
  const std::vector<uint64_t> &recomputed() const { return phi.counts(); }
  const PhiBank &phiBank() const { return phi; }
  void resetStats();

private:
  void check(const StepItem *items, int32_t count);
  void reservePages(const StepItem *items, int32_t count);
  bool canLeaveLogits(const StepItem *items) const;
  void runParts(const StepItem *items);
  void storeLogits(const StepItem *items, int32_t kept);
  void record(double ms);
  uint64_t fixedTokens() const;
  bool owns(const Sequence *sequence) const;
  float *logitsRow(int64_t row) const;

  const ModelView model;
  const SessionOptions settings;
  PageAllocator allocator;
  ThreadTeam threads;
  DeviceMemory cache, workspace, logitsBuffer;
  StepBuilder builder;
  Sampler sampling;
  fdpp_model *instance = nullptr;
  fdpp_step request = {};
  fdpp_attention_statistics statistics = {};
  std::vector<std::unique_ptr<Sequence>> sequences;
  PhiBank phi;
  std::unique_ptr<StepMirror> mirror;   // null where the device is the host
  std::unique_ptr<StepProfile> profile; // null: nobody wants it
  std::atomic<pid_t> stepping{0};       // the process a step runs in
  uint64_t serial = 0;       // of step calls, to know whose logits still stand
  mutable bool away = false; // the latest call's logits are only on the device
  SessionStats counters;
  ProgressFn progress = nullptr;
  void *progressContext = nullptr;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_SESSION_H
