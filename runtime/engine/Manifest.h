// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// engine.json, read with every check of docs/engine-format.md.
#ifndef FDPP_RUNTIME_ENGINE_MANIFEST_H
#define FDPP_RUNTIME_ENGINE_MANIFEST_H

#include "fdpp-runtime/model_abi.h"

#include <cstdint>
#include <string>
#include <vector>

namespace fdpp::runtime {

/// The format this runtime reads: every minor version of this major.
constexpr int64_t kFormatMajor = 1;

struct ManifestFile {
  std::string name; // relative to the engine's folder
  uint64_t bytes;
  std::string sha256; // 64 lower-case hex digits
};

struct Manifest {
  std::string folder;
  std::string productVersion;
  std::string target, machine;
  std::vector<std::string> arch, features;
  std::string modelName, family, weightDtype; // empty when not told
  uint64_t parameters = 0;                    // 0 when not told
  fdpp_model_limits limits = {};
  uint64_t stepWeightBytes = 0, stepTokenBytes = 0;
  int32_t bos = -1; // -1: none
  std::vector<int32_t> eos;
  std::vector<ManifestFile> files;
  /// How to make the engine again, as it was and for this machine; see
  /// rebuildCommand.
  std::string rebuild, rebuildHere;

  /// The listed file of that name, or null.
  const ManifestFile *file(const std::string &name) const;
  std::string path(const std::string &name) const {
    return folder + "/" + name;
  }
};

/// Reads and checks folder/engine.json: steps 1 to 4 of the format's list.
/// Throws a user error that says what to do.
Manifest readManifest(const std::string &folder);

/// Steps 5 and 6: this machine can run the engine and its files are whole.
/// `hashes` compares SHA-256 as well.
void checkTarget(const Manifest &manifest);
void checkFiles(const Manifest &manifest, bool hashes);

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_MANIFEST_H
