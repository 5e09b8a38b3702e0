// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// CUDA's kernels on a processor (emulation/), beside sums in doubles.

#include "kernels/cuda/decode_attention.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/pick.h"
#include "kernels/cuda/prefill_attention.h"

#include "gtest/gtest.h"
#include <limits>
#include <random>

using namespace fdpp;
using namespace fdpp::cuda;

namespace {

std::mt19937 generator(22);

std::vector<float> normal(size_t count, float deviation = 1) {
  std::normal_distribution<float> distribution(0, deviation);
  std::vector<float> values(count);
  for (float &value : values)
    value = distribution(generator);
  return values;
}

template <class E> std::vector<E> rounded(const std::vector<float> &values) {
  std::vector<E> result(values.size());
  std::transform(values.begin(), values.end(), result.begin(),
                 [](float value) { return narrow<E>(value); });
  return result;
}

template <class E> double roundoff() {
  return std::is_same_v<E, bf16> ? 0x1p-9 : 0x1p-12;
}

//===----------------------------------------------------------------------===//
// Attention.
//===----------------------------------------------------------------------===//

constexpr int page_tokens = 16;

/// Sequences with some new tokens each, one if nothing else is said, at random
/// pages of one layer's cache.
template <class E, int Heads, int KvHeads, int Dims> struct Attention {
  using KvCache = Cache<E, KvHeads, Dims, page_tokens>;

  explicit Attention(const std::vector<int> &lengths,
                     const std::vector<int> &fresh = {})
      : context(lengths) {
    const int count = int(lengths.size());
    for (int s = 0; s < count; ++s) {
      for (int i = 0; i < (fresh.empty() ? 1 : fresh[s]); ++i)
        sequences.push_back(s);
      offsets.push_back(int(sequences.size()));
    }
    const size_t tokens = sequences.size();
    width = (*std::max_element(lengths.begin(), lengths.end()) + page_tokens) /
            page_tokens;
    std::vector<int> order(count * width);
    for (size_t i = 0; i < order.size(); ++i)
      order[i] = int(i);
    std::shuffle(order.begin(), order.end(), generator);
    pages = order;
    // What is not a slot of anybody is NaN.
    memory.assign(order.size() * 2 * KvHeads * page_tokens * Dims,
                  narrow<E>(std::nanf("")));
    query = normal(tokens * Heads * Dims, 1.5f);
    KvCache cache{memory.data(), int(order.size())};
    for (int s = 0; s < count; ++s)
      for (int slot = 0; slot < lengths[s]; ++slot)
        for (int head = 0; head < KvHeads; ++head) {
          E *key = cache.key(0, place(s, slot), head);
          std::vector<float> values = normal(2 * Dims);
          for (int d = 0; d < Dims; ++d) {
            key[d] = narrow<E>(values[d]);
            key[KvCache::to_values + d] = narrow<E>(values[Dims + d]);
          }
        }
    tickets.assign(tokens * KvHeads, 0);
    scratch.assign(
        decode_attention_scratch_bytes(count, Heads, Dims, 1) / 4 + 1, 0);
    out.assign(query.size(), -1);
    invalid.assign(tokens * Heads, -1);
  }

  int place(int s, int slot) const {
    return pages[s * width + slot / page_tokens] * page_tokens +
           slot % page_tokens;
  }
  Batch batch() {
    const int count = int(context.size());
    return {int(sequences.size()), count, offsets.data(), context.data(),
            pages.data(),          width, tickets.data()};
  }
  KvCache cache() { return {memory.data(), int(pages.size())}; }

  /// A row of token t in doubles.
  std::vector<double> expected(int t, int head,
                               const AttentionOptions &options) {
    const int kv = head / (Heads / KvHeads), s = sequences[t];
    const int end = context[s] - (offsets[s + 1] - 1 - t);
    const int begin = options.window ? std::max(0, end - options.window) : 0;
    std::vector<double> logits;
    for (int slot = begin; slot < end; ++slot) {
      const E *key = cache().key(0, place(s, slot), kv);
      double logit = 0;
      for (int d = 0; d < Dims; ++d)
        logit +=
            double(widen(narrow<E>(query[(t * Heads + head) * Dims + d]))) *
            widen(key[d]);
      logit *= options.scale;
      if (options.softcap)
        logit = options.softcap * std::tanh(logit / options.softcap);
      logits.push_back(logit);
    }
    const double most = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    std::vector<double> result(Dims);
    for (int slot = begin; slot < end; ++slot) {
      const double weight = std::exp(logits[slot - begin] - most);
      sum += weight;
      const E *value = cache().key(0, place(s, slot), kv) + KvCache::to_values;
      for (int d = 0; d < Dims; ++d)
        result[d] += weight * widen(value[d]);
    }
    for (double &value : result)
      value /= sum;
    return result;
  }

  /// The largest error, of values whose deviation is 1.
  double error(const AttentionOptions &options) {
    double worst = 0;
    for (size_t t = 0; t < sequences.size(); ++t)
      for (int head = 0; head < Heads; ++head) {
        std::vector<double> row = expected(int(t), head, options);
        for (int d = 0; d < Dims; ++d) {
          const double difference =
              std::abs(row[d] - out[(t * Heads + head) * Dims + d]);
          worst = difference >= worst ? difference : worst; // NaN stays
          if (difference != difference)
            return difference;
        }
      }
    return worst;
  }

  std::vector<int> context, offsets{0}, pages;
  std::vector<int> sequences; // of each token
  int width;
  std::vector<E> memory;
  std::vector<float> query, scratch, out;
  std::vector<unsigned> tickets;
  std::vector<int32_t> invalid;
};

template <class E, int Heads, int KvHeads, int Dims>
void check_attention(const std::vector<int> &lengths,
                     AttentionOptions options = {}) {
  options.scale = 1 / std::sqrt(float(Dims));
  Attention<E, Heads, KvHeads, Dims> test(lengths);
  Stream stream(nullptr, false);
  // A weight and its value are each rounded once.
  const double bound = 4 * roundoff<E>();
  for (int times = 0; times < 2; ++times) { // tickets are zeros again
    decode_attention<Heads>(stream, test.batch(), 0, test.query.data(),
                            test.cache(), options, test.scratch.data(),
                            test.out.data());
    EXPECT_LE(test.error(options), bound);
  }
  // Relative to a phi of its own each head but one, which is exact; of the
  // others one is far off: all its rows have to be redone.
  std::vector<float> phi(Heads, 0.5f);
  phi[0] = std::nanf("");
  phi[Heads - 1] = Heads > 1 ? 500.0f : phi[0];
  using P = std::conditional_t<std::is_same_v<E, bf16>, bf16, float>;
  async_softmax_decode_attention<Heads, P>(
      stream, test.batch(), 0, test.query.data(), test.cache(), options,
      phi.data(), test.scratch.data(), test.out.data(), test.invalid.data());
  std::vector<uint64_t> counts(Heads);
  for (size_t i = 0; i < test.invalid.size(); ++i)
    EXPECT_EQ(test.invalid[i], Heads > 1 && int(i) % Heads == Heads - 1);
  recompute_rows<Heads>(stream, test.batch(), 0, test.query.data(),
                        test.cache(), options, test.invalid.data(),
                        counts.data(), test.scratch.data(), test.out.data());
  EXPECT_LE(test.error(options), bound);
  for (int head = 0; head < Heads; ++head)
    EXPECT_EQ(counts[head],
              Heads > 1 && head == Heads - 1 ? lengths.size() : 0);
  if (lengths.size() > 2)
    return;
  std::fill(test.out.begin(), test.out.end(), -1.0f);
  prefill_attention<Heads>(stream, test.batch(), 0, test.query.data(),
                           test.cache(), options, test.out.data());
  EXPECT_LE(test.error(options), bound);
}

/// The last `fresh` tokens of sequences at once.
template <class E, int Heads, int KvHeads, int Dims>
void check_prompts(const std::vector<int> &lengths,
                   const std::vector<int> &fresh,
                   AttentionOptions options = {}) {
  options.scale = 1 / std::sqrt(float(Dims));
  Attention<E, Heads, KvHeads, Dims> test(lengths, fresh);
  Stream stream(nullptr, false);
  const double bound = 4 * roundoff<E>();
  prefill_attention<Heads>(stream, test.batch(), 0, test.query.data(),
                           test.cache(), options, test.out.data());
  EXPECT_LE(test.error(options), bound);
  using Call =
      AttentionCall<Heads, Cache<E, KvHeads, Dims, page_tokens>, float, float>;
  if constexpr (MatrixPrefill<ExactSoftmax, Call, 2>::possible) {
    std::fill(test.out.begin(), test.out.end(), -1.0f);
    launch_matrix_prefill<ExactSoftmax, 2>(
        stream, Call{test.batch(), 0, test.query.data(), test.cache(), options,
                     test.out.data()});
    EXPECT_LE(test.error(options), bound);
  }
  std::vector<float> phi(Heads, 0.5f);
  phi[0] = std::nanf("");
  phi[Heads - 1] = 500.0f; // far off
  using P = std::conditional_t<std::is_same_v<E, bf16>, bf16, float>;
  async_softmax_prefill_attention<Heads, P>(
      stream, test.batch(), 0, test.query.data(), test.cache(), options,
      phi.data(), test.out.data(), test.invalid.data());
  for (size_t i = 0; i < test.invalid.size(); ++i)
    EXPECT_EQ(test.invalid[i], int(i) % Heads == Heads - 1);
  std::vector<uint64_t> counts(Heads);
  recompute_prefill_rows<Heads>(stream, test.batch(), 0, test.query.data(),
                                test.cache(), options, test.invalid.data(),
                                counts.data(), test.out.data());
  EXPECT_LE(test.error(options), bound);
  for (int head = 0; head < Heads; ++head)
    EXPECT_EQ(counts[head], head == Heads - 1 ? test.sequences.size() : 0);
}

const std::vector<int> ragged{1, 17, 65, 200};

TEST(CudaAttention, OfPrompts) {
  check_prompts<bf16, 8, 2, 64>({70, 130, 3}, {70, 40, 1});
  check_prompts<f16, 4, 2, 128>({150}, {90});
  check_prompts<bf16, 6, 2, 96>({66, 200}, {65, 3}); // 126 rows of 128
  check_prompts<f16, 2, 1, 32>({300}, {20}, {.scale = 0, .window = 70});
  check_prompts<bf16, 2, 2, 64>({150}, {140}, {.scale = 0, .softcap = 2});
  check_prompts<bf16, 6, 2, 24>({40, 9}, {30, 9}); // by vectors
}

TEST(CudaAttention, ByMatrices) {
  check_attention<bf16, 8, 2, 64>(ragged);
  check_attention<f16, 8, 2, 64>(ragged);
  check_attention<bf16, 3, 3, 32>(ragged);
  check_attention<f16, 4, 2, 96>({70, 33});
  check_attention<bf16, 8, 1, 128>({200, 1});
  check_attention<bf16, 12, 1, 128>({150}); // in two passes
}

TEST(CudaAttention, ByVectors) {
  check_attention<bf16, 6, 2, 8>(ragged);
  check_attention<f16, 4, 1, 16>({100, 5});
  check_attention<bf16, 10, 1, 24>({100}); // in two passes
  check_attention<f16, 5, 1, 256>({100});
}

TEST(CudaAttention, WindowsAndCaps) {
  check_attention<bf16, 4, 2, 64>({300, 20}, {.scale = 0, .window = 70});
  check_attention<f16, 4, 2, 32>({150}, {.scale = 0, .softcap = 2});
  check_attention<f16, 4, 2, 16>({150, 9},
                                 {.scale = 0, .window = 5, .softcap = 2});
}

TEST(CudaAttention, LongSequencesAreCutToAtMostSixteenPieces) {
  check_attention<bf16, 2, 1, 64>({2100, 3});
}

TEST(CudaAttention, IsCutByItsOwnLengthIfTheBatchMustNotMatter) {
  constexpr int heads = 4, row = heads * 64;
  Attention<bf16, heads, 2, 64> test({500, 2100, 70});
  Stream stream(nullptr, false);
  auto run = [&](Batch batch, bool invariant) {
    batch.invariant = invariant;
    std::fill(test.out.begin(), test.out.end(), -1.0f);
    decode_attention<heads>(stream, batch, 0, test.query.data(), test.cache(),
                            {.scale = 0.125f}, test.scratch.data(),
                            test.out.data());
    return test.out;
  };
  for (bool invariant : {true, false}) {
    std::vector<float> together = run(test.batch(), invariant);
    int same = 0;
    for (int s = 0; s < 3; ++s) {
      std::vector<float> alone = run(test.batch().range(s, s + 1), invariant);
      same += std::equal(alone.begin() + s * row, alone.begin() + (s + 1) * row,
                         together.begin() + s * row);
    }
    if (invariant)
      EXPECT_EQ(same, 3);
    else
      EXPECT_LT(same, 3) << "these lengths show nothing";
  }
}

TEST(CudaAttention, ManySequences) {
  check_attention<bf16, 2, 1, 32>(std::vector<int>(40, 33));
}

//===----------------------------------------------------------------------===//
// Linears.
//===----------------------------------------------------------------------===//

struct StoreColumns {
  static constexpr Partner partner = Partner::none;
  static constexpr int columns = 37;
  float *out;
  void operator()(float value, float, int row, int column, int) const {
    out[row * columns + column] = value;
  }
};

template <class E, int K> void check_linear(int tokens) {
  constexpr int units = tile_units({Partner::none, StoreColumns::columns, 0});
  std::vector<float> x = normal(size_t(tokens) * K, 2), gamma = normal(K, 0.3f);
  std::vector<E> w = rounded<E>(normal(StoreColumns::columns * K)),
                 packed(tile_elements(units, K), E{});
  for (int n = 0; n < StoreColumns::columns; ++n)
    for (int k = 0; k < K; ++k)
      packed[tile_index(n, k, K)] = w[n * K + k];
  std::vector<char> scratch(linear_scratch_bytes(tokens, K, 0) + 128);
  std::vector<float> out(tokens * StoreColumns::columns, -1);
  Stream stream(nullptr, false);
  linear_by_tokens<ByTokens<Otherwise<Variant<64>>>>(
      stream, tokens, RmsNorm<K>{x.data(), gamma.data(), 1e-5f}, packed.data(),
      reinterpret_cast<void *>(
          (reinterpret_cast<uintptr_t>(scratch.data()) + 127) / 128 * 128),
      StoreColumns{out.data()});
  for (int t = 0; t < tokens; ++t) {
    double squares = 0;
    for (int k = 0; k < K; ++k)
      squares += double(x[t * K + k]) * x[t * K + k];
    const double scale = 1 / std::sqrt(squares / K + 1e-5);
    for (int n = 0; n < StoreColumns::columns; ++n) {
      double sum = 0;
      for (int k = 0; k < K; ++k)
        sum += x[t * K + k] * scale * gamma[k] * widen(w[n * K + k]);
      EXPECT_NEAR(out[t * StoreColumns::columns + n], sum,
                  4 * roundoff<E>() * 0.3 * std::sqrt(K));
    }
  }
}

TEST(CudaLinear, NormsAndTokens) {
  check_linear<bf16, 64>(1);
  check_linear<f16, 200>(8);
  check_linear<bf16, 576>(9);
  check_linear<bf16, 101>(30); // not a multiple of four
  check_linear<f16, 128>(70);
}

/// x . W^T for three segments, whose partners lie as they may, by eight columns
/// and one by one.
template <int Columns, Partner P, int Group> struct StorePair {
  static constexpr Partner partner = P;
  static constexpr int columns = Columns, group = Group;
  float *out; // [tokens][2][columns]
  template <class V>
  void operator()(V value, V other, int row, int column, auto lanes) const {
    store(out + row * 2 * columns + column, value, lanes);
    store(out + row * 2 * columns + columns + column, other, lanes);
  }
};

/// Tiles whole, and cut where they can be.
template <class E, int K> void check_wgmma(int tokens, int blocks) {
  using Rotated = StorePair<96, Partner::half, 32>;
  using Odd = StorePair<37, Partner::none, 0>;
  using Gated = StorePair<40, Partner::gate_up, 0>;
  const ColumnSegment segments[] = {segment_of<Rotated>(), segment_of<Odd>(),
                                    segment_of<Gated>()};
  std::vector<E> x = rounded<E>(normal(size_t(tokens) * K)), w, packed;
  int rows = 0;
  for (const ColumnSegment &segment : segments) {
    const int units = tile_units(segment), first = rows;
    rows += source_rows(segment);
    std::vector<E> part = rounded<E>(normal(size_t(source_rows(segment)) * K));
    w.insert(w.end(), part.begin(), part.end());
    const size_t at = packed.size();
    packed.resize(at + tile_elements(units, K));
    for (int row = 0; row < units * tile_rows; ++row)
      if (const int source = tile_source_row(segment, row); source >= 0)
        for (int k = 0; k < K; ++k)
          packed[at + tile_index(row, k, K)] = w[(first + source) * K + k];
  }
  std::vector<float> sums(cut_sums_bytes(tokens) / 4);
  std::vector<unsigned> meetings(most_cut_tiles);
  WgmmaSupport support;
  support.encode = "emulation";
  support.blocks = blocks;
  support.space = {sums.data(), meetings.data()};
  Stream stream(nullptr, false, {}, &support);
  constexpr TiledWeights tiled = tiled_weights<K, Rotated, Odd, Gated>();
  std::vector<TilePlan> plans;
  for (int of : {32, 64, 128, 256})
    if (of == 32 || tokens > of / 2) {
      plans.push_back(whole_tiles(tiled, tokens, of, blocks));
      plans.push_back(cut_tiles(tiled, tokens, of, blocks));
    }
  for (const TilePlan &plan : plans) {
    std::vector<float> rotated(tokens * 2 * 96, NAN), odd(tokens * 2 * 37, NAN),
        gated(tokens * 2 * 40, NAN);
    launch_wgmma<K>(stream, plan, tokens, x.data(), packed.data(),
                    Rotated{rotated.data()}, Odd{odd.data()},
                    Gated{gated.data()});
    for (unsigned word : meetings)
      EXPECT_EQ(word, 0u);
    auto expect = [&](float value, int t, int row) {
      double sum = 0;
      for (int k = 0; k < K; ++k)
        sum += double(widen(x[t * K + k])) * widen(w[row * K + k]);
      EXPECT_NEAR(value, sum, 1e-4 * std::sqrt(K));
    };
    for (int t = 0; t < tokens; ++t) {
      for (int n = 0; n < 96; ++n)
        if (n % 32 < 16) {
          expect(rotated[t * 192 + n], t, n);
          expect(rotated[t * 192 + 96 + n], t, n + 16);
        }
      for (int n = 0; n < 37; ++n)
        expect(odd[t * 74 + n], t, 96 + n);
      for (int n = 0; n < 40; ++n) {
        expect(gated[t * 80 + n], t, 96 + 37 + n);
        expect(gated[t * 80 + 40 + n], t, 96 + 37 + 40 + n);
      }
    }
  }
}

TEST(CudaLinear, ByWgmma) {
  check_wgmma<bf16, 64>(9, 132);  // one step of k
  check_wgmma<f16, 448>(33, 3);   // three blocks of two tiles
  check_wgmma<bf16, 1024>(64, 8); // four blocks a tile
  check_wgmma<bf16, 192>(100, 5);
  check_wgmma<f16, 384>(300, 5); // whole tiles and cut ones
  check_wgmma<bf16, 192>(200, 2);
}

TEST(CudaLinear, PlansFitWhatIsThereForThem) {
  for (TiledWeights w : {TiledWeights{1, 1}, {3, 200}, {32, 64}, {1002, 64}})
    for (int blocks : {1, 7, 114, wgmma_blocks})
      for (int tokens = 1; tokens <= 600; ++tokens) {
        const TilePlan plan = best_tiles(w, tokens, blocks);
        const int tiles = tiles_of_plan(w, tokens, plan.tokens);
        EXPECT_LE(plan.blocks, blocks);
        EXPECT_LE(plan.cut, tiles);
        EXPECT_LE(plan.cut, most_cut_tiles);
        EXPECT_GE(int64_t(plan.cut) * w.steps, plan.cut ? plan.blocks : 0);
        // Two places of each block.
        EXPECT_LE(int64_t(2) * blocks * wgmma_rows * plan.tokens * 4,
                  cut_sums_bytes(tokens));
      }
}

//===----------------------------------------------------------------------===//
// Picks.
//===----------------------------------------------------------------------===//

TEST(CudaPick, TheLowestOfTheLargestFinite) {
  constexpr int columns = 1000;
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> logits(6 * columns);
  auto row = [&](int r) { return logits.begin() + r * columns; };
  for (float &value : logits)
    value = normal(1)[0];
  row(0)[999] = 9;
  row(1)[17] = row(1)[16] = row(1)[700] = 8;
  std::fill(row(2), row(3), -3.0f);
  row(3)[5] = std::nanf("");
  row(4)[6] = inf;
  std::fill(row(5), row(5) + columns, -inf);
  std::vector<unsigned long long> parts(6 * pick_blocks);
  std::vector<unsigned> tickets(6);
  std::vector<int32_t> picks(6, -2);
  Stream stream(nullptr, false);
  for (int times = 0; times < 2; ++times) {
    stream.run(6 * pick_blocks, PickBody{columns, logits.data(), parts.data(),
                                         tickets.data(), picks.data()});
    EXPECT_EQ(picks, (std::vector<int32_t>{999, 16, 0, -1, -1, -1}));
  }
}

} // namespace
