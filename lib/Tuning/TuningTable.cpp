// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Tuning/TuningTable.h"

#include "kernels/common/tuning.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace mlir::fdpp;
using llvm::createStringError;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;
namespace json = llvm::json;

static constexpr uint64_t kMostBytes = 64 << 20;

//===----------------------------------------------------------------------===//
// Reading.
//===----------------------------------------------------------------------===//

namespace mlir::fdpp {

/// Remembers the first thing that is wrong and reads on as if nothing were:
/// every value it gives is harmless.
class TableReader {
public:
  TableReader(TuningTable &table, StringRef name) : table(table), name(name) {}

  llvm::Error read(const json::Value &value) {
    const json::Object *root = value.getAsObject();
    if (!root || root->getString("magic") != "fdpp-tuning")
      return createStringError(
          name + ": no tuning table: 'magic' is not \"fdpp-tuning\"; give a "
                 "file that fdpp-tune wrote");
    if (llvm::Error error = checkVersions(*root))
      return error;
    readDevice(*root);
    const json::Array *shapes = root->getArray("shapes");
    if (!shapes || shapes->empty())
      fail("shapes", "must be a list of at least one shape");
    else
      for (auto [i, shape] : llvm::enumerate(*shapes))
        readShape(shape, "shapes[" + std::to_string(i) + "]");
    if (wrong.empty())
      return llvm::Error::success();
    return createStringError(name + ": damaged tuning table: " + wrong +
                             "; run fdpp-tune again");
  }

private:
  void fail(const Twine &what, const Twine &why) {
    if (wrong.empty())
      wrong = ("'" + what + "' " + why).str();
  }

  int64_t integer(const json::Object &object, StringRef key, const Twine &at,
                  int64_t low, int64_t high) {
    const json::Value *value = object.get(key);
    std::optional<int64_t> number =
        value ? value->getAsInteger() : std::nullopt;
    if (number && *number >= low && *number <= high)
      return *number;
    fail(at + key,
         "must be an integer from " + Twine(low) + " to " + Twine(high));
    return low;
  }

  std::string string(const json::Object &object, StringRef key,
                     const Twine &at) {
    if (auto value = object.getString(key); value && !value->empty())
      return value->str();
    fail(at + key, "must be a text");
    return "";
  }

  /// Before all else: of another version nothing can be said.
  llvm::Error checkVersions(const json::Object &root) {
    const json::Object *versions = root.getObject("versions");
    auto version = [&](StringRef key) {
      return versions ? versions->getInteger(key).value_or(-1) : -1;
    };
    const int64_t format = root.getInteger("format").value_or(-1);
    table.format = format;
    int64_t kernels = version("kernels");
    if (format > ::fdpp::tuning_format || kernels > ::fdpp::tuning_kernels)
      return createStringError(
          name + ": a tuning table of a newer fdpp; update fdpp or run "
                 "fdpp-tune of this version");
    if (format < ::fdpp::least_tuning_format)
      return createStringError(
          name + ": tuning table of format " + Twine(format) +
          ", this version reads " + Twine(::fdpp::least_tuning_format) +
          " to " + Twine(::fdpp::tuning_format) + "; run fdpp-tune again");
    if (kernels < ::fdpp::tuning_kernels)
      return createStringError(name + ": measured with kernels of generation " +
                               Twine(kernels) + ", this version has " +
                               Twine(::fdpp::tuning_kernels) +
                               "; run fdpp-tune again");
    return llvm::Error::success();
  }

  void readDevice(const json::Object &root) {
    const json::Object *device = root.getObject("device");
    if (!device)
      return fail("device", "must be an object");
    table.cpu = string(*device, "cpu", "device.");
    table.device =
        string(*device, "vendor", "device.") + "-" +
        std::to_string(integer(*device, "family", "device.", 0, 1 << 20)) +
        "-" + std::to_string(integer(*device, "model", "device.", 0, 1 << 20));
    table.kernels = string(*device, "kernels", "device.");
    if (::fdpp::most_tile_of(table.kernels) == 0)
      fail("device.kernels", "names no kernels that this version has");
    table.threads = integer(*device, "threads", "device.", 1, 1 << 16);
    const json::Array *features = device->getArray("features");
    if (!features)
      return fail("device.features", "must be a list");
    for (const json::Value &feature : *features) {
      if (auto text = feature.getAsString())
        table.features.push_back(text->str());
      else
        fail("device.features", "must be a list of texts");
    }
  }

