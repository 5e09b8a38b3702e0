/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The C API of libfdpp_runtime.so: open an engine that fdpp-compile wrote,
 * turn text into tokens, run steps, sample, generate.
 *
 *   engine    an engine folder, checked and mapped; immutable
 *   session   KV cache, workspace and threads over one engine
 *   sequence  the tokens of one conversation, with pages of the cache
 *
 * Errors. Functions that can fail return FDPP_OK or another fdpp_result and
 * leave one line for people (lower case: what, where, what to do) in
 * fdpp_last_error(). After a failure nothing has changed unless the function
 * says otherwise, and outputs are untouched.
 *
 * Threads. An engine may be used by any number of threads. A session and its
 * sequences belong to one thread at a time; different sessions run in
 * parallel. fdpp_last_error() is per thread. Callbacks run on the calling
 * thread and must not call back into their session.
 *
 * Ownership. Whoever calls a create or open function calls the matching
 * destroy or close. A session keeps its engine alive and a sequence ends with
 * its session, so any order is safe. Pointers that a function hands out say
 * how long they hold. All pointers given in are only read, during the call.
 *
 * Structs. Each begins with `struct_size`, which the caller sets to sizeof the
 * struct: fields are only ever appended, and neither side touches what the
 * other does not have. In an array of structs every element carries the same
 * struct_size, which is also the stride. Zero every struct first: a zero field
 * means the default.
 *
 * Units. Sizes are bytes, times are milliseconds, text is UTF-8 with its size
 * in bytes (embedded zeros are allowed), token ids are int32_t.
 */
#ifndef FDPP_RUNTIME_FDPP_H
#define FDPP_RUNTIME_FDPP_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define FDPP_API __attribute__((visibility("default")))
#else
#define FDPP_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Results ----------------------------------------------------------- */

typedef int32_t fdpp_result;
enum {
  FDPP_OK = 0,
  FDPP_ERROR = 1, /* a wrong argument, or an engine that cannot be used */
  FDPP_ERROR_CONTEXT = 2,  /* a sequence would outgrow its context */
  FDPP_ERROR_NO_PAGE = 3,  /* the cache has no free page; nothing was lost */
  FDPP_ERROR_MEMORY = 4,   /* the system has no memory */
  FDPP_CANCELLED = 5,      /* a callback asked to stop */
  FDPP_ERROR_INTERNAL = 70 /* a defect of fdpp or of the engine */
};

/* The message of the calling thread's last failure, "" before any. Holds until
 * the thread's next failure. */
FDPP_API const char *fdpp_last_error(void);

/* The runtime's version, "0.1.0". Holds forever. */
FDPP_API const char *fdpp_version(void);

/* ---- Devices ----------------------------------------------------------- */

struct fdpp_device_info {
  size_t struct_size;
  const char *kind;        /* "cpu" or "cuda" */
  const char *name;        /* as the hardware says it */
  const char *features;    /* comma-separated, LLVM's spelling; cuda: "sm_90" */
  int32_t cores;           /* physical, within the affinity mask; cuda: SMs */
  int32_t default_threads; /* cores, capped by the cgroup; cuda: 0 */
  /* bytes a new allocation may take now; cuda: all that the device has */
  uint64_t available_memory;
};

FDPP_API int32_t fdpp_device_count(void);
/* The strings hold until the calling thread asks again. */
FDPP_API fdpp_result fdpp_device_get(int32_t index,
                                     struct fdpp_device_info *info);

/* ---- Engine ------------------------------------------------------------ */

typedef struct fdpp_engine fdpp_engine;

struct fdpp_engine_options {
  size_t struct_size;
  int32_t verify; /* not 0: compare the SHA-256 of every file */
};

/* Opens an engine folder after every check of docs/engine-format.md. `options`
 * may be null. */
FDPP_API fdpp_result fdpp_engine_open(const char *folder,
                                      const struct fdpp_engine_options *options,
                                      fdpp_engine **engine);
/* Null is allowed. */
FDPP_API void fdpp_engine_close(fdpp_engine *engine);

