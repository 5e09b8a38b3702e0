// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a model said of a text, as a .safetensors file (docs/evaluating.md):
//
//   windows    I32 [W, 2]   tokens of each window, how many of the last of
//                           them are scored
//   tokens     I32 [T]      all windows, one after another
//   nll        F32 [R]      -log p of each scored token, nats
//   top        I32 [R]      the most likely token at its place
//   log_probs  F16 | F32 [R, V]   optional
#ifndef FDPP_TOOLS_FDPP_EVAL_REFERENCE_H
#define FDPP_TOOLS_FDPP_EVAL_REFERENCE_H

#include "Windows.h"

#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace fdpp::eval {

using tools::Window;

int64_t scoredTokens(const std::vector<Window> &windows);

/// How log-probabilities are stored, if at all.
enum class Stored { None, F16, F32 };

/// Failures name the file and throw tools::Failure.
class ReferenceReader {
public:
  explicit ReferenceReader(const std::string &path);

  const std::string &path() const { return name; }
  const std::vector<Window> &windows() const { return all; }
  /// The model that it was made from; "" if the file does not say.
  const std::string &source() const { return origin; }
  double nll(int64_t row) const { return losses[row]; }
  int32_t top(int64_t row) const { return tops[row]; }
  /// 0: no log-probabilities are stored.
  int64_t vocab() const { return columns; }
  /// The next row of log-probabilities; `row` holds vocab() elements.
  void nextRow(std::span<float> row);

private:
  [[noreturn]] void damaged(const std::string &why) const;

  std::string name, origin;
  std::ifstream file;
  std::vector<Window> all;
  std::vector<float> losses;
  std::vector<int32_t> tops;
  int64_t columns = 0;
  bool half = false;
  std::vector<uint16_t> halves;
};

/// Writes beside `path` and renames when finished: no half file is left.
class ReferenceWriter {
public:
  ReferenceWriter(const std::string &path, const std::vector<Window> &windows,
                  const std::string &source, int64_t vocab, Stored stored);
  ~ReferenceWriter();
  ReferenceWriter(const ReferenceWriter &) = delete;
  ReferenceWriter &operator=(const ReferenceWriter &) = delete;

  /// The next scored token: its row of logits with their log-sum-exp.
  void add(double nll, int32_t top, std::span<const float> logits,
           double logSumExp);
  void finish();

private:
  void write(const void *data, size_t bytes);
  [[noreturn]] void failToWrite() const;

  const std::string name, temporary;
  std::ofstream file;
  const Stored stored;
  std::streamoff factsAt = 0; // where nll begins
  int64_t rows = 0;
  std::vector<float> losses;
  std::vector<int32_t> tops;
  std::vector<float> row;
  std::vector<uint16_t> halves;
};

} // namespace fdpp::eval

#endif // FDPP_TOOLS_FDPP_EVAL_REFERENCE_H
