// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_RUNTIME_ENGINE_ENGINE_H
#define FDPP_RUNTIME_ENGINE_ENGINE_H

#include "Device.h"
#include "Manifest.h"
#include "ModelLibrary.h"
#include "Session.h"
#include "WeightFile.h"
#include "text/ChatTemplate.h"
#include "text/Tokenizer.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace fdpp::runtime {

/// A value made when it is first asked for. Threads that ask at once may each
/// make it, and one of these stays: unlike a lock, that leaves nothing to wait
/// for in a process forked meanwhile.
template <class T> class Lazy {
public:
  Lazy() = default;
  ~Lazy() { delete value.load(); }
  Lazy(const Lazy &) = delete;

  template <class Make> const T &get(Make make) const {
    const T *found = value.load(std::memory_order_acquire);
    if (found)
      return *found;
    auto made = std::make_unique<const T>(make());
    if (value.compare_exchange_strong(found, made.get(),
                                      std::memory_order_acq_rel))
      return *made.release();
    return *found;
  }

private:
  mutable std::atomic<const T *> value{nullptr};
};

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
  /// For models with calls_sgemm.
  void openBlas();
  /// Puts the weights into the memory of the target's device.
  void openDevice();

  Manifest description;
  std::unique_ptr<WeightFile> weightFile;
  std::unique_ptr<ModelLibrary> library;
  std::unique_ptr<Device> gpu; // null: the target is cpu
  std::vector<DeviceMemory> weightsThere;
  std::vector<const void *> bases; // of each weight, in the model's order
  std::vector<float> phi;          // empty: none
  fdpp_sgemm_fn sgemm = nullptr;   // where the model calls it
  std::vector<int32_t> stops;
  Lazy<text::Tokenizer> loadedTokenizer;
  Lazy<text::ChatTemplate> loadedChat;
};

} // namespace fdpp::runtime

#endif // FDPP_RUNTIME_ENGINE_ENGINE_H