struct fdpp_engine_info {
  size_t struct_size;
  /* Strings hold as long as the engine; "" when the engine does not say. */
  const char *product_version; /* of the compiler */
  const char *name;
  const char *family;
  const char *target;
  const char *arch;         /* comma-separated */
  const char *features;     /* comma-separated */
  const char *weight_dtype; /* "bf16" */
  const char *cache_dtype;
  uint64_t parameters; /* 0: not told */
  int32_t layers;
  int32_t query_heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t vocab_size;
  int32_t max_context;   /* tokens a sequence may reach */
  int32_t max_tokens;    /* of one model step; a call takes any number */
  int32_t max_sequences; /* of one model step; a call takes any number */
  int32_t page_tokens;
  uint64_t weight_bytes;          /* of the weight file */
  uint64_t step_weight_bytes;     /* weights every decode step reads */
  uint64_t step_token_bytes;      /* weights each token adds to that */
  uint64_t cache_bytes_per_token; /* keys and values of all layers */
  int32_t has_tokenizer;          /* text in and out works */
  int32_t has_chat;               /* fdpp_apply_chat works */
  const int32_t *stop_tokens;     /* ids that end a generation */
  int32_t num_stop_tokens;
};

FDPP_API fdpp_result fdpp_engine_get_info(const fdpp_engine *engine,
                                          struct fdpp_engine_info *info);

/* ---- Text -------------------------------------------------------------- */

/* Text to token ids. `add_special`: let the tokenizer add what the model
 * expects around a text (BOS). Special tokens spelled in the text are
 * recognised either way. `*count` becomes the number of tokens, also when
 * `capacity` is smaller; then only the first `capacity` are written. */
FDPP_API fdpp_result fdpp_tokenize(const fdpp_engine *engine, const char *text,
                                   size_t bytes, int32_t add_special,
                                   int32_t *tokens, size_t capacity,
                                   size_t *count);

/* Token ids to valid UTF-8, not terminated. `skip_special` leaves special
 * tokens out. `*bytes` becomes the size of the text, also when `capacity` is
 * smaller; then only the first `capacity` bytes are written. */
FDPP_API fdpp_result fdpp_detokenize(const fdpp_engine *engine,
                                     const int32_t *tokens, size_t count,
                                     int32_t skip_special, char *text,
                                     size_t capacity, size_t *bytes);

struct fdpp_message {
  size_t struct_size;
  const char *role; /* "system", "user" or "assistant", terminated by zero */
  const char *text;
  size_t bytes;
};

/* A conversation as the model's chat template writes it. The template spells
 * BOS itself: tokenize the result with add_special = 0. `open_answer` opens
 * the assistant's turn. Output as with fdpp_detokenize. */
FDPP_API fdpp_result fdpp_apply_chat(const fdpp_engine *engine,
                                     const struct fdpp_message *messages,
                                     size_t count, int32_t open_answer,
                                     char *text, size_t capacity,
                                     size_t *bytes);

/* ---- Session ----------------------------------------------------------- */

typedef struct fdpp_session fdpp_session;

/* 0 in any field: the default. */
struct fdpp_session_options {
  size_t struct_size;
  int32_t threads; /* default: physical cores in the affinity mask, capped by
                      the cgroup's quota */
  int32_t context; /* tokens a sequence may reach; the engine's, at most 8192 */
  int32_t sequences;       /* alive at once; 1 */
  int32_t pages;           /* of the cache; room for all sequences in full */
  int32_t batch_invariant; /* not 0: the logits of decode steps are those that a
                              sequence has alone, bit by bit, whatever else is
                              in the batch. Fails for engines that cannot. */
};

/* What a session with these options takes, and what would fit. */
struct fdpp_plan {
  size_t struct_size;
  int32_t threads; /* the options, defaults filled in */
  int32_t context;
  int32_t sequences;
  int32_t pages;
  uint64_t weight_bytes; /* mapped from the file, or copied to the GPU */
  uint64_t workspace_bytes;
  uint64_t logits_bytes;
  uint64_t cache_bytes; /* all pages; a page takes memory when first used */
  uint64_t cache_bytes_per_token;
  uint64_t
      available_memory; /* now, of the engine's device, weights not counted */
  int32_t fitting_context;   /* most tokens for each of `sequences` */
  int32_t fitting_sequences; /* most sequences of `context` tokens */
};

