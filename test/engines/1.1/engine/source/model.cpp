// Emitted by fdpp-compile. 2 layers, hidden 48, 6 query and 2 KV heads of 8,
// vocabulary 97.
#include "kernels/cpu/model.h"

namespace {

using namespace fdpp;
using namespace fdpp::cpu;

using KvCache = Cache<float, 2 /*heads*/, 8 /*dims*/, 64 /*tokens a page*/>;

/// Weights as the engine stores them, one layer after another.
struct Weights {
  const float *embed;      // [97][48]
  const float *wqkv;       // [2][80][48], packed
  const float *wo;         // [2][48][48], packed
  const float *gate_up;    // [2][160][48], packed
  const float *down;       // [2][48][80], packed
  const float *lm_head;    // [97][48], packed
  const float *attn_norm;  // [2][48]
  const float *inv_freq;   // [4]
  const float *ffn_norm;   // [2][48]
  const float *final_norm; // [48]

  explicit Weights(const void *const *table)
      : embed(static_cast<const float *>(table[0])),
        wqkv(static_cast<const float *>(table[1])),
        wo(static_cast<const float *>(table[2])),
        gate_up(static_cast<const float *>(table[3])),
        down(static_cast<const float *>(table[4])),
        lm_head(static_cast<const float *>(table[5])),
        attn_norm(static_cast<const float *>(table[6])),
        inv_freq(static_cast<const float *>(table[7])),
        ffn_norm(static_cast<const float *>(table[8])),
        final_norm(static_cast<const float *>(table[9])) {}
};

// Kernels of linears by the number of tokens.
using Variants =
    ByTokens<UpTo<1, Variant<1, 4096>>,
             UpTo<10, Variant<2, 4096>>,
             Otherwise<Variant<2, 0>>>;

/// Rotates the halves of each head.
struct StoreRotated {
  static constexpr Partner partner = Partner::half;
  static constexpr int columns = 48, group = 8;
  float *query;     // [T][48]
  const float *cos; // [T][4]
  const float *sin; // [T][4]

  template <class V>
  void operator()(V value, V partner, int row, int column, int lanes) const {
    float *at = query + row * 48 + column;
    V cos_at = load(cos + row * 4 + column % 8, lanes);
    V sin_at = load(sin + row * 4 + column % 8, lanes);
    store(at, value * cos_at - partner * sin_at, lanes);
    store(at + 4, partner * cos_at + value * sin_at, lanes);
  }
};

/// Rotated keys, into the cache.
struct StoreKey {
  static constexpr Partner partner = Partner::half;
  static constexpr int columns = 16, group = 8;
  KvCache cache;
  const float *cos;     // [T][4]
  const float *sin;     // [T][4]
  const int32_t *slots; // [T]
  int layer;

  template <class V>
  void operator()(V value, V partner, int row, int column, int lanes) const {
    V cos_at = load(cos + row * 4 + column % 8, lanes);
    V sin_at = load(sin + row * 4 + column % 8, lanes);
    kv_store_key(
        cache, layer, slots[row], column / 8, column % 8,
        value * cos_at - partner * sin_at, lanes);
    kv_store_key(
        cache, layer, slots[row], column / 8, column % 8 + 4,
        partner * cos_at + value * sin_at, lanes);
  }
};

/// Values, into the cache.
struct StoreValue {
  static constexpr Partner partner = Partner::none;
  static constexpr int columns = 16;
  KvCache cache;
  const int32_t *slots; // [T]
  int layer;

  template <class V>
  void operator()(V value, V, int row, int column, int lanes) const {
    kv_store_value_columns(cache, layer, slots[row], column, value, lanes);
  }
};

/// Adds to what the destination holds.
struct AddResidual {
  static constexpr Partner partner = Partner::none;
  static constexpr int columns = 48;
  float *hidden; // [T][48]

  template <class V>
  void operator()(V value, V, int row, int column, int lanes) const {
    float *at = hidden + row * 48 + column;
    store(at, load(at, lanes) + value, lanes);
  }
};

/// Gate and up become one value.
struct StoreGated {
  static constexpr Partner partner = Partner::gate_up;
  static constexpr int columns = 80;
  float *gated; // [T][80]

  template <class V>
  void operator()(V value, V partner, int row, int column, int lanes) const {
    store(gated + row * 80 + column, silu(value) * partner, lanes);
  }
};

struct StoreLogits {
  static constexpr Partner partner = Partner::none;
  static constexpr int columns = 97;
  float *logits; // [T][97]

