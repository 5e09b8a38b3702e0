// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_WEIGHTFILE_H
#define FDPP_RUNTIME_ENGINE_WEIGHTFILE_H

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace fdpp::runtime {

/// A read-only mapping of a whole file.
class MappedFile {
public:
  explicit MappedFile(const std::string &path);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  const uint8_t *data() const { return base; }
  uint64_t size() const { return length; }

private:
  const uint8_t *base = nullptr;
  uint64_t length = 0;
};

struct WeightTensor {
  const uint8_t *data; // 64-byte aligned
  uint64_t bytes;
  int32_t dtype; // enum fdpp_dtype
};

/// weights.safetensors, mapped and checked: header, dtypes, shapes, ranges, no
/// overlap, every tensor at a multiple of 64 bytes.
class WeightFile {
public:
  explicit WeightFile(const std::string &path);

  const std::string &path() const { return name; }
  uint64_t bytes() const { return file.size(); }
  const std::map<std::string, WeightTensor> &tensors() const { return table; }

private:
  void readHeader(std::string_view header, uint64_t dataStart);
  [[noreturn]] void fail(const std::string &why) const;

  std::string name;
  MappedFile file;
  std::map<std::string, WeightTensor> table;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_WEIGHTFILE_H
