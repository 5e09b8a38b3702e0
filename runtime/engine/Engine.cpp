// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Engine.h"

#include "BlasLibrary.h"
#include "CudaDevice.h"
#include "Error.h"
#include "JsonReader.h"
#include "Phi.h"

#include <algorithm>
#include <cstddef>

namespace fdpp::runtime {

/// False for engines that are older than this.
static bool callsSgemm(const fdpp_model_table &table) {
  return table.struct_size >= offsetof(fdpp_model_table, calls_sgemm) +
                                  sizeof(fdpp_model_table::calls_sgemm) &&
         table.calls_sgemm;
}

Engine::Engine(const std::string &folder, bool verify)
    : description(readManifest(folder)) {
  checkTarget(description);
  checkFiles(description, verify);
  weightFile =
      std::make_unique<WeightFile>(description.path("weights.safetensors"));
  library =
      std::make_unique<ModelLibrary>(description.path("model.so"), description);
  if (callsSgemm(table()))
    openBlas();
  bases = matchWeights(table(), *weightFile);
  if (description.target != "cpu")
    openDevice();
  if (description.file("phi.json"))
    phi = readPhi(description.path("phi.json"), description.limits.layers,
                  description.limits.query_heads);
  readStopTokens();
}

void Engine::openBlas() {
  try {
    sgemm = blasLibrary().sgemm;
  } catch (const Error &error) {
    userError(description.folder +
              ": some of its linears are computed by a blas library: " +
              error.what() +
              "; install libblis4-serial, name another library in FDPP_BLAS, "
              "or compile the model with --tuning=none");
  }
}

void Engine::openDevice() {
  gpu = openCudaDevice(0);
  checkCudaArch(*gpu, description.rebuildHere);
  for (int32_t i = 0; i < table().num_weights; ++i) {
    const fdpp_weight_entry &entry = table().weights[i];
    weightsThere.emplace_back(*gpu, entry.bytes, "weights");
    gpu->upload(weightsThere.back().data(), bases[i], entry.bytes);
    bases[i] = weightsThere.back().data();
  }
  gpu->wait();
}

void Engine::readStopTokens() {
  stops = description.eos;
  if (!description.file("generation_config.json"))
    return;
  std::string path = description.path("generation_config.json");
  nlohmann::json json =
      nlohmann::json::parse(readTextFile(path, 16u << 20), nullptr, false);
  if (!json.is_object())
    userError(path + ": not a json object; compile the model again");
  auto ids = json.find("eos_token_id"); // an id, a list of them, or null
  if (ids == json.end() || ids->is_null())
    return;
  for (const nlohmann::json &id : *ids) { // a lone id iterates as itself
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX)
      userError(path + ": 'eos_token_id' must be a token id or a list of them; "
                       "compile the model again");
    auto token = id.get<int32_t>();
    if (std::find(stops.begin(), stops.end(), token) == stops.end())
      stops.push_back(token);
  }
}

const text::Tokenizer &Engine::tokenizer() const {
  if (!hasTokenizer())
    userError(description.folder + ": the engine has no tokenizer; give token "
                                   "ids instead of text");
  return loadedTokenizer.get([&] {
    auto loaded = text::Tokenizer::load(description.path("tokenizer.json"));
    if (!loaded)
      userError(loaded.error());
    return *loaded;
  });
}

const text::ChatTemplate &Engine::chat() const {
  if (!hasChat())
    userError(description.folder +
              ": chat is not supported for this model: its template has no "
              "form that fdpp can render; give the whole prompt instead (-p)");
  return loadedChat.get([&] {
    auto loaded = text::ChatTemplate::load(description.path("chat.json"));
    if (!loaded)
      userError(loaded.error());
    return *loaded;
  });
}

ModelView Engine::view() const {
  return {&table(),
          bases.data(),
          phi.empty() ? nullptr : phi.data(),
          description.stepWeightBytes,
          description.stepTokenBytes,
          sgemm,
          gpu ? gpu.get() : &cpuDevice()};
}

} // namespace fdpp::runtime
