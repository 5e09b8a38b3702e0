// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_ENGINE_H
#define FDPP_RUNTIME_ENGINE_ENGINE_H

#include "Manifest.h"
#include "ModelLibrary.h"
#include "Session.h"
#include "WeightFile.h"
#include "text/ChatTemplate.h"
#include "text/Tokenizer.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace fdpp::runtime {

/// An engine folder, checked, mapped and ready. Immutable: any number of
/// sessions and threads may use it.
class Engine {
public:
  /// Runs the checks of docs/engine-format.md in their order.
  Engine(const std::string &folder, bool verify);

  const Manifest &manifest() const { return description; }
  const WeightFile &weights() const { return *weightFile; }
  const fdpp_model_table &table() const { return library->table(); }
  ModelView view() const;

  /// Ids that end a generation: engine.json's and generation_config.json's.
  const std::vector<int32_t> &stopTokens() const { return stops; }

  bool hasTokenizer() const { return description.file("tokenizer.json"); }
  bool hasChat() const { return description.file("chat.json"); }
  /// Loaded when first asked for; throw a user error where there is none.
  const text::Tokenizer &tokenizer() const;
  const text::ChatTemplate &chat() const;

private:
  void readStopTokens();

  Manifest description;
  std::unique_ptr<WeightFile> weightFile;
  std::unique_ptr<ModelLibrary> library;
  std::vector<const void *> bases; // of each weight, in the model's order
  std::vector<float> phi;          // empty: none
  std::vector<int32_t> stops;
  mutable std::mutex textLock;
  mutable std::optional<text::Tokenizer> loadedTokenizer;
  mutable std::optional<text::ChatTemplate> loadedChat;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_ENGINE_H