  template <class V>
  void operator()(V value, V, int row, int column, int lanes) const {
    store(logits + row * 97 + column, value, lanes);
  }
};

void prefill(Team &team, const Weights &weights, const Step<KvCache> &step) {
  const int tokens = step.num_tokens;
  int32_t *slots = step.at<int32_t>(376832); // [tokens]
  float *cos = step.at<float>(360448);       // [tokens][4]
  float *sin = step.at<float>(368640);       // [tokens][4]
  float *hidden = step.at<float>(163840);    // [tokens][48]
  float *query = step.at<float>(0);          // [tokens][48]
  float *attended = step.at<float>(262144);  // [tokens][48]
  float *gated = step.at<float>(0);          // [tokens][80]
  float *selected = step.at<float>(0);       // [step.num_rows][48]

  token_slots<64>(team, step.batch, slots);
  rope_table<4>(team, tokens, step.positions, weights.inv_freq, cos, sin);
  embed<Table::rows, 48>(team, tokens, step.tokens, weights.embed, hidden);

  for (int layer = 0; layer < 2; ++layer) {
    // Queries; keys and values, into the cache.
    linear_by_tokens<Variants>(team, tokens,
        RmsNorm<48>{hidden, weights.attn_norm + layer * 48, 0.01f},
        weights.wqkv + layer * 13056, step.scratch,
        StoreRotated{query, cos, sin},
        StoreKey{step.cache, cos, sin, slots, layer},
        StoreValue{step.cache, slots, layer});
    // Attention.
    prefill_attention<6>(
        team, step.batch, layer, query, step.cache, {.scale = 0.35355338f},
        attended);
    // Output of attention, onto the residual stream.
    linear_by_tokens<Variants>(team, tokens,
        Rows<48>{attended},
        weights.wo + layer * 2304, step.scratch,
        AddResidual{hidden});
    // Feed-forward: gate and up.
    linear_by_tokens<Variants>(team, tokens,
        RmsNorm<48>{hidden, weights.ffn_norm + layer * 48, 0.01f},
        weights.gate_up + layer * 7680, step.scratch,
        StoreGated{gated});
    // Down, onto the residual stream.
    linear_by_tokens<Variants>(team, tokens,
        Rows<80>{gated},
        weights.down + layer * 3840, step.scratch,
        AddResidual{hidden});
  }

  // Logits of the wanted rows.
  select_rows<48>(team, step.num_rows, step.rows, hidden, selected);
  linear_by_tokens<Variants>(team, step.num_rows,
      RmsNorm<48>{selected, weights.final_norm, 0.01f},
      weights.lm_head, step.scratch,
      StoreLogits{step.logits});
}

void decode(Team &team, const Weights &weights, const Step<KvCache> &step) {
  const int tokens = step.num_tokens;
  int32_t *slots = step.at<int32_t>(47104); // [tokens]
  float *cos = step.at<float>(45056);       // [tokens][4]
  float *sin = step.at<float>(46080);       // [tokens][4]
  float *hidden = step.at<float>(20480);    // [tokens][48]
  float *query = step.at<float>(0);         // [tokens][48]
  float *attended = step.at<float>(32768);  // [tokens][48]
  float *gated = step.at<float>(0);         // [tokens][80]
  float *selected = step.at<float>(0);      // [step.num_rows][48]

  token_slots<64>(team, step.batch, slots);
  rope_table<4>(team, tokens, step.positions, weights.inv_freq, cos, sin);
  embed<Table::rows, 48>(team, tokens, step.tokens, weights.embed, hidden);

  for (int layer = 0; layer < 2; ++layer) {
    // Queries; keys and values, into the cache.
    linear_by_tokens<Variants>(team, tokens,
        RmsNorm<48>{hidden, weights.attn_norm + layer * 48, 0.01f},
        weights.wqkv + layer * 13056, step.scratch,
        StoreRotated{query, cos, sin},
        StoreKey{step.cache, cos, sin, slots, layer},
        StoreValue{step.cache, slots, layer});
    // Attention.
    decode_attention<6>(
        team, step.batch, layer, query, step.cache, {.scale = 0.35355338f},
        step.scratch, attended);
    // Output of attention, onto the residual stream.
    linear_by_tokens<Variants>(team, tokens,
        Rows<48>{attended},
        weights.wo + layer * 2304, step.scratch,
        AddResidual{hidden});
    // Feed-forward: gate and up.
    linear_by_tokens<Variants>(team, tokens,
        RmsNorm<48>{hidden, weights.ffn_norm + layer * 48, 0.01f},
        weights.gate_up + layer * 7680, step.scratch,
        StoreGated{gated});
    // Down, onto the residual stream.
    linear_by_tokens<Variants>(team, tokens,
        Rows<80>{gated},
        weights.down + layer * 3840, step.scratch,
        AddResidual{hidden});
  }

  // Logits of the wanted rows.
  select_rows<48>(team, step.num_rows, step.rows, hidden, selected);
  linear_by_tokens<Variants>(team, step.num_rows,
      RmsNorm<48>{selected, weights.final_norm, 0.01f},
      weights.lm_head, step.scratch,
      StoreLogits{step.logits});
}

void mixed(Team &team, const Weights &weights, const Step<KvCache> &step) {
  const int tokens = step.num_tokens;
  int32_t *slots = step.at<int32_t>(376832); // [tokens]
  float *cos = step.at<float>(360448);       // [tokens][4]
  float *sin = step.at<float>(368640);       // [tokens][4]
  float *hidden = step.at<float>(163840);    // [tokens][48]
  float *query = step.at<float>(0);          // [tokens][48]
  float *attended = step.at<float>(262144);  // [tokens][48]
  float *gated = step.at<float>(0);          // [tokens][80]
  float *selected = step.at<float>(0);       // [step.num_rows][48]

  token_slots<64>(team, step.batch, slots);
  rope_table<4>(team, tokens, step.positions, weights.inv_freq, cos, sin);
  embed<Table::rows, 48>(team, tokens, step.tokens, weights.embed, hidden);

  for (int layer = 0; layer < 2; ++layer) {
    // Queries; keys and values, into the cache.
    linear_by_tokens<Variants>(team, tokens,
        RmsNorm<48>{hidden, weights.attn_norm + layer * 48, 0.01f},
        weights.wqkv + layer * 13056, step.scratch,
        StoreRotated{query, cos, sin},
        StoreKey{step.cache, cos, sin, slots, layer},
        StoreValue{step.cache, slots, layer});
    // Attention.
    decode_attention<6>(
        team, step.batch.range(0, step.decode_seqs), layer, query, step.cache,
        {.scale = 0.35355338f}, step.scratch, attended);
    prefill_attention<6>(
        team, step.batch.range(step.decode_seqs, step.num_seqs), layer, query,
        step.cache, {.scale = 0.35355338f}, attended);
    // Output of attention, onto the residual stream.
    linear_by_tokens<Variants>(team, tokens,
        Rows<48>{attended},
        weights.wo + layer * 2304, step.scratch,
        AddResidual{hidden});
    // Feed-forward: gate and up.
    linear_by_tokens<Variants>(team, tokens,
        RmsNorm<48>{hidden, weights.ffn_norm + layer * 48, 0.01f},
        weights.gate_up + layer * 7680, step.scratch,
        StoreGated{gated});
    // Down, onto the residual stream.
    linear_by_tokens<Variants>(team, tokens,
        Rows<80>{gated},
        weights.down + layer * 3840, step.scratch,
        AddResidual{hidden});
  }

  // Logits of the wanted rows.
  select_rows<48>(team, step.num_rows, step.rows, hidden, selected);
  linear_by_tokens<Variants>(team, step.num_rows,
      RmsNorm<48>{selected, weights.final_norm, 0.01f},
      weights.lm_head, step.scratch,
      StoreLogits{step.logits});
}

struct Model {
  using KvCache = ::KvCache;
  using Weights = ::Weights;
  static constexpr const char *arch = "x86-64";
  static constexpr const char *features =
      "cmov,cx8,fxsr,mmx,sse,x87";
  static constexpr fdpp_weight_entry weight_table[] = {
      {"embed", 18624u, FDPP_F32, 1},
      {"wqkv", 104448u, FDPP_F32, 2},
      {"wo", 18432u, FDPP_F32, 2},
      {"gate_up", 61440u, FDPP_F32, 2},
      {"down", 30720u, FDPP_F32, 2},
      {"lm_head", 21504u, FDPP_F32, 1},
      {"attn_norm", 384u, FDPP_F32, 2},
      {"inv_freq", 16u, FDPP_F32, 1},
      {"ffn_norm", 384u, FDPP_F32, 2},
      {"final_norm", 192u, FDPP_F32, 1},
  };
  static constexpr fdpp_model_limits limits = {
      .struct_size = sizeof(fdpp_model_limits),
      .vocab_size = 97,
      .layers = 2,
      .query_heads = 6,
      .kv_heads = 2,
      .head_dim = 8,
      .page_tokens = 64,
      .cache_dtype = FDPP_F32,
      .max_context = 256,
      .max_tokens = 512,
      .max_sequences = 64,
      .max_rows = 512,
      .decode_tokens = 1,
      .entries = 7,
      .page_bytes = 8192};
  static constexpr int64_t arena_bytes = 378880;
  static int64_t scratch_bytes(int threads) {
    return largest(linear_scratch_bytes(limits.max_tokens, 80, threads),
                   decode_attention_scratch_bytes(
                       limits.max_sequences, limits.query_heads,
                       limits.head_dim, limits.decode_tokens));
  }

  static void run(int entry, Team &team, const Weights &weights,
                  const Step<KvCache> &step) {
    switch (entry) {
    case FDPP_PREFILL:
      return prefill(team, weights, step);
    case FDPP_DECODE:
      return decode(team, weights, step);
    case FDPP_MIXED:
      return mixed(team, weights, step);
    }
  }
};

} // namespace

extern "C" __attribute__((visibility("default")))
const fdpp_model_table *fdpp_model_query(uint32_t abi_version) {
  return query<Model>(abi_version);
}
