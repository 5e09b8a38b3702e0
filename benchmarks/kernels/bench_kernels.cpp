// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// bench_kernels [-t THREADS] [-r REPEATS] [-f SUBSTRING]
//
// The ladder of each kernel, reference, simple and fast, as shares of the read
// ceiling and of the arithmetic peak of this machine, both measured before and
// after. Weights rotate through a buffer larger than any cache.
//
//   reference  scalar code over unpacked weights
//   simple     the same with a loop that clang vectorises
//   fast       the kernel an engine calls
#include "kernels/common/matrix_permission.h"
#include "kernels/common/tuning.h"
#include "kernels/cpu/kernels.h"
#include "machine.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

using namespace fdpp;
using namespace fdpp::cpu;
using namespace fdpp::bench;

namespace {

struct Options {
  int threads = int(std::thread::hardware_concurrency());
  int repeats = 25;
  const char *filter = "";
  bool only_machine = false;
} options;

double ceiling, peak, low_precision_peak;

/// One line of the table; `unit_peak` is the peak of the unit the kernel uses.
void print(const char *what, const char *type, const char *rung, int tokens,
           double seconds, double bytes, double flops, double unit_peak) {
  std::printf("%-26s %-5s %-10s T %4d %10.1f us %7.2f GB/s %5.2f %8.1f GF/s "
              "%5.2f\n",
              what, type, rung, tokens, seconds * 1e6, bytes / seconds / 1e9,
              bytes / seconds / ceiling, flops / seconds / 1e9,
              flops / seconds / unit_peak);
  std::fflush(stdout);
}

template <class E> const char *type_name() {
  return std::is_same_v<E, bf16>  ? "bf16"
         : std::is_same_v<E, f16> ? "f16"
                                  : "f32";
}
template <class E> double unit_peak() {
  return std::is_same_v<E, bf16> ? low_precision_peak : peak;
}

/// Random numbers of about unit size in any type, quickly.
template <class E> void fill(Buffer<E> &buffer) {
  std::vector<E> some(65537);
  std::mt19937 engine(1);
  std::normal_distribution<float> normal;
  for (E &value : some)
    value = from_float<E>(normal(engine));
  for (int64_t i = 0; i < buffer.size(); i += int64_t(some.size()))
    std::copy_n(some.data(), std::min(int64_t(some.size()), buffer.size() - i),
                buffer.data() + i);
}

constexpr int64_t arena_bytes = int64_t(1) << 29;
constexpr int most_tokens = 512;

template <int N> struct Store {
  static constexpr Partner partner = Partner::none;
  static constexpr int columns = N;
  float *out;
  template <class V>
  void operator()(V value, V, int row, int column, int count) const {
    store(out + int64_t(row) * N + column, value, count);
  }
};

template <class E, int N, int K>
void reference_linear(Team &team, int tokens, const E *x, const E *w,
                      float *out) {
  Range mine = team.share(N);
  for (int t = 0; t < tokens; ++t)
    for (int n = mine.begin; n < mine.end; ++n) {
      float sum = 0;
      for (int k = 0; k < K; ++k)
        sum += to_float(x[t * K + k]) * to_float(w[int64_t(n) * K + k]);
      out[int64_t(t) * N + n] = sum;
    }
}

template <class E, int N, int K>
void simple_linear(Team &team, int tokens, const E *x, const E *w, float *out) {
  Range mine = team.share(N);
  for (int n = mine.begin; n < mine.end; ++n)
    for (int t = 0; t < tokens; ++t) {
      f32x16 sum = splat(0.0f);
      for (int k = 0; k + lanes <= K; k += lanes)
        sum = fma(load(x + t * K + k), load(w + int64_t(n) * K + k), sum);
      out[int64_t(t) * N + n] = reduce_add(sum);
    }
}

/// `run(team, weights)` over weights that rotate through the arena.
template <class E, int N, int K, class Run>
void measure(const char *what, const char *rung, int tokens, Buffer<E> &arena,
             int repeats, Run run) {
  constexpr int64_t size = packed_elements<E>(panels_of(N), K);
  int64_t copies = std::max<int64_t>(1, arena.size() / size);
  double flops = 2.0 * tokens * N * K, bytes = double(size) * sizeof(E);
  // Enough calls that one timing lasts about 1 ms.
  int calls =
      int(std::clamp(1e-3 / std::max(bytes / 20e9, flops / 100e9), 1.0, 500.0));
  if (!std::strcmp(rung, "reference"))
    calls = 1;
  int64_t next = 0;
  double seconds =
      fastest(options.threads, repeats, [&](Team &team, int repeat) {
        for (int i = 0; i < calls; ++i)
          run(team, arena.data() +
                        (int64_t(repeat) * calls + i + next) % copies * size);
      });
  print(what, type_name<E>(), rung, tokens, seconds / calls, bytes, flops,
        unit_peak<E>());
}

/// The level of the kernels as they are compiled here.
template <class E> constexpr KernelLevel compiled_level() {
  const bool wide = widest_tile == 12;
  return *kernel_level(on_matrix_unit<E>      ? "amx"
                       : wide && has_bf16_dot ? "avx512bf16"
                       : wide                 ? "avx512"
                       : widest_tile == 6     ? "avx2"
                                              : "portable");
}

/// By the variant that the roofline chooses.
template <class E, int N, int K>
void bench_fast(const char *what, int tokens, Buffer<E> &arena,
                Buffer<float> &x, Buffer<float> &out, void *scratch) {
  measure<E, N, K>(what, "fast", tokens, arena, options.repeats,
                   [&](Team &team, const E *weights) {
                     constexpr KernelLevel level = compiled_level<E>();
                     const UsualTile tile = usual_tile(level, tokens);
                     linear_by({tile.tokens, tile.prefetch}, team, tokens,
                               Rows<K>{x.data()}, weights, scratch,
                               Store<N>{out.data()});
                   });
}

template <class E, int N, int K>
void bench_linear(const char *what, Buffer<E> &arena, bool whole_ladder) {
  if (!std::strstr(what, options.filter) &&
      !std::strstr(type_name<E>(), options.filter))
    return;
  Buffer<float> x(int64_t(most_tokens) * K), out(int64_t(most_tokens) * N);
  Buffer<E> narrow(int64_t(most_tokens) * K);
  fill(x), fill(narrow), fill(out);
  Buffer<char> scratch(linear_scratch_bytes(most_tokens, K, options.threads));
  for (int tokens : {1, 2, 4, 8, 16, 64, most_tokens}) {
    if (whole_ladder && (tokens == 1 || tokens == most_tokens)) {
      measure<E, N, K>(what, "reference", tokens, arena, 1,
                       [&](Team &team, const E *weights) {
                         reference_linear<E, N, K>(team, tokens, narrow.data(),
                                                   weights, out.data());
                       });
      measure<E, N, K>(what, "simple", tokens, arena, options.repeats,
                       [&](Team &team, const E *weights) {
                         simple_linear<E, N, K>(team, tokens, narrow.data(),
                                                weights, out.data());
                       });
    }
    bench_fast<E, N, K>(what, tokens, arena, x, out, scratch.data());
  }
}

/// The linears of a SmolLM2-135M layer and its head.
template <class E> void bench_smollm2() {
  Buffer<E> arena(arena_bytes / int64_t(sizeof(E)));
  fill(arena);
  bench_linear<E, 960, 576>("smollm2 qkv", arena, true);
  bench_linear<E, 576, 576>("smollm2 o", arena, false);
  bench_linear<E, 3072, 576>("smollm2 gate_up", arena, false);
  bench_linear<E, 576, 1536>("smollm2 down", arena, false);
  bench_linear<E, 49152, 576>("smollm2 lm_head", arena, false);
}

/// The widest and the deepest linear of a Llama-3-8B layer.
template <class E> void bench_llama3() {
  Buffer<E> arena(arena_bytes / int64_t(sizeof(E)));
  fill(arena);
  bench_linear<E, 28672, 4096>("llama3-8b gate_up", arena, false);
  bench_linear<E, 4096, 14336>("llama3-8b down", arena, false);
}

/// Keeps the best seen, for a peak is what the machine can do at all.
void measure_machine(Buffer<float> &buffer) {
  ceiling = std::max(ceiling, read_ceiling(options.threads, buffer));
  peak = std::max(peak, fma_peak(options.threads));
#ifdef FDPP_BF16_DOT
  low_precision_peak = std::max(low_precision_peak, dot_peak(options.threads));
#else
  low_precision_peak = std::max(low_precision_peak, peak);
#endif
  if constexpr (matrix::available)
    low_precision_peak =
        std::max(low_precision_peak, matrix_peak(options.threads));
  std::printf("# %d threads: read ceiling %.2f GB/s, f32 FMA peak %.1f GF/s, "
              "bf16 unit %.1f GF/s\n",
              options.threads, ceiling / 1e9, peak / 1e9,
              low_precision_peak / 1e9);
}

/// What the pages of a cache can be read at, by how much of it lies together.
void measure_blocks() {
  Buffer<float> buffer(int64_t(1) << 27, Pages::Huge);
  fill(buffer);
  for (int kib : {16, 32, 64, 256, 1024}) {
    double best = 0;
    for (int stride : {0, 1, 4})
      best = std::max(best, read_blocks(options.threads, buffer,
                                        int64_t(kib) << 10, stride));
    std::printf("# blocks of %4d KiB in random order: %.2f GB/s\n", kib,
                best / 1e9);
  }
}

bool parse(int argc, char **argv) {
  for (int i = 1; i < argc; i += 2) {
    if (!std::strcmp(argv[i], "-m")) {
      options.only_machine = true;
      --i;
      continue;
    }
    if (i + 1 == argc)
      return false;
    if (!std::strcmp(argv[i], "-t"))
      options.threads = std::atoi(argv[i + 1]);
    else if (!std::strcmp(argv[i], "-r"))
      options.repeats = std::atoi(argv[i + 1]);
    else if (!std::strcmp(argv[i], "-f"))
      options.filter = argv[i + 1];
    else
      return false;
  }
  return options.threads > 0 && options.repeats > 0;
}

} // namespace

int main(int argc, char **argv) {
  if (!parse(argc, argv)) {
    std::fprintf(stderr,
                 "usage: bench_kernels [-t THREADS] [-r REPEATS] [-f NAME]\n"
                 "       bench_kernels [-t THREADS] -m    the machine alone\n");
    return 1;
  }
  if (matrix::available && !request_matrix_unit()) {
    std::fprintf(stderr, "no matrix unit (AMX), or no permission to use it\n");
    return 1;
  }
  Buffer<float> buffer(int64_t(1) << 27);
  fill(buffer);
  measure_machine(buffer);
  if (options.only_machine) {
    measure_blocks();
    return 0;
  }
  bench_smollm2<bf16>();
  measure_machine(buffer);
  bench_smollm2<f16>();
  measure_machine(buffer);
  bench_llama3<bf16>();
  measure_machine(buffer);
  return 0;
}