/* `options` may be null. Allocates nothing. */
FDPP_API fdpp_result fdpp_engine_plan(
    const fdpp_engine *engine, const struct fdpp_session_options *options,
    struct fdpp_plan *plan);

/* `options` may be null. */
FDPP_API fdpp_result fdpp_session_create(
    fdpp_engine *engine, const struct fdpp_session_options *options,
    fdpp_session **session);
/* Ends its sequences too. Null is allowed. */
FDPP_API void fdpp_session_destroy(fdpp_session *session);

/* Called between the model steps of one call that needs several, with the
 * tokens done so far. Not 0: stop; the call returns FDPP_CANCELLED and the
 * sequences keep the tokens done. */
typedef int32_t (*fdpp_progress_fn)(void *ctx, int32_t done, int32_t total);
FDPP_API void fdpp_session_set_progress(fdpp_session *session,
                                        fdpp_progress_fn progress, void *ctx);

/* ---- Sequences --------------------------------------------------------- */

typedef struct fdpp_sequence fdpp_sequence;

/* `id` keys the sampler's random numbers together with seed and position: the
 * same id gives the same text in any batch. */
FDPP_API fdpp_result fdpp_sequence_create(fdpp_session *session, uint64_t id,
                                          fdpp_sequence **sequence);
/* Gives its pages back. Null is allowed. */
FDPP_API void fdpp_sequence_destroy(fdpp_sequence *sequence);

/* A copy that shares the cache pages of `source` until either appends. */
FDPP_API fdpp_result fdpp_sequence_fork(fdpp_sequence *source, uint64_t id,
                                        fdpp_sequence **sequence);

FDPP_API int32_t fdpp_sequence_length(const fdpp_sequence *sequence);
/* Its tokens; holds until the sequence changes. */
FDPP_API const int32_t *fdpp_sequence_tokens(const fdpp_sequence *sequence);

/* Forgets all but the first `length` tokens. */
FDPP_API fdpp_result fdpp_sequence_truncate(fdpp_sequence *sequence,
                                            int32_t length);

/* Appends `count` tokens of id 0 to an empty sequence without running the
 * model: their keys and values become random numbers of variance 1, a function
 * of `seed`. For measuring steps at a depth that would take long to prefill;
 * what is generated behind them means nothing. Refused as a step of so many
 * tokens would be. */
FDPP_API fdpp_result fdpp_sequence_fill(fdpp_sequence *sequence, int32_t count,
                                        uint64_t seed);

/* ---- Steps ------------------------------------------------------------- */

enum {
  FDPP_LOGITS_NONE = 0,
  FDPP_LOGITS_LAST = 1, /* keep the last token's for fdpp_sequence_logits */
};

struct fdpp_step_item {
  size_t struct_size;
  fdpp_sequence *sequence;
  const int32_t *tokens; /* appended to the sequence */
  int32_t count;         /* 1 or more */
  int32_t logits;        /* FDPP_LOGITS_NONE or FDPP_LOGITS_LAST */
  float *all_logits;     /* count x vocab_size, row-major, or null */
};

/* Appends tokens to several sequences at once: one decode step when each brings
 * one token, prefill when they bring many, both mixed otherwise. What exceeds
 * the engine's limits is split into several model steps with the same result.
 *
 * FDPP_ERROR_CONTEXT and FDPP_ERROR_NO_PAGE refuse the whole call before it
 * starts. After FDPP_CANCELLED and FDPP_ERROR_INTERNAL each sequence holds the
 * tokens that were done. Allocates nothing when it succeeds. */
FDPP_API fdpp_result fdpp_session_step(fdpp_session *session,
                                       const struct fdpp_step_item *items,
                                       size_t count);

/* vocab_size logits of the sequence's last token, if the session's latest step
 * was asked to keep them, else null. Hold until the session's next step. */
