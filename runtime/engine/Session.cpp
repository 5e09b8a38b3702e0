// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Session.h"

#include "CpuTopology.h"
#include "Error.h"
#include "RandomCache.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <string>
#include <unistd.h>

namespace fdpp::runtime {
namespace {

std::string text(int64_t number) { return std::to_string(number); }

int32_t pagesForContext(int32_t context, const fdpp_model_limits &limits) {
  return (context + limits.page_tokens - 1) / limits.page_tokens;
}

/// Null for engines without taps, also those that are older than taps.
const char *const *tapNames(const fdpp_model_table &table) {
  bool known = table.struct_size >= offsetof(fdpp_model_table, tap_names) +
                                        sizeof(fdpp_model_table::tap_names);
  return known ? table.tap_names : nullptr;
}

/// Also false for engines that are older than this.
bool countsLogits(const fdpp_model_table &table) {
  bool known = table.struct_size >= offsetof(fdpp_model_table, counts_logits) +
                                        sizeof(fdpp_model_table::counts_logits);
  return known && table.counts_logits;
}

/// Also false for engines that are older than this.
bool picks(const fdpp_model_table &table) {
  bool known = table.struct_size >= offsetof(fdpp_model_table, picks) +
                                        sizeof(fdpp_model_table::picks);
  return known && table.picks;
}

/// Also false for engines that are older than this.
bool canBeBatchInvariant(const fdpp_model_table &table) {
  bool known =
      table.struct_size >= offsetof(fdpp_model_table, batch_invariant) +
                               sizeof(fdpp_model_table::batch_invariant);
  return known && table.batch_invariant;
}

/// 0 for engines whose attention is exact, also those that are older than the
/// asynchronous softmax.
int32_t readsPhi(const fdpp_model_table &table) {
  bool known = table.struct_size >= offsetof(fdpp_model_table, reads_phi) +
                                        sizeof(fdpp_model_table::reads_phi);
  return known ? table.reads_phi : 0;
}

void checkOption(const char *name, int64_t value, int64_t most) {
  if (value < 1 || value > most)
    userError(std::string(name) + " " + text(value) +
              " is out of range; give 1 to " + text(most));
}

/// Marks a session as in a step as long as it lives.
class Stepping {
public:
  explicit Stepping(std::atomic<pid_t> &process) : process(process) {
    pid_t none = 0, own = getpid();
    if (process.compare_exchange_strong(none, own))
      return;
    if (none == own)
      userError("the session is in a step already; one thread at a time may "
                "use it");
    userError("the session was in a step when this process was forked; make "
              "another session here");
  }
  ~Stepping() { process = 0; }
  Stepping(const Stepping &) = delete;

private:
  std::atomic<pid_t> &process;
};

} // namespace

double cacheBytesPerToken(const fdpp_model_limits &limits) {
  return static_cast<double>(limits.page_bytes) * limits.layers /
         limits.page_tokens;
}

uint64_t logitsBytes(const SessionOptions &options,
                     const fdpp_model_limits &limits) {
  return (static_cast<uint64_t>(options.sequences) + limits.max_rows) *
         limits.vocab_size * sizeof(float);
}

SessionOptions resolveOptions(SessionOptions options,
                              const fdpp_model_limits &limits) {
  if (options.threads == 0)
    options.threads = defaultThreads();
  checkOption("threads", options.threads, 1024);
  if (options.context == 0)
    options.context = std::min(limits.max_context, kDefaultContext);
  checkOption("context", options.context, limits.max_context);
  if (options.sequences == 0)
    options.sequences = 1;
  checkOption("sequences", options.sequences, 1 << 16);
  int64_t full = static_cast<int64_t>(options.sequences) *
                 pagesForContext(options.context, limits);
  if (options.pages == 0)
    options.pages = static_cast<int32_t>(std::min<int64_t>(full, INT32_MAX));
  checkOption("pages", options.pages, INT32_MAX);
  return options;
}

Session::Session(const ModelView &view, const SessionOptions &wish)
    : model(view), settings(resolveOptions(wish, view.table->limits)),
      allocator(settings.pages), threads(settings.threads),
      cache(*model.device,
            limits().page_bytes * limits().layers * settings.pages, "KV cache"),
      workspace(*model.device, model.table->workspace_size(settings.threads),
                "workspace"),
      logitsBuffer(
          cpuDevice(),
          (static_cast<uint64_t>(settings.sequences) + limits().max_rows) *
              limits().vocab_size * sizeof(float),
          "logits"),
      builder(limits(), settings.sequences,
              pagesForContext(settings.context, limits())),
      sampling(limits().vocab_size),
      phi(limits(), model.phi, readsPhi(*model.table) != 0) {
  if (settings.batchInvariant && !canBeBatchInvariant(*model.table))
    userError("the engine's logits depend on the other sequences of a batch; "
              "compile it again with this version and without a library's "
              "linears (--tuning=none)");
  sequences.reserve(settings.sequences);
  request.batch_invariant = settings.batchInvariant;
  request.struct_size = sizeof(request);
  request.num_pages = settings.pages;
  request.cache = cache.data();
  request.workspace = workspace.data();
  request.executor = &threads.executor();
  request.recomputed_rows = phi.counters();
  request.phi = phi.data();
  request.sgemm = model.sgemm;
  request.stream = model.device->stream();
  const bool host = model.device->isHost();
  if (!host)
    mirror = std::make_unique<StepMirror>(
        *model.device, limits(), settings.sequences,
        pagesForContext(settings.context, limits()), phi, picks(*model.table));
  instance = model.table->create(model.device->index(), model.weights,
                                 host ? model.phi : nullptr);
  if (!instance)
    throw Error(ErrorKind::Memory, "no memory for the model");
}

Session::~Session() { model.table->destroy(instance); }

Sequence *Session::createSequence(uint64_t id) {
  if (static_cast<int32_t>(sequences.size()) == settings.sequences)
    userError("the session has its " + text(settings.sequences) +
              " sequences; end one or make the session with more");
  sequences.push_back(std::make_unique<Sequence>(
      id, allocator, limits().page_tokens, settings.context));
  return sequences.back().get();
}

void Session::destroySequence(Sequence *sequence) {
  std::erase_if(sequences,
                [&](const auto &own) { return own.get() == sequence; });
}

Sequence *Session::fork(const Sequence *source, uint64_t id) {
  if (!owns(source))
    userError("the sequence to fork is not of this session");
  Sequence *copy = createSequence(id);
  copy->shareFrom(*source);
  return copy;
}

bool Session::owns(const Sequence *sequence) const {
  return std::any_of(sequences.begin(), sequences.end(),
                     [&](const auto &own) { return own.get() == sequence; });
}

void Session::setProgress(ProgressFn fn, void *ctx) {
  progress = fn;
  progressContext = ctx;
}

void Session::setTap(fdpp_tap_fn fn, void *ctx) {
  if (fn && !tapNames(*model.table))
    userError("the engine shows no intermediate values; compile it with "
              "--taps");
  request.tap = fn;
  request.tap_ctx = ctx;
}

void Session::setProfile(KernelTimeFn fn, void *ctx) {
  profile.reset();
  request.on_kernel = nullptr;
  if (fn)
    profile =
        std::make_unique<StepProfile>(*model.device, *model.table, fn, ctx);
}

void Session::countLogits(const fdpp_attention_statistics *given) {
  if (given && !countsLogits(*model.table))
    userError(model.device->isHost()
                  ? "the engine does not count the logits of attention; "
                    "compile it again with this version"
                  : "engines for this device do not count the logits of "
                    "attention; compile the model for the cpu to calibrate");
  if (given)
    statistics = *given;
  request.attention_statistics = given ? &statistics : nullptr;
}

void Session::resetStats() {
  counters = {};
  phi.reset();
  if (mirror)
    mirror->sendCounters();
}

float *Session::logitsRow(int64_t row) const {
  return static_cast<float *>(logitsBuffer.data()) + row * limits().vocab_size;
}

bool Session::hasLogits(const Sequence *sequence) const {
  return sequence->logitsSerial == serial;
}

const float *Session::logits(const Sequence *sequence) const {
  if (!hasLogits(sequence))
    return nullptr;
  if (away)
    mirror->receiveLogits(logitsRow(0));
  away = false;
  return sequence->logits;
}

int32_t Session::sample(const Sequence &sequence, const SamplerParams &params) {
  if (away && isGreedy(params)) {
    int32_t token =
        mirror->pick((sequence.logits - logitsRow(0)) / limits().vocab_size);
    if (token < 0)
      refuseLogits();
    return token;
  }
  return sampling.sample(logits(&sequence), params, sequence.tokens().data(),
                         sequence.length(), sequence.id(), sequence.length());
}

void Session::check(const StepItem *items, int32_t count) {
  if (count < 1)
    userError("a step needs at least one sequence");
  for (int32_t i = 0; i < count; ++i) {
    const StepItem &item = items[i];
    if (!owns(item.sequence))
      userError("item " + text(i) + " names a sequence of another session");
    for (int32_t j = 0; j < i; ++j)
      if (items[j].sequence == item.sequence)
        userError("items " + text(j) + " and " + text(i) +
                  " name the same sequence");
    if (item.count < 1)
      userError("item " + text(i) + " brings no token");
    for (int32_t t = 0; t < item.count; ++t)
      if (item.tokens[t] < 0 || item.tokens[t] >= limits().vocab_size)
        userError("token id " + text(item.tokens[t]) +
                  " is not in the vocabulary of " + text(limits().vocab_size));
    int64_t length = int64_t{item.sequence->length()} + item.count;
    if (length > settings.context)
      throw Error(ErrorKind::Context, text(length) +
                                          " tokens do not fit the context of " +
                                          text(settings.context) +
                                          "; shorten the prompt or raise "
                                          "the context, at most to " +
                                          text(limits().max_context));
  }
}

void Session::reservePages(const StepItem *items, int32_t count) {
  int64_t needed = 0;
  for (int32_t i = 0; i < count; ++i)
    needed += items[i].sequence->pagesNeeded(items[i].count);
  if (needed > allocator.freePages())
    throw Error(ErrorKind::NoPage,
                "no free page: the step needs " + text(needed) + " pages of " +
                    text(limits().page_tokens) + " tokens and " +
                    text(allocator.freePages()) + " of " +
                    text(allocator.pages()) +
                    " are free; end a sequence or make the cache larger");
  for (int32_t i = 0; i < count; ++i) {
    Sequence::PageCopy copy = items[i].sequence->reserve(items[i].count);
    if (copy.to < 0)
      continue;
    auto *base = static_cast<uint8_t *>(cache.data());
    for (int32_t layer = 0; layer < limits().layers; ++layer) {
      uint8_t *of = base + limits().page_bytes * settings.pages * layer;
      model.device->copy(of + limits().page_bytes * copy.to,
                         of + limits().page_bytes * copy.from,
                         limits().page_bytes);
    }
  }
}

void Session::step(const StepItem *items, int32_t count) {
  Stepping mark(stepping);
  check(items, count);
  reservePages(items, count);
  ++serial;
  away = false;
  try {
    builder.begin(items, count);
    runParts(items);
  } catch (...) {
    // Sequences keep what finished; pages taken for the rest go back.
    for (int32_t i = 0; i < count; ++i)
      items[i].sequence->truncate(items[i].sequence->length());
    throw;
  }
}

void Session::fill(Sequence *sequence, int32_t count, uint64_t seed) {
  Stepping mark(stepping);
  if (!owns(sequence))
    userError("the sequence to fill is not of this session");
  if (sequence->length() > 0)
    userError("the sequence to fill has " + text(sequence->length()) +
              " tokens; truncate it to 0 first");
  std::vector<int32_t> ids(std::max(count, 0), 0);
  StepItem item{sequence, ids.data(), count};
  check(&item, 1);
  reservePages(&item, 1);
  try {
    fillRandom({cache.data(), limits().page_bytes, limits().layers,
                settings.pages, limits().cache_dtype, sequence->pages()},
               seed, *model.device, threads);
  } catch (...) {
    sequence->truncate(0); // gives the pages back
    throw;
  }
  sequence->append(ids.data(), count);
}

/// True if nobody else wants the logits of a step that is taken in one.
bool Session::canLeaveLogits(const StepItem *items) const {
  return mirror && picks(*model.table) &&
         request.num_tokens == builder.total() &&
         std::all_of(builder.rows().begin(), builder.rows().end(),
                     [&](const LogitsRow &row) {
                       return row.keep && !items[row.item].allLogits;
                     });
}

void Session::runParts(const StepItem *items) {
  using Clock = std::chrono::steady_clock;
  const int32_t total = builder.total();
  int32_t done = 0, kept = 0;
  for (request.logits = logitsRow(0); builder.next(request);
       request.logits = logitsRow(kept)) {
    request.status = FDPP_STATUS_OK;
    request.message[0] = 0;
    if (profile)
      profile->begin(request);
    Clock::time_point start = Clock::now();
    fdpp_step &given = mirror ? mirror->send(request) : request;
    if (model.table->step(instance, &given) != FDPP_STATUS_OK) {
      given.message[sizeof(given.message) - 1] = 0;
      throw Error(ErrorKind::Internal,
                  std::string("the model refused a step: ") + given.message +
                      "; this is a defect of the engine, compile it again");
    }
    if (mirror) {
      mirror->receive();
      away = canLeaveLogits(items);
      if (!away)
        mirror->receiveLogits(logitsRow(kept));
    }
    record(std::chrono::duration<double, std::milli>(Clock::now() - start)
               .count());
    if (profile)
      profile->finish(request);
    for (const StepPart &part : builder.parts())
      items[part.item].sequence->append(items[part.item].tokens + part.begin,
                                        part.count);
    storeLogits(items, kept);
    for (const LogitsRow &row : builder.rows())
      kept += row.keep;
    done += request.num_tokens;
    if (progress && done < total && progress(progressContext, done, total))
      throw Error(ErrorKind::Cancelled, "cancelled after " + text(done) +
                                            " of " + text(total) + " tokens");
  }
}

/// Notes where kept rows stand and copies the others to their owners. The kept
/// rows come first, so that the next model step can write behind them.
void Session::storeLogits(const StepItem *items, int32_t kept) {
  const int64_t vocab = limits().vocab_size;
  const std::vector<LogitsRow> &rows = builder.rows();
  for (size_t r = 0; r < rows.size(); ++r) {
    const StepItem &item = items[rows[r].item];
    const float *source = logitsRow(kept + static_cast<int64_t>(r));
    if (rows[r].keep) {
      item.sequence->logits = source;
      item.sequence->logitsSerial = serial;
    }
    if (item.allLogits)
      std::memcpy(item.allLogits + rows[r].token * vocab, source,
                  vocab * sizeof(float));
  }
}

/// Tokens of the step whose attention has an asynchronous softmax.
uint64_t Session::fixedTokens() const {
  if (request.entry == FDPP_DECODE || readsPhi(*model.table) == 2)
    return request.num_tokens;
  return request.entry == FDPP_MIXED ? request.seq_offsets[request.decode_seqs]
                                     : 0;
}

void Session::record(double ms) {
  phi.record(fixedTokens());
  PhaseStats &phase =
      request.entry == FDPP_DECODE ? counters.decode : counters.prefill;
  ++phase.steps;
  phase.tokens += request.num_tokens;
  phase.ms += ms;
  uint64_t slots = request.num_tokens; // written once
  for (int32_t s = 0; s < request.num_seqs; ++s)
    slots += request.context[s]; // read once
  counters.weightBytes +=
      model.stepWeightBytes + model.stepTokenBytes * request.num_tokens;
  counters.cacheBytes += static_cast<uint64_t>(cacheBytesPerToken(limits()) *
                                               static_cast<double>(slots));
}

} // namespace fdpp::runtime
