// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Reference.h"

#include "Client.h"

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unistd.h>

namespace fdpp::eval {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little);
constexpr const char *kFormat = "fdpp-eval-reference";
constexpr uint64_t kMaxHeader = 1 << 20;

int64_t scoredTokens(const std::vector<Window> &windows) {
  int64_t count = 0;
  for (const Window &window : windows)
    count += window.scored;
  return count;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

namespace {

/// One tensor as the header describes it.
struct Entry {
  std::string dtype;
  std::vector<uint64_t> shape;
  uint64_t begin, end;
};

/// Nothing if the header's words about the tensor cannot be true.
std::optional<Entry> entryOf(const json &header, const char *name,
                             uint64_t dataBytes) {
  auto at = header.find(name);
  if (at == header.end() || !at->is_object())
    return std::nullopt;
  try {
    Entry entry{at->at("dtype").get<std::string>(),
                at->at("shape").get<std::vector<uint64_t>>(), 0, 0};
    auto offsets = at->at("data_offsets").get<std::vector<uint64_t>>();
    uint64_t bytes = entry.dtype == "F16" ? 2 : 4;
    for (uint64_t extent : entry.shape)
      if (extent == 0 || extent > dataBytes ||
          __builtin_mul_overflow(bytes, extent, &bytes))
        return std::nullopt;
    if (offsets.size() != 2 || offsets[0] > offsets[1] ||
        offsets[1] > dataBytes || offsets[1] - offsets[0] != bytes)
      return std::nullopt;
    entry.begin = offsets[0];
    entry.end = offsets[1];
    return entry;
  } catch (const json::exception &) {
    return std::nullopt;
  }
}

template <typename T>
bool readAll(std::ifstream &file, uint64_t at, std::vector<T> &values) {
  file.seekg(static_cast<std::streamoff>(at));
  file.read(reinterpret_cast<char *>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(T)));
  return file.good();
}

/// The windows that [length, scored] pairs cut the tokens into.
std::optional<std::vector<Window>> cut(const std::vector<int32_t> &pairs,
                                       const std::vector<int32_t> &tokens) {
  std::vector<Window> windows;
  size_t at = 0;
  for (size_t w = 0; w + 1 < pairs.size(); w += 2) {
    int32_t length = pairs[w], scored = pairs[w + 1];
    if (length < 2 || scored < 1 || scored >= length ||
        static_cast<size_t>(length) > tokens.size() - at)
      return std::nullopt;
    auto from = tokens.begin() + static_cast<std::ptrdiff_t>(at);
    windows.push_back({{from, from + length}, scored});
    at += length;
  }
  if (at != tokens.size())
    return std::nullopt;
  return windows;
}

} // namespace

void ReferenceReader::damaged(const std::string &why) const {
  tools::fail(name + ": is no reference, or a damaged one: " + why +
              "; fdpp-eval --save makes one");
}

/// The header, checked to be one of ours; leaves `dataAt` behind it.
static json readHeader(std::ifstream &file, uint64_t size, uint64_t &dataAt,
                       std::string &why) {
  uint64_t length = 0;
  file.seekg(0);
  file.read(reinterpret_cast<char *>(&length), sizeof(length));
  why = "it has no header";
  if (!file || length > kMaxHeader || length > size - sizeof(length))
    return {};
  std::string text(length, '\0');
  file.read(text.data(), static_cast<std::streamsize>(length));
  dataAt = sizeof(length) + length;
  why = "its header is no JSON object";
  json header = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!file || !header.is_object())
    return {};
  why = std::string("its header does not say ") + kFormat + ", version 1";
  const json &facts = header["__metadata__"];
  if (!facts.is_object() || facts.value("format", json()) != kFormat ||
      facts.value("version", json()) != "1")
    return {};
  return header;
}

ReferenceReader::ReferenceReader(const std::string &path)
    : name(path), file(path, std::ios::binary | std::ios::ate) {
  if (!file)
    tools::fail(path + ": cannot open the reference (" + std::strerror(errno) +
                ")");
  auto size = static_cast<uint64_t>(file.tellg());
  uint64_t dataAt = 0;
  std::string why;
  json header = readHeader(file, size, dataAt, why);
  if (header.is_null())
    damaged(why);
  json source = header["__metadata__"].value("source", json());
  origin = source.is_string() ? source.get<std::string>() : "";

  const uint64_t dataBytes = size - dataAt;
  auto find = [&](const char *tensor, const char *dtype, size_t rank) {
    auto entry = entryOf(header, tensor, dataBytes);
    if (!entry || entry->dtype != dtype || entry->shape.size() != rank)
      damaged(std::string(tensor) + " is missing or does not fit the file");
    return *entry;
  };
  auto read = [&](const Entry &entry, auto &values) {
    values.resize((entry.end - entry.begin) / sizeof(values[0]));
    if (!readAll(file, dataAt + entry.begin, values))
      damaged("it cannot be read to its end");
  };
  std::vector<int32_t> pairs, ids;
  read(find("windows", "I32", 2), pairs);
  read(find("tokens", "I32", 1), ids);
  read(find("nll", "F32", 1), losses);
  read(find("top", "I32", 1), tops);
  auto pieces = cut(pairs, ids);
  if (!pieces || losses.size() != tops.size() ||
      scoredTokens(*pieces) != static_cast<int64_t>(losses.size()))
    damaged("its windows do not fit its tokens");
  all = std::move(*pieces);
  for (float loss : losses)
    if (!std::isfinite(loss))
      damaged("a token's loss is no number");
  if (!header.contains("log_probs"))
    return;
  half = header["log_probs"].value("dtype", json()) == "F16";
  Entry probs = find("log_probs", half ? "F16" : "F32", 2);
  if (probs.shape[0] != losses.size() ||
      probs.shape[1] > std::numeric_limits<int32_t>::max())
    damaged("log_probs does not fit the other tensors");
  columns = static_cast<int64_t>(probs.shape[1]);
  halves.resize(half ? columns : 0);
  file.seekg(static_cast<std::streamoff>(dataAt + probs.begin));
}

