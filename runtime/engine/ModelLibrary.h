// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_MODELLIBRARY_H
#define FDPP_RUNTIME_ENGINE_MODELLIBRARY_H

#include "Manifest.h"
#include "WeightFile.h"
#include "fdpp-runtime/model_abi.h"

#include <string>
#include <vector>

namespace fdpp::runtime {

/// model.so, loaded and asked for its table.
class ModelLibrary {
public:
  /// Step 8 of the format's list: a library with the symbol that speaks this
  /// step ABI and agrees with the manifest.
  ModelLibrary(const std::string &path, const Manifest &manifest);
  ~ModelLibrary();
  ModelLibrary(const ModelLibrary &) = delete;
  ModelLibrary &operator=(const ModelLibrary &) = delete;

  const fdpp_model_table &table() const { return *model; }

private:
  void *handle = nullptr;
  const fdpp_model_table *model = nullptr;
};

/// The base of each entry of the model's weight table, in its order. Throws
/// when an entry is missing or differs in size or dtype, or when the file has a
/// tensor that no entry names.
std::vector<const void *> matchWeights(const fdpp_model_table &table,
                                       const WeightFile &weights);

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_MODELLIBRARY_H
