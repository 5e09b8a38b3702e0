// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Calibrate.h"

#include "engine/Sha256.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <linux/fs.h>
#include <nlohmann/json.hpp>
#include <sys/syscall.h>
#include <unistd.h>

namespace fdpp::calibrate {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

/// A folder that is removed again.
struct Beside {
  explicit Beside(const fs::path &folder)
      : path(folder.string() + "." + std::to_string(getpid()) + ".part") {}
  ~Beside() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  const fs::path path;
};

/// engine.json with the file that lies at `path` in its list.
std::string listed(const fs::path &manifest, const fs::path &path) {
  Json json = Json::parse(tools::readFile(manifest, "the engine"), nullptr,
                          /*allow_exceptions=*/false);
  if (!json.is_object() || !json["files"].is_array())
    tools::fail(manifest.string() + ": damaged; compile the engine again");
  std::string name = path.filename();
  Json entry = {{"name", name},
                {"bytes", fs::file_size(path)},
                {"sha256", runtime::sha256OfFile(path)}};
  Json files = Json::array();
  for (const Json &file : json["files"])
    if (!file.is_object() || file.value("name", Json()) != name)
      files.push_back(file);
  files.push_back(entry);
  // As fdpp-compile lists them.
  std::sort(files.begin(), files.end(), [](const Json &a, const Json &b) {
    return a.value("name", Json("")) < b.value("name", Json(""));
  });
  json["files"] = files;
  return json.dump(2) + "\n";
}

void exchange(const fs::path &a, const fs::path &b) {
  if (syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(),
              RENAME_EXCHANGE) == 0)
    return;
  tools::fail(b.string() + ": cannot be replaced in one step (" +
              std::strerror(errno) +
              "); put the new phi.json beside the model and compile again");
}

} // namespace

void install(const std::string &engine, const std::string &phi) {
  // "engine/" and links name the folder itself.
  fs::path folder = fs::canonical(engine);
  Beside beside(folder);
  try {
    fs::copy(folder, beside.path,
             fs::copy_options::recursive | fs::copy_options::create_hard_links);
    if (fs::exists(beside.path / "phi.json"))
      fs::rename(beside.path / "phi.json", beside.path / "phi.json.old");
    writeFile(beside.path / "phi.json", phi);
    writeFile(beside.path / "engine.json",
              listed(folder / "engine.json", beside.path / "phi.json"));
    exchange(beside.path, folder);
  } catch (const fs::filesystem_error &error) {
    tools::fail(engine + ": the phi cannot be installed (" +
                error.code().message() + ")");
  }
}

} // namespace fdpp::calibrate
