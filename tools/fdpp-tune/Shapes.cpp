// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What to measure: the linears of an engine, or those of a list.
#include "Client.h"
#include "Tune.h"

#include "Error.h"
#include "JsonReader.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace fdpp::tune {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using tools::fail;

constexpr uint64_t kMostReport = 256u << 20;

int32_t dtypeFromName(const std::string &name) {
  for (int32_t i = 0; i < 3; ++i)
    if (name == kDtypes[i])
      return i;
  return -1;
}

void add(std::vector<Shape> &shapes, const Shape &shape) {
  if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end())
    shapes.push_back(shape);
}

json readJson(const fs::path &path) {
  std::string text = runtime::readTextFile(path.string(), kMostReport);
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object())
    fail(path.string() + ": damaged: no json object; compile the model again");
  return value;
}

/// The kernels that an engine holds.
std::string levelOf(const fs::path &folder,
                    const std::vector<std::string> &features) {
  auto uses = [&](const char *feature) {
    return std::find(features.begin(), features.end(), feature) !=
           features.end();
  };
  std::string command;
  if (std::ifstream file(folder / "source" / "command.txt"); file)
    command.assign(std::istreambuf_iterator<char>(file), {});
  if (uses("amx-tile") && uses("amx-bf16"))
    return "amx";
  if (uses("avx512bf16") && command.find("-DFDPP_NO_BF16_DOT") == command.npos)
    return "avx512bf16";
  if (uses("avx512f"))
    return "avx512";
  return uses("avx2") && uses("fma") && uses("f16c") ? "avx2" : "portable";
}

Work readEngine(const fs::path &folder) {
  fs::path manifest = folder / "engine.json", report = folder / "report.json";
  if (!fs::exists(manifest))
    fail(folder.string() + ": not an engine: it has no engine.json; compile "
                           "the model with fdpp-compile");
  if (!fs::exists(report))
    fail(folder.string() + ": the engine has no report.json, which names its "
                           "linears; compile the model again");
  Work work;
  json engineText = readJson(manifest), reportText = readJson(report);
  runtime::JsonObject engine(engineText, manifest.string(), "");
  work.kernels = levelOf(folder, engine.object("target").strings("features"));
  work.weightBytes =
      engine.object("step").integer("weight_bytes", 0, int64_t{1} << 53);
  runtime::JsonObject root(reportText, report.string(), "");
  for (const runtime::JsonObject &weight : root.objects("weights")) {
    // What is not packed belongs to no linear.
    if (!weight.has("packed") || !weight.boolean("packed"))
      continue;
    std::vector<int32_t> extents = weight.ids("shape");
    int32_t dtype = dtypeFromName(weight.string("dtype"));
    if (extents.size() != 2 || dtype < 0)
      weight.fail("shape", "is no linear's");
    add(work.shapes, {extents[0], extents[1], dtype});
  }
  if (work.shapes.empty())
    fail(report.string() + ": names no linear; compile the model again");
  return work;
}

Work readList(const fs::path &path) {
  std::ifstream file(path);
  if (!file)
    fail(path.string() + ": cannot open the list of shapes");
  Work work;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    line.erase(std::min(line.find('#'), line.size()));
    std::istringstream words(line);
    Shape shape;
    std::string dtype, more;
    if (!(words >> std::ws) || words.eof())
      continue;
    words >> shape.n >> shape.k >> dtype;
    shape.dtype = dtypeFromName(dtype);
    if (!words || shape.n < 1 || shape.k < 1 || shape.dtype < 0 ||
        int64_t{shape.n} * shape.k > INT32_MAX || words >> more)
      fail(path.string() + ":" + std::to_string(number) +
           ": a line is 'N K DTYPE', rows and columns of weights and f32, bf16 "
           "or f16; for example 576 1536 bf16");
    add(work.shapes, shape);
  }
  if (work.shapes.empty())
    fail(path.string() + ": names no shape; give lines such as 576 1536 bf16");
  return work;
}

} // namespace

std::string Shape::text() const {
  return std::to_string(n) + "x" + std::to_string(k) + " " + kDtypes[dtype];
}

Work readWork(const std::string &path) {
  try {
    std::error_code error;
    if (!fs::exists(path, error))
      fail(path + ": no such engine or list of shapes");
    return fs::is_directory(path, error) ? readEngine(path) : readList(path);
  } catch (const runtime::Error &error) {
    fail(error.what());
  }
}

} // namespace fdpp::tune
