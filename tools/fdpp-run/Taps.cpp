// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --taps: the intermediate values of an engine that was compiled with --taps,
// as a stream. Each value is a line of JSON and an .npy file behind it:
//
//   {"name": "query", "node": "model/layers.0/attn/q_rope", "layer": 0,
//    "step": 0, "dtype": "bf16", "npy_bytes": 4224}
#include "Run.h"

#include "Json.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace fdpp::tools {
namespace {

class Stream {
public:
  explicit Stream(const std::string &path) : path(path) {
    if (path == "-")
      file = stdout;
    else if (!(file = std::fopen(path.c_str(), "wb")))
      failed();
  }
  ~Stream() {
    if (file && file != stdout)
      std::fclose(file);
  }
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;

  /// From a callback of the engine, which cannot fail: see `finish`.
  void write(const fdpp_value &value) noexcept;
  void finish() {
    if (broken || std::fflush(file) != 0)
      failed();
  }

  int32_t step = 0; // of the call that runs

private:
  [[noreturn]] void failed() {
    fail(path + ": cannot write the values (" + std::strerror(errno) + ")");
  }
  void put(const std::string &bytes) {
    broken |= std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size();
  }

  const std::string path;
  FILE *file = nullptr;
  bool broken = false;
};

float toFloat(uint16_t bits, int32_t dtype) {
  if (dtype == FDPP_VALUE_BF16)
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  return static_cast<float>(std::bit_cast<_Float16>(bits));
}

/// All elements as float32, which holds each of them exactly.
std::string floatsOf(const fdpp_value &value) {
  size_t count = static_cast<size_t>(value.rows) * value.columns;
  std::string bytes(count * sizeof(float), '\0');
  if (value.dtype == FDPP_VALUE_F32) {
    std::memcpy(bytes.data(), value.data, bytes.size());
    return bytes;
  }
  const auto *narrow = static_cast<const uint16_t *>(value.data);
  for (size_t i = 0; i < count; ++i) {
    float element = toFloat(narrow[i], value.dtype);
    std::memcpy(bytes.data() + i * sizeof(float), &element, sizeof(float));
  }
  return bytes;
}

void Stream::write(const fdpp_value &value) noexcept {
  static const char *const kTypes[] = {"f32", "bf16", "f16"};
  std::string head = npyHeader(value.rows, value.columns);
  std::string data = floatsOf(value);
  put(JsonObjectWriter()
          .add("name", value.name)
          .add("node", value.node)
          .add("layer", value.layer)
          .add("step", step)
          .add("dtype", kTypes[value.dtype])
          .add("npy_bytes", static_cast<uint64_t>(head.size() + data.size()))
          .text() +
      "\n");
  put(head);
  put(data);
}

} // namespace

/// The prompt in the steps that --prefill asks for, with the logits of every
/// token. A token behind the prefill is a step of its own.
int runTaps(const RunOptions &options, const Engine &engine) {
  std::vector<std::vector<int32_t>> prompts = readPrompts(options, engine);
  if (prompts.size() != 1)
    fail("--taps takes one prompt");
  const std::vector<int32_t> &tokens = prompts.front();
  auto length = static_cast<int32_t>(tokens.size());
  fdpp_engine_info info = infoOf(engine);
  Session session = createSession(engine, options.session);
  fdpp_sequence *sequence = createSequence(session, 0);
  Stream stream(options.taps);
  auto onValue = [](void *ctx, const fdpp_value *value) {
    static_cast<Stream *>(ctx)->write(*value);
  };
  check(fdpp_session_set_tap(session.get(), onValue, &stream));
  int32_t first = options.prefill ? std::min(options.prefill, length) : length;
  if (first > info.max_tokens)
    fail("--taps shows one model step at a time, of at most " +
         std::to_string(info.max_tokens) + " tokens; give a smaller --prefill");
  std::vector<float> logits(static_cast<size_t>(first) * info.vocab_size);
  for (int32_t at = 0; at < length; ++stream.step) {
    auto item = sized<fdpp_step_item>();
    item.sequence = sequence;
    item.tokens = tokens.data() + at;
    item.count = at == 0 ? first : 1;
    item.all_logits = logits.data();
    check(fdpp_session_step(session.get(), &item, 1));
    at += item.count;
  }
  stream.finish();
  return 0;
}

} // namespace fdpp::tools
