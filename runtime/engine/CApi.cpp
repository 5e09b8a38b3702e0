// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp.h: errors, devices, engines, plans.
#include "CApiSupport.h"

#include "CpuFeatures.h"
#include "CpuTopology.h"
#include "CudaDevice.h"
#include "Dtypes.h"

#include <cmath>

using namespace fdpp::runtime;

namespace {

/// Fixed room, so that keeping a message cannot fail.
thread_local char lastError[1024] = "";

std::string join(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ",") + name;
  return text;
}

SessionOptions readOptions(const fdpp_session_options *given) {
  fdpp_session_options known = readStruct(given);
  return {known.threads, known.context, known.sequences, known.pages,
          known.batch_invariant != 0};
}

int32_t clampCount(double count, int64_t most) {
  return static_cast<int32_t>(
      std::clamp(count, 0.0, static_cast<double>(most)));
}

fdpp_plan planOf(const Engine &engine, const SessionOptions &wish) {
  const fdpp_model_limits &limits = engine.table().limits;
  SessionOptions options = resolveOptions(wish, limits);
  fdpp_plan plan = {};
  plan.threads = options.threads;
  plan.context = options.context;
  plan.sequences = options.sequences;
  plan.pages = options.pages;
  plan.weight_bytes = engine.weights().bytes();
  plan.workspace_bytes = engine.table().workspace_size(options.threads);
  plan.logits_bytes = logitsBytes(options, limits);
  const double page = static_cast<double>(limits.page_bytes) * limits.layers;
  plan.cache_bytes = limits.page_bytes * limits.layers * options.pages;
  plan.cache_bytes_per_token =
      static_cast<uint64_t>(std::ceil(cacheBytesPerToken(limits)));
  // Weights are in a GPU's memory since the engine was opened.
  Device &device = *engine.view().device;
  plan.available_memory =
      device.freeMemory() + (device.isHost() ? 0 : plan.weight_bytes);
  double left = static_cast<double>(plan.available_memory) -
                static_cast<double>(plan.weight_bytes) -
                static_cast<double>(plan.workspace_bytes) -
                static_cast<double>(plan.logits_bytes);
  double pagesLeft = std::floor(std::max(left, 0.0) / page);
  double perSequence =
      std::ceil(static_cast<double>(options.context) / limits.page_tokens);
  plan.fitting_context =
      clampCount(std::floor(pagesLeft / options.sequences) * limits.page_tokens,
                 limits.max_context);
  plan.fitting_sequences = clampCount(pagesLeft / perSequence, INT32_MAX);
  return plan;
}

} // namespace

fdpp_result fdpp::runtime::failed(fdpp_result code,
                                  const std::string &message) noexcept {
  size_t length = message.copy(lastError, sizeof(lastError) - 1);
  lastError[length] = 0;
  return code;
}

extern "C" {

const char *fdpp_last_error(void) { return lastError; }
const char *fdpp_version(void) { return FDPP_PRODUCT_VERSION; }

int32_t fdpp_device_count(void) { return 1 + cudaDeviceCount(); }

fdpp_result fdpp_device_get(int32_t index, fdpp_device_info *info) {
  return guarded([&] {
    if (index < 0 || index >= fdpp_device_count())
      userError("no device " + std::to_string(index) + "; there are " +
                std::to_string(fdpp_device_count()));
    static thread_local std::string name, features;
    fdpp_device_info value = {};
    value.kind = index == 0 ? "cpu" : "cuda";
    if (index == 0) {
      name = cpuName();
      features = join(cpuFeatures());
      value.cores = physicalCores();
      value.default_threads = defaultThreads();
      value.available_memory = availableMemory();
    } else {
      CudaDeviceInfo gpu = describeCudaDevice(index - 1);
      name = gpu.name;
      features = gpu.arch;
      value.cores = gpu.processors;
      value.available_memory = gpu.memory;
    }
    value.name = name.c_str();
    value.features = features.c_str();
    writeStruct(info, value);
  });
}

fdpp_result fdpp_engine_open(const char *folder,
                             const fdpp_engine_options *options,
                             fdpp_engine **engine) {
  return guarded([&] {
    need(folder && engine, "folder and engine");
    auto handle = std::make_unique<fdpp_engine>();
    handle->engine =
        std::make_shared<const Engine>(folder, readStruct(options).verify != 0);
    handle->arch = join(handle->engine->manifest().arch);
    handle->features = join(handle->engine->manifest().features);
    *engine = handle.release();
  });
}

void fdpp_engine_close(fdpp_engine *engine) { delete engine; }

fdpp_result fdpp_engine_get_info(const fdpp_engine *engine,
                                 fdpp_engine_info *info) {
  return guarded([&] {
    need(engine, "engine");
    const Engine &own = *engine->engine;
    const Manifest &manifest = own.manifest();
    const fdpp_model_limits &limits = manifest.limits;
    fdpp_engine_info value = {};
    value.product_version = manifest.productVersion.c_str();
    value.name = manifest.modelName.c_str();
    value.family = manifest.family.c_str();
    value.target = manifest.target.c_str();
    value.arch = engine->arch.c_str();
    value.features = engine->features.c_str();
    value.weight_dtype = manifest.weightDtype.c_str();
    value.cache_dtype = kDtypes[limits.cache_dtype].name;
    value.parameters = manifest.parameters;
    value.layers = limits.layers;
    value.query_heads = limits.query_heads;
    value.kv_heads = limits.kv_heads;
    value.head_dim = limits.head_dim;
    value.vocab_size = limits.vocab_size;
    value.max_context = limits.max_context;
    value.max_tokens = limits.max_tokens;
    value.max_sequences = limits.max_sequences;
    value.page_tokens = limits.page_tokens;
    value.weight_bytes = own.weights().bytes();
    value.step_weight_bytes = manifest.stepWeightBytes;
    value.step_token_bytes = manifest.stepTokenBytes;
    value.cache_bytes_per_token =
        static_cast<uint64_t>(std::ceil(cacheBytesPerToken(limits)));
    value.has_tokenizer = own.hasTokenizer();
    value.has_chat = own.hasChat();
    value.stop_tokens = own.stopTokens().data();
    value.num_stop_tokens = static_cast<int32_t>(own.stopTokens().size());
    writeStruct(info, value);
  });
}

fdpp_result fdpp_engine_plan(const fdpp_engine *engine,
                             const fdpp_session_options *options,
                             fdpp_plan *plan) {
  return guarded([&] {
    need(engine, "engine");
    writeStruct(plan, planOf(*engine->engine, readOptions(options)));
  });
}

fdpp_result fdpp_session_create(fdpp_engine *engine,
                                const fdpp_session_options *options,
                                fdpp_session **session) {
  return guarded([&] {
    need(engine && session, "engine and session");
    *session = new fdpp_session(engine->engine, readOptions(options));
  });
}

void fdpp_session_destroy(fdpp_session *session) { delete session; }

} // extern "C"
