/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The step ABI: the contract between the runtime and an engine's model.so.
 *
 * model.so exports one symbol, `fdpp_model_query`. Everything else is reached
 * through the table it returns. The runtime owns every buffer; the model
 * allocates nothing inside `step`.
 *
 * Words: T tokens of S sequences are processed by one step, laid out one
 * sequence after another ("token-major"). R rows of logits are wanted. All
 * sizes are in elements unless a name says bytes.
 *
 * Each struct begins with its own size so that a newer side can recognise an
 * older one: fields are only ever appended, and a reader must not touch a
 * field that lies beyond the other side's struct_size.
 */
#ifndef FDPP_RUNTIME_MODEL_ABI_H
#define FDPP_RUNTIME_MODEL_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bumped when a change is not just an appended field. */
#define FDPP_STEP_ABI_VERSION 1

/* Element types of weights and cache. */
enum fdpp_dtype {
  FDPP_F32 = 0,
  FDPP_BF16 = 1,
  FDPP_F16 = 2,
  FDPP_U8 = 3,
  FDPP_I32 = 4
};

/* The entries a model may offer; the runtime picks one per step. */
enum fdpp_entry {
  FDPP_PREFILL = 0, /* any number of tokens a sequence */
  FDPP_DECODE = 1,  /* at most `decode_tokens` tokens a sequence */
  FDPP_MIXED = 2, /* `decode_seqs` decoding sequences first, then prefilling */
  FDPP_ENTRY_COUNT = 3
};

enum fdpp_status {
  FDPP_STATUS_OK = 0,
  FDPP_STATUS_INVALID = 1, /* arguments out of the model's limits */
  FDPP_STATUS_INTERNAL = 2 /* a defect of the engine */
};

/* One weight the model reads: a tensor of weights.safetensors by name. */
struct fdpp_weight_entry {
  const char *name; /* as in weights.safetensors */
  uint64_t bytes;   /* exact size; the runtime refuses a file that differs */
  int32_t dtype;    /* enum fdpp_dtype of the stored elements */
  int32_t layers;   /* length of the bank's first dimension, 1 if no bank */
};

/* What the model was compiled for. */
struct fdpp_model_limits {
  uint32_t struct_size;
  int32_t vocab_size;
  int32_t layers;
  int32_t query_heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t page_tokens;   /* tokens a page of the cache holds */
  int32_t cache_dtype;   /* enum fdpp_dtype of the cache's elements */
  int32_t max_context;   /* tokens a sequence may reach, prompt included */
  int32_t max_tokens;    /* T of one step */
  int32_t max_sequences; /* S of one step */
  int32_t max_rows;      /* R of one step */
  int32_t decode_tokens; /* tokens a sequence may bring to FDPP_DECODE */
  int32_t entries;       /* bit mask over enum fdpp_entry */
  uint64_t page_bytes;   /* bytes of one page in one layer, K and V together */
};

/*
 * A team of threads that run `fn` together, once each, and return when all
 * have. `index` runs from 0 to `count` - 1; index 0 is the caller. The threads
 * synchronise inside `fn` by barrier state that lies in the workspace.
 */
typedef void (*fdpp_parallel_fn)(void *ctx, int32_t index, int32_t count);
struct fdpp_executor {
  uint32_t struct_size;
  int32_t threads;
  void *self;
  void (*parallel)(void *self, fdpp_parallel_fn fn, void *ctx);
};

/*
 * An intermediate value of a step, as a kernel has just stored it. `node` is
 * the node of the ONNX graph that computes the same value, and stays valid as
 * long as the model's library; `data` is valid during the call.
 */
struct fdpp_tap {
  uint32_t struct_size;
  const char *name; /* "query": the same in every layer and entry */
  const char *node; /* "" when the compiler did not know it */
  int32_t layer;    /* -1: outside of the layers */
  int32_t dtype;    /* enum fdpp_dtype */
  int32_t rows;     /* tokens of the step, or its rows of logits */
  int32_t columns;
  const void *data; /* [host] rows x columns, row-major */
};

/* Called on thread 0, in the order of the computation. */
typedef void (*fdpp_tap_fn)(void *ctx, const struct fdpp_tap *tap);

/*
 * Called on thread 0 behind each kernel of a step, in their order: on the CPU
 * when it has finished, on a GPU when it has been enqueued on `stream`. There a
 * step that calls this is a chain of kernels none of which begins before the
 * one before has ended. `name` is the weight that a linear reads, or what else
 * the kernel does; it is the same in every layer and entry and stays valid as
 * long as the model's library. `layer` is -1 outside of the layers.
 */
typedef void (*fdpp_kernel_fn)(void *ctx, const char *name, int32_t layer);

/*
 * Where attention counts the logits of its rows (after scale, softcap and
 * mask), for fdpp-calibrate. Three histograms for each layer and query head,
 * each [layers][query_heads][bins], row-major: bin i counts what lies in low +
 * [i, i + 1) * width, the first and the last also what lies beyond. They are
 * added to.
 */
struct fdpp_attention_statistics {
  uint32_t struct_size;
  int32_t bins;
  float low, width;
  uint64_t *logits;
  uint64_t *row_maximum;     /* of each row's largest logit */
  uint64_t *row_log_sum_exp; /* of log(sum(exp(logits))) of each row */
  float *extremes; /* [layers][query_heads][4]: least and largest logit, least
                      and largest log-sum-exp; narrower ones are replaced */
};

