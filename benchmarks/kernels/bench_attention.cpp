// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// bench_attention [-t THREADS] [-r REPEATS] [-f SUBSTRING] [-m MIB]
//
// Attention with an exact and an asynchronous softmax, measured in turn so that
// a change of the clock meets all alike. In decoding the cache rotates through
// memory larger than any cache, or through MIB; prefill is of one sequence
// without a past.
//
//   exact     running maximum, parts combined by their log-sum-exp
//   async     weights relative to phi, rows tested, the pair of kernels an
//             engine calls
//   no test   the same without any test: what the test costs
//   all fail  every row fails its test and is computed again
#include "kernels/cpu/kernels.h"
#include "machine.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>

using namespace fdpp;
using namespace fdpp::cpu;
using namespace fdpp::bench;

namespace {

struct Options {
  int threads = int(std::thread::hardware_concurrency());
  int repeats = 31;
  int64_t mebibytes = 256; // of cache that decoding rotates through
  const char *filter = "";
} options;

/// Takes every row for valid.
template <class P> struct Untested : AsyncSoftmax<P> {
  FDPP_INLINE static bool valid(float, bool) { return true; }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double ceiling;

template <class E, int QueryHeads, int KvHeads, int HeadDim> class DecodeBench {
public:
  DecodeBench(int context, int sequences)
      : context(context), sequences(sequences),
        pages((context + 63) / 64 * sequences),
        copies(int(std::max<int64_t>(
            1, (options.mebibytes << 20) /
                   (int64_t(pages) * page * int64_t(sizeof(E)))))),
        memory(int64_t(copies) * pages * page, Pages::Huge),
        scratch(
            decode_attention_scratch_bytes(sequences, QueryHeads, HeadDim, 1)),
        query(size_t(sequences) * QueryHeads * HeadDim), out(query.size()),
        invalid(size_t(sequences) * QueryHeads) {
    std::mt19937 engine(1);
    std::normal_distribution<float> normal;
    std::vector<E> some(65537);
    for (E &value : some)
      value = from_float<E>(normal(engine));
    for (int64_t i = 0; i < memory.size(); i += int64_t(some.size()))
      std::copy_n(some.data(),
                  std::min(int64_t(some.size()), memory.size() - i),
                  memory.data() + i);
    for (float &value : query)
      value = normal(engine);
    for (int s = 0; s <= sequences; ++s)
      offsets.push_back(s);
    lengths.assign(size_t(sequences), context);
    for (int i = 0; i < pages; ++i)
      table.push_back(i);
  }

  void run(const char *name) {
    constexpr int variants = 4;
    std::vector<double> seconds[variants];
    int calls = std::max(1, int(5e-4 / (double(bytes()) / 30e9)));
    std::vector<float> good(QueryHeads, 0.0f), bad(QueryHeads, 500.0f);
    on_team(options.threads, [&](Team &team) {
      for (int repeat = -2; repeat < options.repeats; ++repeat)
        for (int v = 0; v < variants; ++v) {
          team.barrier();
          double start = now();
          for (int i = 0; i < calls; ++i)
            call(team, v, ((repeat + 2) * variants + v) * calls + i,
                 v == 3 ? bad : good);
          team.barrier();
          if (team.index == 0 && repeat >= 0)
            seconds[v].push_back((now() - start) / calls);
        }
    });
    static const char *const names[] = {"exact", "async", "no test",
                                        "all fail"};
    // Each round's ratio, since rounds see different clocks.
    for (int v = 0; v < variants; ++v) {
      std::vector<double> to_exact, to_untested;
      for (size_t i = 0; i < seconds[v].size(); ++i) {
        to_exact.push_back(seconds[v][i] / seconds[0][i]);
        to_untested.push_back(seconds[v][i] / seconds[2][i]);
      }
      double time = median(seconds[v]);
      double rate = double(bytes()) / time;
      std::printf("%-10s ctx %6d x %2d %-8s %9.1f us %6.2f GB/s, %.2f of the "
                  "ceiling  to exact %.3f  to no test %.3f\n",
                  name, context, sequences, names[v], time * 1e6, rate / 1e9,
                  rate / ceiling, median(to_exact), median(to_untested));
    }
    std::fflush(stdout);
  }

private:
  using KvCache = Cache<E, KvHeads, HeadDim, 64>;
  static constexpr int64_t page = cache_page_elements(KvHeads, HeadDim, 64);

  int64_t bytes() const {
    return int64_t(sequences) * context * 2 * KvHeads * HeadDim *
           int64_t(sizeof(E));
  }

  void call(Team &team, int variant, int number,
            const std::vector<float> &phi) {
    Batch batch{sequences, offsets.data(), lengths.data(), table.data(),
                (context + 63) / 64};
    KvCache cache{memory.data() + int64_t(number % copies) * pages * page,
                  pages};
    AttentionOptions attention{1.0f / 8};
    if (variant == 0)
      return decode_attention<QueryHeads>(team, batch, 0, query.data(), cache,
                                          attention, scratch.data(),
                                          out.data());
    if (variant == 2)
      return async_softmax_decode_attention<QueryHeads, float, Untested<float>>(
          team, batch, 0, query.data(), cache, attention, phi.data(),
          scratch.data(), out.data(), invalid.data());
    async_softmax_decode_attention<QueryHeads, float>(
        team, batch, 0, query.data(), cache, attention, phi.data(),
        scratch.data(), out.data(), invalid.data());
    recompute_rows<QueryHeads>(team, batch, 0, query.data(), cache, attention,
                               invalid.data(), nullptr, scratch.data(),
                               out.data());
  }

  int context, sequences, pages, copies;
  Buffer<E> memory;
  Buffer<char> scratch;
  std::vector<float> query, out;
  std::vector<int32_t> invalid, offsets, lengths, table;
};

template <class E, int QueryHeads, int KvHeads, int HeadDim>
class PrefillBench {
public:
  explicit PrefillBench(int tokens)
      : tokens(tokens), offsets{0, tokens}, table(size_t(tokens) / 64),
        memory(int64_t(table.size()) *
                   cache_page_elements(KvHeads, HeadDim, 64),
               Pages::Huge),
        query(size_t(tokens) * QueryHeads * HeadDim), out(query.size()),
        invalid(size_t(tokens) * QueryHeads) {
    std::mt19937 engine(1);
    std::normal_distribution<float> normal;
    std::iota(table.begin(), table.end(), 0);
    for (int64_t i = 0; i < memory.size(); ++i)
      memory.data()[i] = from_float<E>(normal(engine));
    for (float &value : query)
      value = normal(engine);
  }

  void run(const char *name) {
    static const char *const names[] = {"exact", "async", "all fail"};
    std::vector<double> seconds[3];
    on_team(options.threads, [&](Team &team) {
      for (int repeat = -1; repeat < options.repeats; ++repeat)
        for (int v = 0; v < 3; ++v) {
          team.barrier();
          double start = now();
          call(team, v);
          team.barrier();
          if (team.index == 0 && repeat >= 0)
            seconds[v].push_back(now() - start);
        }
    });
    for (int v = 0; v < 3; ++v) {
      std::vector<double> to_exact;
      for (size_t i = 0; i < seconds[v].size(); ++i)
        to_exact.push_back(seconds[v][i] / seconds[0][i]);
      std::printf("%-10s prefill %5d %-8s %9.1f us  to exact %.3f\n", name,
                  tokens, names[v], median(seconds[v]) * 1e6, median(to_exact));
    }
    std::fflush(stdout);
  }

private:
  void call(Team &team, int variant) {
    Batch batch{1, offsets.data(), &tokens, table.data(), int(table.size())};
    Cache<E, KvHeads, HeadDim, 64> cache{memory.data(), int(table.size())};
    AttentionOptions attention{1.0f / 8};
    if (variant == 0)
      return prefill_attention<QueryHeads>(team, batch, 0, query.data(), cache,
                                           attention, out.data());
    const std::vector<float> &phi = variant == 1 ? good : bad;
    async_softmax_prefill_attention<QueryHeads, float>(
        team, batch, 0, query.data(), cache, attention, phi.data(), out.data(),
        invalid.data());
    recompute_prefill_rows<QueryHeads>(team, batch, 0, query.data(), cache,
                                       attention, invalid.data(), nullptr,
                                       out.data());
  }

  const int tokens;
  std::vector<int32_t> offsets, table;
  Buffer<E> memory;
  std::vector<float> query, out;
  std::vector<int32_t> invalid;
  const std::vector<float> good = std::vector<float>(QueryHeads, 0.0f),
                           bad = std::vector<float>(QueryHeads, 500.0f);
};

template <class E, int QueryHeads, int KvHeads, int HeadDim>
void measure_prefill(const char *name) {
  if (!std::strstr(name, options.filter))
    return;
  for (int tokens : {512, 2048})
    PrefillBench<E, QueryHeads, KvHeads, HeadDim>(tokens).run(name);
}

template <class E, int QueryHeads, int KvHeads, int HeadDim>
void measure(const char *name, int sequences) {
  if (!std::strstr(name, options.filter))
    return;
  for (int context : {128, 256, 1024, 4096, 16384})
    DecodeBench<E, QueryHeads, KvHeads, HeadDim>(context, sequences).run(name);
}

bool parse(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "-t"))
      options.threads = std::atoi(argv[i + 1]);
    else if (!std::strcmp(argv[i], "-r"))
      options.repeats = std::atoi(argv[i + 1]);
    else if (!std::strcmp(argv[i], "-m"))
      options.mebibytes = std::atoi(argv[i + 1]);
    else if (!std::strcmp(argv[i], "-f"))
      options.filter = argv[i + 1];
    else
      return false;
  }
  return argc % 2 == 1 && options.threads > 0 && options.repeats > 0;
}

} // namespace

int main(int argc, char **argv) {
  if (!parse(argc, argv)) {
    std::fprintf(stderr, "usage: bench_attention [-t THREADS] [-r REPEATS] "
                         "[-f NAME] [-m MIB]\n");
    return 1;
  }
  Buffer<float> buffer(int64_t(1) << 27);
  std::fill(buffer.data(), buffer.data() + buffer.size(), 1.0f);
  ceiling = read_ceiling(options.threads, buffer);
  std::printf("# %d threads: read ceiling %.2f GB/s\n", options.threads,
              ceiling / 1e9);
  measure<bf16, 9, 3, 64>("smollm2", 1);
  measure<bf16, 9, 3, 64>("smollm2", 8);
  measure<bf16, 32, 8, 128>("llama3-8b", 1);
  measure<bf16, 32, 32, 128>("llama2-7b", 1);
  measure_prefill<bf16, 9, 3, 64>("smollm2 many");
  measure_prefill<bf16, 32, 8, 128>("llama3-8b many");
  return 0;
}