  void readShape(const json::Value &value, const std::string &at) {
    const json::Object *object = value.getAsObject();
    if (!object)
      return fail(at, "must be an object");
    TunedShape shape;
    shape.n = integer(*object, "n", at + ".", 1, INT32_MAX);
    shape.k = integer(*object, "k", at + ".", 1, INT32_MAX);
    shape.dtype = string(*object, "dtype", at + ".");
    if (!llvm::is_contained({"f32", "bf16", "f16"}, shape.dtype))
      fail(at + ".dtype", "must be f32, bf16 or f16");
    if (wrong.empty() && table.find(shape.n, shape.k, shape.dtype))
      fail(at, "is there twice");
    const json::Array *ranges = object->getArray("ranges");
    if (!ranges || ranges->empty())
      return fail(at + ".ranges", "must be a list of at least one range");
    for (auto [i, range] : llvm::enumerate(*ranges))
      readRange(range, at + ".ranges[" + std::to_string(i) + "]",
                i + 1 == ranges->size(), shape);
    table.shapes.push_back(std::move(shape));
  }

  void readRange(const json::Value &value, const std::string &at, bool last,
                 TunedShape &shape) {
    const json::Object *object = value.getAsObject();
    if (!object)
      return fail(at, "must be an object");
    TunedRange range;
    int64_t before = shape.ranges.empty() ? 0 : shape.ranges.back().to;
    if (!last)
      range.to = integer(*object, "to", at + ".", before + 1, INT32_MAX);
    else if (object->get("to"))
      fail(at + ".to", "must be absent: the last range has no limit");
    range.kind = string(*object, "kind", at + ".");
    if (!llvm::is_contained({"gemv", "flat", "large", "library"}, range.kind))
      fail(at + ".kind", "must be gemv, flat, large or library");
    if (range.kind == "library") { // has no tile
      shape.ranges.push_back(std::move(range));
      return;
    }
    range.tokens = integer(*object, "tokens", at + ".", 1,
                           std::max(1, ::fdpp::most_tile_of(table.kernels)));
    range.prefetch =
        integer(*object, "prefetch", at + ".", 0, ::fdpp::most_prefetch);
    shape.ranges.push_back(std::move(range));
  }

  TuningTable &table;
  std::string name, wrong;
};

} // namespace mlir::fdpp

Expected<TuningTable> TuningTable::parse(StringRef text, StringRef name) {
  Expected<json::Value> value = json::parse(text);
  if (!value) {
    std::string why = llvm::toString(value.takeError());
    return createStringError(name + ": no tuning table: not json (" +
                             StringRef(why).split('\n').first +
                             "); give a file that fdpp-tune wrote");
  }
  TuningTable table;
  table.name = llvm::sys::path::filename(name).str();
  table.hash =
      llvm::toHex(llvm::BLAKE3::hash(llvm::arrayRefFromStringRef(text)),
                  /*LowerCase=*/true);
  if (llvm::Error error = TableReader(table, name).read(*value))
    return std::move(error);
  return table;
}

Expected<TuningTable> TuningTable::read(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return createStringError(path + ": cannot read the tuning table (" +
                             buffer.getError().message() + ")");
  if ((*buffer)->getBufferSize() > kMostBytes)
    return createStringError(path + ": no tuning table: larger than " +
                             Twine(kMostBytes >> 20) + " MiB");
  return parse((*buffer)->getBuffer(), path);
}

//===----------------------------------------------------------------------===//
// Asking.
//===----------------------------------------------------------------------===//

const TunedShape *TuningTable::find(int64_t n, int64_t k,
                                    StringRef dtype) const {
  for (const TunedShape &shape : shapes)
    if (shape.n == n && shape.k == k && shape.dtype == dtype)
      return &shape;
  return nullptr;
}

std::string TuningTable::whyForeign(const TuningTarget &target) const {
  if (!target.device.empty() && target.device != device)
    return name + " is for " + cpu + " (" + device + "), not for " +
           target.device;
  if (!target.kernels.empty() && target.kernels != kernels)
    return name + " is for " + kernels + " kernels, not for " + target.kernels +
           " ones";
  for (const std::string &feature : target.features)
    if (target.device.empty() && !llvm::is_contained(features, feature))
      return name + " is for " + cpu + ", which has no " + feature;
  return "";
}
