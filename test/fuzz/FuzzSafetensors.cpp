// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// weights.safetensors of an engine: every tensor of a file that is accepted
// lies inside it.

#include "Fuzz.h"
#include "Words.h"

#include "Error.h"
#include "WeightFile.h"

#include <algorithm>
#include <cstring>

using namespace fdpp::runtime;

/// Nothing accepted lies outside what the file holds or at odd addresses.
static void checkTensors(const WeightFile &weights, size_t size) {
  size_t sum = 0;
  for (const auto &[name, tensor] : weights.tensors()) {
    sum += tensor.bytes;
    if (reinterpret_cast<uintptr_t>(tensor.data) % 64 != 0)
      fuzz::defect("not aligned", name);
    const auto *bytes = static_cast<const volatile uint8_t *>(tensor.data);
    for (size_t i = 0; i < tensor.bytes; ++i)
      (void)bytes[i];
  }
  if (sum > size)
    fuzz::defect("more bytes than the file has", std::to_string(sum));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::Folder folder;
  std::string path = folder.put("weights.safetensors", data, size);
  try {
    WeightFile weights(path);
    checkTensors(weights, size);
  } catch (const Error &error) {
    fuzz::requireOneLine(error.what());
  }
  return 0;
}

/// Words of the header change; most times its length is put right again.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
                                          size_t limit, unsigned seed) {
  if (size <= 8 || limit <= 8 || seed % 16 == 0)
    return fuzz::mutateWords(data, size, limit, 0, {});
  std::string_view text(reinterpret_cast<const char *>(data) + 8, size - 8);
  size_t header = std::min(text.rfind('}') + 1, text.size());
  std::string rest(text.substr(header));
  std::string changed(text.substr(0, header));
  changed.resize(limit - 8);
  changed.resize(fuzz::mutateWords(reinterpret_cast<uint8_t *>(changed.data()),
                                   header, limit - 8, seed,
                                   {"F32", "BF16", "U8", "I64", "[]", "{}"}));
  if (seed % 3)
    changed.resize((changed.size() + 8 + 63) / 64 * 64 - 8, ' ');
  uint64_t length = changed.size();
  changed = (changed + rest).substr(0, limit - 8);
  std::memcpy(data, &length, 8);
  std::memcpy(data + 8, changed.data(), changed.size());
  return 8 + changed.size();
}
