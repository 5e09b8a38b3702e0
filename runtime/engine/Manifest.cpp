// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Manifest.h"

#include "CpuFeatures.h"
#include "Dtypes.h"
#include "JsonReader.h"
#include "RebuildCommand.h"
#include "Sha256.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <sys/utsname.h>

namespace fdpp::runtime {
namespace {

constexpr uint64_t kMaxManifest = 16u << 20;
constexpr int64_t kMaxInteger = int64_t{1} << 53;

const char *const kEntryNames[] = {"prefill", "decode", "mixed"};

std::string describeErrno() { return std::strerror(errno); }

nlohmann::json parseManifest(const std::string &folder,
                             const std::string &path) {
  struct stat info;
  if (stat(folder.c_str(), &info) != 0)
    userError(folder + ": no such engine; compile one with fdpp-compile");
  if (!S_ISDIR(info.st_mode))
    userError(folder + ": not an engine folder; give the folder that "
                       "fdpp-compile wrote");
  if (stat(path.c_str(), &info) != 0)
    userError(folder + ": not an engine: it has no engine.json; compile the "
                       "model with fdpp-compile");
  std::string text = readTextFile(path, kMaxManifest);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error &error) {
    userError(path + ": damaged: no valid json at byte " +
              std::to_string(error.byte) + "; compile the model again");
  } catch (const nlohmann::json::exception &) { // a number beyond a double
    userError(path + ": damaged: no valid json; compile the model again");
  }
}

void checkFormat(const JsonObject &root, const std::string &path,
                 const std::string &rebuild) {
  if (root.string("magic") != "fdpp-engine")
    userError(path + ": 'magic' is not \"fdpp-engine\": this is no engine of "
                     "fdpp");
  JsonObject format = root.object("format");
  int64_t major = format.integer("major", 0, INT32_MAX);
  int64_t minor = format.integer("minor", 0, INT32_MAX);
  std::string found = std::to_string(major) + "." + std::to_string(minor);
  std::string mine = std::to_string(kFormatMajor) + ".x";
  if (major > kFormatMajor)
    userError(path + ": engine format " + found + " is newer than " + mine +
              ", which this runtime reads; update fdpp, or " + rebuild);
  if (major < kFormatMajor)
    userError(path + ": engine format " + found + " is older than " + mine +
              ", which this runtime reads; " + rebuild);
  int64_t abi = root.object("versions").integer("step_abi", 0, INT32_MAX);
  if (abi != FDPP_STEP_ABI_VERSION)
    userError(path + ": step abi " + std::to_string(abi) +
              ", but this runtime speaks " +
              std::to_string(FDPP_STEP_ABI_VERSION) + "; " + rebuild);
}

void readModel(const JsonObject &model, Manifest &manifest) {
  fdpp_model_limits &limits = manifest.limits;
  limits.layers = model.integer("layers", 1, 1 << 16);
  limits.query_heads = model.integer("query_heads", 1, 1 << 16);
  limits.kv_heads = model.integer("kv_heads", 1, 1 << 16);
  limits.head_dim = model.integer("head_dim", 1, 1 << 16);
  limits.vocab_size = model.integer("vocab_size", 1, INT32_MAX);
  if (limits.query_heads % limits.kv_heads != 0)
    model.fail("query_heads", "must be a multiple of kv_heads");
  limits.cache_dtype = dtypeFromName(model.string("cache_dtype"));
  if (limits.cache_dtype < 0)
    model.fail("cache_dtype", "must be one of f32, bf16, f16, u8, i32");
  if (model.has("name"))
    manifest.modelName = model.string("name");
  if (model.has("family"))
    manifest.family = model.string("family");
  if (model.has("weight_dtype"))
    manifest.weightDtype = model.string("weight_dtype");
  if (model.has("parameters"))
    manifest.parameters = model.integer("parameters", 0, kMaxInteger);
}

void readLimits(const JsonObject &object, fdpp_model_limits &limits) {
  limits.struct_size = sizeof(limits);
  limits.max_context = object.integer("max_context", 1, 1 << 30);
  limits.max_tokens = object.integer("max_tokens", 1, 1 << 24);
  limits.max_sequences = object.integer("max_sequences", 1, 1 << 20);
  limits.max_rows = object.integer("max_rows", 1, 1 << 24);
  limits.decode_tokens = object.integer("decode_tokens", 1, 1 << 16);
  limits.page_tokens = object.integer("page_tokens", 1, 1 << 16);
  limits.page_bytes = object.integer("page_bytes", 1, 1ll << 40);
  for (const std::string &name : object.strings("entries")) {
    auto found =
        std::find(std::begin(kEntryNames), std::end(kEntryNames), name);
    if (found == std::end(kEntryNames))
      object.fail("entries", "knows no entry '" + name + "'");
    limits.entries |= 1 << (found - std::begin(kEntryNames));
  }
  if (limits.entries == 0)
    object.fail("entries", "must name at least one entry");
}

void readTokenizer(const JsonObject &root, Manifest &manifest) {
  if (!root.has("tokenizer"))
    return;
  JsonObject object = root.object("tokenizer");
  if (object.has("bos"))
    manifest.bos = static_cast<int32_t>(object.integer("bos", 0, INT32_MAX));
  manifest.eos = object.ids("eos");
}

/// A name that stays inside the folder: relative, without empty or dot parts.
bool staysInside(const std::string &name) {
  if (name.empty() || name.find('\0') != std::string::npos)
    return false;
  for (size_t at = 0; at <= name.size();) {
    size_t end = std::min(name.find('/', at), name.size());
    std::string part = name.substr(at, end - at);
    if (part.empty() || part == "." || part == "..")
      return false;
    at = end + 1;
  }
  return true;
}

void readFiles(const JsonObject &root, Manifest &manifest) {
  for (const JsonObject &object : root.objects("files")) {
    ManifestFile file;
    file.name = object.string("name");
    if (!staysInside(file.name))
      object.fail("name", "leaves the engine's folder");
    if (manifest.file(file.name))
      object.fail("name", "is listed twice");
    file.bytes = object.integer("bytes", 0, kMaxInteger);
    file.sha256 = object.string("sha256");
    if (file.sha256.size() != 64 ||
        file.sha256.find_first_not_of("0123456789abcdef") != std::string::npos)
      object.fail("sha256", "must be 64 lower-case hex digits");
    manifest.files.push_back(std::move(file));
  }
  for (const char *name : {"model.so", "weights.safetensors"})
    if (!manifest.file(name))
      root.fail("files", std::string("does not list ") + name);
}

} // namespace