FDPP_API const float *fdpp_sequence_logits(const fdpp_sequence *sequence);

/* ---- Intermediate values ----------------------------------------------- */

/* The type of an intermediate value's elements. */
enum { FDPP_VALUE_F32 = 0, FDPP_VALUE_BF16 = 1, FDPP_VALUE_F16 = 2 };

/* What a kernel of a model step has just stored. Strings hold as long as the
 * engine, `data` during the call. A call of fdpp_session_step that needs
 * several model steps shows each value once for each of them. */
struct fdpp_value {
  size_t struct_size;
  const char *name; /* "query": the same in every layer */
  const char *node; /* of the ONNX graph, computes the same; "": unknown */
  int32_t layer;    /* -1: outside of the layers */
  int32_t dtype;    /* FDPP_VALUE_* */
  int32_t rows;     /* tokens of the model step, or its rows of logits */
  int32_t columns;
  const void *data; /* rows x columns, row-major */
};
typedef void (*fdpp_value_fn)(void *ctx, const struct fdpp_value *value);

/* Shows every intermediate value of the session's steps to `on_value`, in the
 * order of the computation, on the calling thread; null ends that. Fails unless
 * the engine was compiled with --taps. */
FDPP_API fdpp_result fdpp_session_set_tap(fdpp_session *session,
                                          fdpp_value_fn on_value, void *ctx);

/* ---- Times of kernels -------------------------------------------------- */

/* A kernel of a model step. `name` is the weight that a linear reads
 * ("gate_up"), or what else it does ("decode_attention"); it holds as long as
 * the engine. */
struct fdpp_kernel_time {
  size_t struct_size;
  const char *name;
  int32_t layer;   /* -1: outside of the layers */
  double start_ms; /* since the model step's begin */
  double ms;
  uint64_t bytes; /* of weights and cache that it reads, at the least; of other
                     buffers nothing is said */
};
typedef void (*fdpp_kernel_time_fn)(void *ctx,
                                    const struct fdpp_kernel_time *kernel);

/* Tells `on_kernel` of the kernels of the session's steps, behind each model
 * step, in their order, on the calling thread; null ends that. On a GPU the
 * kernels of such a step run one after another, whatever they do otherwise, and
 * so take longer. Fails for an engine that an
 * older fdpp-compile made, which does not name its kernels. */
FDPP_API fdpp_result fdpp_session_set_profile(fdpp_session *session,
                                              fdpp_kernel_time_fn on_kernel,
                                              void *ctx);

/* ---- Logits of attention ----------------------------------------------- */

/* Where attention counts the logits of its rows, after scale, softcap and mask.
 * The arrays are the caller's and are added to; every histogram is
 * [layers][query_heads][bins], row-major: bin i counts what lies in
 * low + [i, i + 1) * width, the first and the last also what lies beyond. */
struct fdpp_logit_counts {
  size_t struct_size;
  int32_t bins; /* 1 or more */
  float low, width;
  uint64_t *logits;
  uint64_t *row_maximum;     /* of each row's largest logit */
  uint64_t *row_log_sum_exp; /* of log(sum(exp(logits))) of each row */
  float *extremes; /* [layers][query_heads][4]: least and largest logit, least
                      and largest log-sum-exp; begin with +inf, -inf, +inf,
                      -inf */
};

/* Lets the session's steps count, until called with null; the arrays must live
 * as long. Steps are much slower meanwhile, their results the same. Fails for
 * engines that are older than this. */
FDPP_API fdpp_result fdpp_session_count_logits(
    fdpp_session *session, const struct fdpp_logit_counts *counts);

/* ---- Sampling ---------------------------------------------------------- */

/* Applied in this order: repetition penalty (arXiv 1909.05858), temperature,
 * top-k, top-p (arXiv 1904.09751), min-p (arXiv 2407.01082). All zero: greedy,
 * ties to the lowest id. */
struct fdpp_sampling {
  size_t struct_size;
  float temperature;    /* 0: greedy */
  int32_t top_k;        /* 0: off */
  float top_p;          /* 0 or 1: off */
  float min_p;          /* 0: off */
  float repeat_penalty; /* 0 or 1: off; looks at all tokens of the sequence */
  uint64_t seed;        /* Philox4x32-10 keyed (seed, sequence id, position) */
};

