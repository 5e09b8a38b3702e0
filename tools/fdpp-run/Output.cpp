// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Statistics and .npy files.
#include "Run.h"

#include "Json.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace fdpp::tools {
namespace {

double rate(uint64_t tokens, double ms) {
  return ms > 0 ? static_cast<double>(tokens) * 1000 / ms : 0;
}

double gigabytesASecond(const fdpp_stats &stats) {
  double ms = stats.prefill_ms + stats.decode_ms;
  auto bytes = static_cast<double>(stats.weight_bytes + stats.cache_bytes);
  return ms > 0 ? bytes / ms / 1e6 : 0;
}

} // namespace

void printStats(const fdpp_stats &s, const RowCounts &recomputed,
                double firstTokenMs) {
  auto phase = [](const char *name, uint64_t tokens, uint64_t steps,
                  double ms) {
    std::fprintf(stderr,
                 "%s: %llu tokens in %llu steps, %.2f ms, %.2f ms a step, "
                 "%.1f tokens/s\n",
                 name, static_cast<unsigned long long>(tokens),
                 static_cast<unsigned long long>(steps), ms,
                 steps ? ms / static_cast<double>(steps) : 0, rate(tokens, ms));
  };
  phase("prefill", s.prefill_tokens, s.prefill_steps, s.prefill_ms);
  phase("decode", s.decode_tokens, s.decode_steps, s.decode_ms);
  std::fprintf(stderr,
               "sampling: %.2f ms; first token after %.1f ms\n"
               "least traffic: weights %.1f MB, cache %.1f MB, %.2f GB/s\n"
               "softmax rows recomputed exactly: %llu",
               s.sample_ms, firstTokenMs,
               static_cast<double>(s.weight_bytes) / 1e6,
               static_cast<double>(s.cache_bytes) / 1e6, gigabytesASecond(s),
               static_cast<unsigned long long>(s.recomputed_rows));
  if (s.phi_rows > 0)
    std::fprintf(stderr, " of %llu (%.3f %%); heads made exact: %d",
                 static_cast<unsigned long long>(s.phi_rows),
                 100 * static_cast<double>(s.recomputed_rows) /
                     static_cast<double>(s.phi_rows),
                 s.exact_heads);
  std::fprintf(stderr, "\n%s", recomputed.text().c_str());
}

std::string statsAsJson(const fdpp_stats &s, const RowCounts &recomputed,
                        double firstTokenMs) {
  return JsonObjectWriter()
      .add("prefill_tokens", s.prefill_tokens)
      .add("prefill_steps", s.prefill_steps)
      .add("prefill_ms", s.prefill_ms)
      .add("decode_tokens", s.decode_tokens)
      .add("decode_steps", s.decode_steps)
      .add("decode_ms", s.decode_ms)
      .add("sample_ms", s.sample_ms)
      .add("first_token_ms", firstTokenMs)
      .add("weight_bytes", s.weight_bytes)
      .add("cache_bytes", s.cache_bytes)
      .add("recomputed_rows", s.recomputed_rows)
      .add("phi_rows", s.phi_rows)
      .add("exact_heads", s.exact_heads)
      .raw("recomputed_by_head", recomputed.json())
      .text();
}

// Format:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
std::string npyHeader(int64_t rows, int64_t columns) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                       std::to_string(rows) + ", " + std::to_string(columns) +
                       "), }";
  constexpr size_t kPrefix = 10; // magic, version, header length
  header.resize((header.size() + 1 + kPrefix + 63) / 64 * 64 - kPrefix, ' ');
  header.back() = '\n';
  auto length = static_cast<uint16_t>(header.size());
  std::string start("\x93NUMPY\x01\x00", 8);
  start.append(reinterpret_cast<const char *>(&length), sizeof(length));
  return start + header;
}

void writeNpy(const std::string &path, const std::vector<float> &values,
              int64_t rows, int64_t columns) {
  std::string start = npyHeader(rows, columns);
  std::unique_ptr<FILE, int (*)(FILE *)> file(std::fopen(path.c_str(), "wb"),
                                              std::fclose);
  bool ok =
      file &&
      std::fwrite(start.data(), 1, start.size(), file.get()) == start.size() &&
      std::fwrite(values.data(), sizeof(float), values.size(), file.get()) ==
          values.size() &&
      std::fflush(file.get()) == 0;
  if (!ok)
    fail(path + ": cannot write the logits (" + std::strerror(errno) + ")");
}

} // namespace fdpp::tools