const ManifestFile *Manifest::file(const std::string &name) const {
  for (const ManifestFile &entry : files)
    if (entry.name == name)
      return &entry;
  return nullptr;
}

Manifest readManifest(const std::string &folder) {
  Manifest manifest;
  manifest.folder = folder;
  while (manifest.folder.size() > 1 && manifest.folder.back() == '/')
    manifest.folder.pop_back();
  std::string path = manifest.path("engine.json");
  nlohmann::json json = parseManifest(manifest.folder, path);
  if (!json.is_object())
    userError(path + ": damaged: not a json object; compile the model again");
  JsonObject root(json, path, "");
  manifest.rebuild = rebuildCommand(json, manifest.folder, false);
  manifest.rebuildHere = rebuildCommand(json, manifest.folder, true);
  checkFormat(root, path, manifest.rebuild);
  manifest.productVersion = root.object("versions").string("product");
  JsonObject target = root.object("target");
  manifest.target = target.string("name");
  manifest.machine = target.string("machine");
  manifest.arch = target.strings("arch");
  manifest.features = target.strings("features");
  readModel(root.object("model"), manifest);
  readLimits(root.object("limits"), manifest.limits);
  JsonObject step = root.object("step");
  manifest.stepWeightBytes = step.integer("weight_bytes", 0, kMaxInteger);
  manifest.stepTokenBytes = step.integer("token_bytes", 0, kMaxInteger);
  readTokenizer(root, manifest);
  readFiles(root, manifest);
  return manifest;
}

void checkTarget(const Manifest &manifest) {
  std::string path = manifest.path("engine.json");
  if (manifest.target != "cpu" && manifest.target != "cuda")
    userError(path + ": compiled for target '" + manifest.target +
              "', but this runtime has only 'cpu' and 'cuda'; " +
              manifest.rebuildHere);
  struct utsname name;
  if (uname(&name) == 0 && manifest.machine != name.machine)
    userError(path + ": compiled for " + manifest.machine +
              ", but this machine is " + name.machine + "; " +
              manifest.rebuildHere);
  std::string missing;
  for (const std::string &feature : manifest.features) {
    FeatureState state = cpuFeature(feature);
    if (state == FeatureState::Unknown)
      userError(path + ": needs cpu feature '" + feature +
                "', which this runtime does not know; update fdpp, or " +
                manifest.rebuildHere);
    if (state == FeatureState::Missing)
      missing += (missing.empty() ? "" : ", ") + feature;
  }
  if (!missing.empty())
    userError(path + ": compiled for another cpu: this one lacks " + missing +
              "; " + manifest.rebuildHere);
}

void checkFiles(const Manifest &manifest, bool hashes) {
  for (const ManifestFile &file : manifest.files) {
    std::string path = manifest.path(file.name);
    struct stat info;
    if (stat(path.c_str(), &info) != 0)
      userError(path + ": missing (" + describeErrno() +
                "); compile the model again or restore the file");
    if (!S_ISREG(info.st_mode))
      userError(path + ": not a regular file; compile the model again");
    if (static_cast<uint64_t>(info.st_size) != file.bytes)
      userError(path + ": " + std::to_string(info.st_size) +
                " bytes, but engine.json says " + std::to_string(file.bytes) +
                "; copy the engine again or compile the model again");
  }
  if (!hashes)
    return;
  for (const ManifestFile &file : manifest.files)
    if (sha256OfFile(manifest.path(file.name)) != file.sha256)
      userError(manifest.path(file.name) +
                ": damaged: its sha-256 differs from engine.json's; copy the "
                "engine again or compile the model again");
}

} // namespace fdpp::runtime