/* Picks a token from the sequence's logits (see fdpp_sequence_logits).
 * `sampling` may be null: greedy. */
FDPP_API fdpp_result fdpp_sequence_sample(fdpp_sequence *sequence,
                                          const struct fdpp_sampling *sampling,
                                          int32_t *token);

/* ---- Generation -------------------------------------------------------- */

enum {
  FDPP_STOP_TOKEN = 1,   /* the model ended its text */
  FDPP_STOP_LENGTH = 2,  /* max_new tokens */
  FDPP_STOP_CONTEXT = 3, /* the context is full */
  FDPP_STOP_CALLBACK = 4 /* the callback asked to stop */
};

struct fdpp_generate_item {
  size_t struct_size;
  fdpp_sequence *sequence;
  const int32_t *tokens; /* the prompt, appended to the sequence */
  int32_t count;         /* 0: go on from the logits the last step kept */
  int32_t max_new;       /* tokens to generate at most; below 0: no limit */
  int32_t ignore_stop;   /* not 0: stop tokens end nothing */
  const struct fdpp_sampling *sampling; /* null: greedy */
  int32_t generated;                    /* out: tokens, a stop token included */
  int32_t reason;                       /* out: FDPP_STOP_* */
};

/* One new token of item `index`. `text` is the valid UTF-8 that became certain
 * with it, often empty inside a character, never cut inside one; it holds
 * during the call. At the end of an item that leaves text over, `token` is -1.
 * Without a tokenizer the text is always empty. Not 0: end this item. */
typedef int32_t (*fdpp_token_fn)(void *ctx, size_t index, int32_t token,
                                 const char *text, size_t bytes);

/* Prefills the prompts together, then decodes all items together until each
 * has stopped. The last generated token of an item is not yet in its sequence.
 * `on_token` may be null. */
FDPP_API fdpp_result fdpp_generate(fdpp_session *session,
                                   struct fdpp_generate_item *items,
                                   size_t count, fdpp_token_fn on_token,
                                   void *ctx);

/* ---- Statistics -------------------------------------------------------- */

/* Since the session began or was reset. A phase is known by its model steps:
 * decode steps bring a token or few for each sequence, all others prefill. */
struct fdpp_stats {
  size_t struct_size;
  uint64_t prefill_tokens;
  uint64_t prefill_steps;
  double prefill_ms;
  uint64_t decode_tokens;
  uint64_t decode_steps;
  double decode_ms;
  double sample_ms;
  uint64_t weight_bytes;    /* least that all steps had to read */
  uint64_t cache_bytes;     /* least read and written */
  uint64_t recomputed_rows; /* softmax rows redone exactly, all heads */
  int32_t total_pages;
  int32_t free_pages; /* now */
  /* Softmax rows that were computed relative to a phi (docs/numerics.md), those
   * recomputed among them; 0 where attention is exact. */
  uint64_t phi_rows;
  int32_t exact_heads; /* heads that failed too often and are exact since */
};

FDPP_API fdpp_result fdpp_session_get_stats(const fdpp_session *session,
                                            struct fdpp_stats *stats);
FDPP_API void fdpp_session_reset_stats(fdpp_session *session);

/* The recomputed rows of each layer and query head, row-major; holds as long
 * as the session and counts on. */
FDPP_API const uint64_t *fdpp_session_recomputed(const fdpp_session *session);

/* Reads `bytes` of memory that lies in the same kind of pages as the weights
 * with the session's threads, or on its device, several times for at least 200
 * ms, and gives the best rate in bytes a second: the ceiling of every step that
 * reads its weights. The memory is kept until the session ends. */
FDPP_API fdpp_result fdpp_session_read_ceiling(fdpp_session *session,
                                               uint64_t bytes,
                                               double *bytes_per_second);

#ifdef __cplusplus
}
#endif

#endif /* FDPP_RUNTIME_FDPP_H */