void ReferenceReader::nextRow(std::span<float> row) {
  auto *data = half ? reinterpret_cast<char *>(halves.data())
                    : reinterpret_cast<char *>(row.data());
  file.read(data, static_cast<std::streamsize>(columns * (half ? 2 : 4)));
  if (!file)
    damaged("it cannot be read to its end");
  for (size_t i = 0; i < halves.size(); ++i)
    row[i] = static_cast<float>(std::bit_cast<_Float16>(halves[i]));
  for (float value : row)
    if (!(value <= 0.01F)) // rounding may lift a certain token over zero
      damaged("a logarithm of a probability is above zero");
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

/// The header of safetensors: length, then JSON, filled up to 64 bytes.
static std::string makeHeader(const std::vector<Window> &windows,
                              const std::string &source, int64_t tokens,
                              int64_t vocab, Stored stored, uint64_t &factsAt) {
  uint64_t at = 0;
  json header;
  header["__metadata__"] = {
      {"format", kFormat}, {"version", "1"}, {"source", source}};
  auto put = [&](const char *name, const char *dtype, uint64_t width,
                 const std::vector<uint64_t> &shape) {
    uint64_t bytes = width;
    for (uint64_t extent : shape)
      bytes *= extent;
    header[name] = {
        {"dtype", dtype}, {"shape", shape}, {"data_offsets", {at, at + bytes}}};
    at += bytes;
  };
  auto rows = static_cast<uint64_t>(scoredTokens(windows));
  put("windows", "I32", 4, {windows.size(), 2});
  put("tokens", "I32", 4, {static_cast<uint64_t>(tokens)});
  factsAt = at;
  put("nll", "F32", 4, {rows});
  put("top", "I32", 4, {rows});
  if (stored != Stored::None)
    put("log_probs", stored == Stored::F16 ? "F16" : "F32",
        stored == Stored::F16 ? 2 : 4, {rows, static_cast<uint64_t>(vocab)});
  std::string text =
      header.dump(-1, ' ', false, json::error_handler_t::replace);
  uint64_t length = (text.size() + 8 + 63) / 64 * 64 - 8;
  text.resize(length, ' ');
  factsAt += 8 + length;
  return std::string(reinterpret_cast<const char *>(&length), 8) + text;
}

ReferenceWriter::ReferenceWriter(const std::string &path,
                                 const std::vector<Window> &windows,
                                 const std::string &source, int64_t vocab,
                                 Stored stored)
    : name(path), temporary(path + "." + std::to_string(getpid()) + ".part"),
      file(temporary, std::ios::binary), stored(stored) {
  std::vector<int32_t> pairs, tokens;
  for (const Window &window : windows) {
    pairs.push_back(static_cast<int32_t>(window.tokens.size()));
    pairs.push_back(window.scored);
    tokens.insert(tokens.end(), window.tokens.begin(), window.tokens.end());
  }
  rows = scoredTokens(windows);
  uint64_t facts = 0;
  std::string header =
      makeHeader(windows, source, static_cast<int64_t>(tokens.size()), vocab,
                 stored, facts);
  factsAt = static_cast<std::streamoff>(facts);
  write(header.data(), header.size());
  write(pairs.data(), pairs.size() * sizeof(int32_t));
  write(tokens.data(), tokens.size() * sizeof(int32_t));
  // Room for nll and top, which are known at the end.
  std::vector<int32_t> room(2 * rows);
  write(room.data(), room.size() * sizeof(int32_t));
}

ReferenceWriter::~ReferenceWriter() {
  if (file.is_open())
    std::remove(temporary.c_str());
}

void ReferenceWriter::failToWrite() const {
  tools::fail(name + ": cannot write the reference (" + std::strerror(errno) +
              ")");
}

void ReferenceWriter::write(const void *data, size_t bytes) {
  if (!file.write(static_cast<const char *>(data),
                  static_cast<std::streamsize>(bytes)))
    failToWrite();
}

void ReferenceWriter::add(double nll, int32_t top,
                          std::span<const float> logits, double logSumExp) {
  losses.push_back(static_cast<float>(nll));
  tops.push_back(top);
  if (stored == Stored::None)
    return;
  row.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    row[i] = static_cast<float>(logits[i] - logSumExp);
  if (stored == Stored::F32)
    return write(row.data(), row.size() * sizeof(float));
  halves.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    halves[i] = std::bit_cast<uint16_t>(
        static_cast<_Float16>(std::max(row[i], -65504.0F)));
  write(halves.data(), halves.size() * sizeof(uint16_t));
}

void ReferenceWriter::finish() {
  if (static_cast<int64_t>(losses.size()) != rows)
    throw std::logic_error("a reference was finished before its last row");
  file.seekp(factsAt);
  write(losses.data(), losses.size() * sizeof(float));
  write(tops.data(), tops.size() * sizeof(int32_t));
  file.close();
  if (!file || std::rename(temporary.c_str(), name.c_str()) != 0) {
    std::remove(temporary.c_str());
    failToWrite();
  }
}

} // namespace fdpp::eval
