// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "WeightFile.h"

#include "Dtypes.h"
#include "Error.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace fdpp::runtime {
namespace {

constexpr uint64_t kMaxHeader = 100u << 20; // as the safetensors format says
constexpr uint64_t kAlignment = 64;

/// Shape times element size, or false on a malformed shape or overflow.
bool tensorBytes(const nlohmann::json &shape, uint64_t elementBytes,
                 uint64_t &bytes) {
  if (!shape.is_array())
    return false;
  bytes = elementBytes;
  for (const nlohmann::json &dim : shape)
    if (!dim.is_number_unsigned() ||
        __builtin_mul_overflow(bytes, dim.get<uint64_t>(), &bytes))
      return false;
  return true;
}

} // namespace

MappedFile::MappedFile(const std::string &path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) {
    std::string why = std::strerror(errno);
    if (fd >= 0)
      close(fd);
    userError(path + ": cannot open the file (" + why + ")");
  }
  length = static_cast<uint64_t>(info.st_size);
  void *address = length == 0
                      ? nullptr
                      : mmap(nullptr, length, PROT_READ, MAP_SHARED, fd, 0);
  std::string why = std::strerror(errno);
  close(fd);
  if (address == MAP_FAILED)
    userError(path + ": cannot map the file (" + why + ")");
  base = static_cast<const uint8_t *>(address);
  // Start reading ahead: every byte is needed by the first step.
  if (base)
    madvise(address, length, MADV_WILLNEED);
}

MappedFile::~MappedFile() {
  if (base)
    munmap(const_cast<uint8_t *>(base), length);
}

WeightFile::WeightFile(const std::string &path) : name(path), file(path) {
  uint64_t headerBytes = 0;
  if (file.size() < sizeof(headerBytes))
    fail("shorter than its header");
  for (int i = 7; i >= 0; --i) // little-endian
    headerBytes = headerBytes << 8 | file.data()[i];
  if (headerBytes > kMaxHeader ||
      headerBytes > file.size() - sizeof(headerBytes))
    fail("header of " + std::to_string(headerBytes) +
         " bytes lies outside the file");
  readHeader({reinterpret_cast<const char *>(file.data()) + 8, headerBytes},
             8 + headerBytes);
}

void WeightFile::fail(const std::string &why) const {
  userError(name + ": damaged: " + why + "; compile the model again");
}

void WeightFile::readHeader(std::string_view header, uint64_t dataStart) {
  nlohmann::json json =
      nlohmann::json::parse(header.begin(), header.end(), nullptr, false);
  if (!json.is_object())
    fail("the header is no json object");
  const uint64_t dataBytes = file.size() - dataStart;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const auto &[key, value] : json.items()) {
    if (key == "__metadata__")
      continue;
    auto bad = [&, tensor = key](const std::string &why) {
      fail("tensor '" + tensor + "' " + why);
    };
    if (!value.is_object() || !value.contains("dtype") ||
        !value["dtype"].is_string() || !value.contains("shape") ||
        !value.contains("data_offsets"))
      bad("lacks dtype, shape or data_offsets");
    int32_t dtype = dtypeFromSafetensors(value["dtype"].get<std::string>());
    if (dtype < 0)
      bad("has a dtype this runtime does not know");
    const nlohmann::json &offsets = value["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2 ||
        !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
      bad("has malformed data_offsets");
    uint64_t begin = offsets[0].get<uint64_t>();
    uint64_t end = offsets[1].get<uint64_t>(), bytes;
    if (begin > end || end > dataBytes)
      bad("lies outside the file");
    if (!tensorBytes(value["shape"], kDtypes[dtype].bytes, bytes) ||
        bytes != end - begin)
      bad("has a shape that does not fit its data");
    if ((dataStart + begin) % kAlignment != 0)
      bad("does not begin at a multiple of 64 bytes");
    ranges.emplace_back(begin, end);
    table[key] = {file.data() + dataStart + begin, bytes, dtype};
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i)
    if (ranges[i].first < ranges[i - 1].second)
      fail("two tensors overlap");
}

} // namespace fdpp::runtime
