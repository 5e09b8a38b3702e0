// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Engine.h"

#include "Phi.h"

namespace fdpp::runtime {

Engine::Engine(const std::string &folder, bool verify)
    : description(readManifest(folder)) {
  checkTarget(description);
  checkFiles(description, verify);
  weightFile =
      std::make_unique<WeightFile>(description.path("weights.safetensors"));
  library =
      std::make_unique<ModelLibrary>(description.path("model.so"), description);
  bases = matchWeights(table(), *weightFile);
  if (description.file("phi.json"))
    phi = readPhi(description.path("phi.json"), description.limits.layers,
                  description.limits.query_heads);
}

ModelView Engine::view() const {
  return {&table(), bases.data(), phi.empty() ? nullptr : phi.data(),
          description.stepWeightBytes, description.stepTokenBytes};
}

} // namespace fdpp::runtime
