// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Inspect.h"

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace fdpp::inspect;
namespace fs = std::filesystem;

static std::string readText(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file)
    throw Failure(path.string() + ": cannot be read");
  return text.str();
}

static Json readObject(const fs::path &path, const char *magic) {
  Json json = Json::parse(readText(path), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("magic", Json()) != magic)
    throw Failure(path.string() +
                  ": is damaged, it does not say that it is a '" + magic +
                  "'; compile the engine again");
  return json;
}

/// Compares sizes: what a copy that stopped half way would show.
static std::vector<std::string> findDefects(const fs::path &folder,
                                            const Json &manifest) {
  std::vector<std::string> defects;
  for (const Json &file : manifest.at("files")) {
    std::string name = file.at("name");
    uint64_t expected = file.at("bytes");
    std::error_code error;
    uint64_t bytes = fs::file_size(folder / name, error);
    if (error)
      defects.push_back(name + ": missing");
    else if (bytes != expected)
      defects.push_back(name + ": " + std::to_string(bytes) + " bytes, " +
                        std::to_string(expected) + " when it was written");
  }
  return defects;
}

EngineFiles fdpp::inspect::readEngine(const std::string &folder) {
  if (!fs::exists(fs::path(folder) / "engine.json"))
    throw Failure(folder + ": no engine here, it has no engine.json; "
                           "fdpp-compile makes one");
  EngineFiles engine;
  engine.folder = folder;
  engine.manifest = readObject(fs::path(folder) / "engine.json", "fdpp-engine");
  engine.report = readObject(fs::path(folder) / "report.json", "fdpp-report");
  fs::path phi = fs::path(folder) / "phi.json";
  if (fs::exists(phi))
    engine.phi = readObject(phi, "fdpp-phi");
  try {
    engine.defects = findDefects(folder, engine.manifest);
  } catch (const Json::exception &) {
    throw Failure(folder + "/engine.json: is damaged, its list of files cannot "
                           "be read; compile the engine again");
  }
  fs::path command = fs::path(folder) / "source/command.txt";
  if (fs::exists(command))
    engine.flags = readText(command);
  while (!engine.flags.empty() && engine.flags.back() == '\n')
    engine.flags.pop_back();
  engine.kernels = readKernels((fs::path(folder) / "model.so").string());
  return engine;
}