/*
 * sgemm of a BLAS library, called like cblas_sgemm: C[m][n] = alpha * A . B +
 * beta * C, where A has m and B k rows. It must compute on the calling thread
 * and may be called by several at a time.
 */
#define FDPP_ROW_MAJOR 101
#define FDPP_NO_TRANSPOSE 111
typedef void (*fdpp_sgemm_fn)(int order, int transpose_a, int transpose_b,
                              int m, int n, int k, float alpha, const float *a,
                              int lda, const float *b, int ldb, float beta,
                              float *c, int ldc);

/*
 * One step. [host] fields are read by the calling thread, [device] fields by
 * the kernels; on the CPU target both are ordinary memory.
 *
 * Token t of sequence s, with seq_offsets[s] <= t < seq_offsets[s + 1], is
 * stored in the cache slot context[s] - (seq_offsets[s + 1] - t): the context
 * length counts the step's own tokens. Slot i of sequence s lies in page
 * pages[s * max_pages + i / page_tokens] at row i % page_tokens. A token sees
 * the slots up to and including its own.
 */
struct fdpp_step {
  uint32_t struct_size;
  int32_t entry;              /* [host] enum fdpp_entry */
  int32_t num_tokens;         /* [host] T */
  int32_t num_seqs;           /* [host] S */
  int32_t num_rows;           /* [host] R */
  int32_t max_pages;          /* [host] P: columns of the page table */
  int32_t num_pages;          /* [host] pages in the cache, a bound for ids */
  int32_t decode_seqs;        /* [host] FDPP_MIXED: leading decode sequences */
  const int32_t *tokens;      /* [device] T token ids */
  const int32_t *positions;   /* [device] T rotary positions */
  const int32_t *seq_offsets; /* [device] S + 1, first is 0, last is T */
  const int32_t *context;     /* [device] S lengths, this step included */
  const int32_t *pages;       /* [device] S x P page ids, row-major */
  const int32_t *rows; /* [device] R token indices whose logits to give */
  void *cache;         /* [device] layers x num_pages pages */
  float *logits;       /* [device] R x vocab_size, row-major */
  void *workspace;     /* [device] workspace_size() bytes, 64-aligned */
  const struct fdpp_executor *executor; /* CPU target */
  void *stream;                         /* GPU targets */
  uint64_t *recomputed_rows; /* [device] layers x query_heads counters, or null:
                                rows an asynchronous softmax had to redo */
  int32_t status;            /* [host, out] enum fdpp_status */
  char message[200];         /* [host, out] one line when status is not 0 */
  fdpp_tap_fn tap;           /* [host] or null; for models with tap_names */
  void *tap_ctx;             /* [host] given to `tap` */
  const float *phi; /* [device] layers x query_heads, in the place of create's;
                       null: create's. What they hold may change between steps:
                       a head becomes exact by NaN */
  /* [host] or null; for models with counts_logits */
  const struct fdpp_attention_statistics *attention_statistics;
  fdpp_sgemm_fn
      sgemm;      /* [host] for models with calls_sgemm, never null there */
  int32_t *picks; /* [device] for models that pick, or null: R ids, each of its
                     row's largest logit, the lowest of several; -1 where that
                     is not finite */
  fdpp_kernel_fn on_kernel; /* [host] or null; for models with names_kernels */
  void *kernel_ctx;         /* [host] given to `on_kernel` */
  int32_t batch_invariant; /* [host] not 0, for models that can: the logits of a
                              decoding sequence are those it has alone, bit by
                              bit */
};

struct fdpp_model;

struct fdpp_model_table {
  uint32_t struct_size;
  uint32_t abi_version;
  const char *target;   /* "cpu", "cuda", "hip" */
  const char *arch;     /* as given to fdpp-compile --arch, resolved */
  const char *features; /* comma-separated CPU features the code needs */
  const struct fdpp_weight_entry *weights;
  int32_t num_weights;
  struct fdpp_model_limits limits;
  /* Bytes of workspace for `threads` threads (CPU) within the limits. */
  uint64_t (*workspace_size)(int32_t threads);
  /* `weights[i]` is the base of entry i; they and `phi` outlive the model.
   * `phi` is f32 layers x query_heads, NaN for heads whose softmax is always
   * exact, or null: all are. Returns null when out of
   * memory. */
  struct fdpp_model *(*create)(int32_t device, const void *const *weights,
                               const float *phi);
  /* Returns step->status. */
  int32_t (*step)(struct fdpp_model *, struct fdpp_step *);
  void (*destroy)(struct fdpp_model *);
  /* The names of the values that a step shows to its `tap`, null behind the
   * last. Null unless built with --taps: such a model ignores `tap`. */
  const char *const *tap_names;
  /* Not 0: attention has an asynchronous softmax, relative to phi. 1: of the
   * decode sequences' tokens; 2: of all tokens. */
  int32_t reads_phi;
  /* Not 0: attention counts its logits in attention_statistics. */
  int32_t counts_logits;
  /* Not 0: some linears are a BLAS library's; a step needs its sgemm. */
  int32_t calls_sgemm;
  /* Not 0: steps write `picks`. */
  int32_t picks;
  /* Not 0: steps call `on_kernel`. */
  int32_t names_kernels;
  /* Not 0: steps heed `batch_invariant`, or need not. */
  int32_t batch_invariant;
};

/* Returns the table, or null when `abi_version` is not the one built for. */
typedef const struct fdpp_model_table *(*fdpp_model_query_fn)(
    uint32_t abi_version);

#ifdef __cplusplus
}
#endif

#endif /* FDPP_RUNTIME_MODEL_ABI_H */
