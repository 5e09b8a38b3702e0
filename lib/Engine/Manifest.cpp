// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Manifest.h"

#include "llvm/Support/JSON.h"

#include <sys/utsname.h>

using namespace mlir;
using namespace mlir::fdpp;

static void writeStrings(llvm::json::OStream &json, StringRef key,
                         ArrayRef<std::string> values) {
  json.attributeArray(key, [&] {
    for (const std::string &value : values)
      json.value(value);
  });
}

static void writeVersions(llvm::json::OStream &json,
                          const EngineRequest &request) {
  json.attribute("magic", "fdpp-engine");
  json.attributeObject("format", [&] {
    json.attribute("major", kFormatMajor);
    json.attribute("minor", kFormatMinor);
  });
  json.attributeObject("versions", [&] {
    json.attribute("product", request.product);
    json.attribute("step_abi", FDPP_STEP_ABI_VERSION);
    json.attribute("tuning", request.tuningFormat);
    json.attribute("kernels", request.kernels);
  });
  if (request.tuning)
    json.attributeObject("tuning", [&] {
      json.attribute("name", request.tuning->name);
      json.attribute("blake3", request.tuning->hash);
    });
}

static void writeTarget(llvm::json::OStream &json, const TargetArch &arch) {
  utsname machine;
  uname(&machine);
  json.attributeObject("target", [&] {
    json.attribute("name", arch.target);
    json.attribute("machine", machine.machine);
    SmallVector<StringRef> names;
    StringRef(arch.name).split(names, ',');
    json.attributeArray("arch", [&] {
      for (StringRef name : names)
        json.value(name);
    });
    writeStrings(json, "features", arch.features);
  });
}

static void writeModel(llvm::json::OStream &json, const ModelInfo &info) {
  const fdpp_model_limits &limits = info.limits;
  json.attributeObject("model", [&] {
    if (!info.name.empty())
      json.attribute("name", info.name);
    if (!info.family.empty())
      json.attribute("family", info.family);
    json.attribute("layers", limits.layers);
    json.attribute("hidden_size", int64_t(info.model.getHidden()));
    json.attribute("query_heads", limits.query_heads);
    json.attribute("kv_heads", limits.kv_heads);
    json.attribute("head_dim", limits.head_dim);
    json.attribute("vocab_size", limits.vocab_size);
    json.attribute("parameters", info.parameters);
    json.attribute("weight_dtype", getStoredType(info.weightType)->name);
    json.attribute("cache_dtype", getStoredType(info.cacheType)->name);
  });
}

static void writeLimits(llvm::json::OStream &json, const ModelInfo &info) {
  const fdpp_model_limits &limits = info.limits;
  json.attributeObject("limits", [&] {
    json.attribute("max_context", limits.max_context);
    json.attribute("max_tokens", limits.max_tokens);
    json.attribute("max_sequences", limits.max_sequences);
    json.attribute("max_rows", limits.max_rows);
    json.attribute("decode_tokens", limits.decode_tokens);
    json.attribute("page_tokens", limits.page_tokens);
    json.attribute("page_bytes", limits.page_bytes);
    json.attributeArray("entries", [&] {
      for (int entry = 0; entry < FDPP_ENTRY_COUNT; ++entry)
        if (limits.entries >> entry & 1)
          json.value(getEntryName(static_cast<fdpp_entry>(entry)));
    });
  });
  json.attributeObject("step", [&] {
    json.attribute("weight_bytes", info.stepWeightBytes);
    json.attribute("token_bytes", info.stepTokenBytes);
  });
}

static void writeTokenizer(llvm::json::OStream &json,
                           const TokenizerIds &tokenizer) {
  json.attributeObject("tokenizer", [&] {
    if (tokenizer.bos)
      json.attribute("bos", *tokenizer.bos);
    else
      json.attribute("bos", nullptr);
    json.attributeArray("eos", [&] {
      for (int64_t id : tokenizer.eos)
        json.value(id);
    });
    json.attribute("chat", tokenizer.chat);
  });
}

static void writeInputs(llvm::json::OStream &json, StringRef key,
                        ArrayRef<InputFile> inputs) {
  json.attributeObject("inputs", [&] {
    json.attribute("key", key);
    json.attributeArray("files", [&] {
      for (const InputFile &input : inputs)
        json.object([&] {
          json.attribute("name", input.name);
          json.attribute("bytes", input.bytes);
          json.attribute("blake3", input.hash);
        });
    });
  });
}

static void writeFiles(llvm::json::OStream &json,
                       const std::map<std::string, FileDigest> &files) {
  json.attributeArray("files", [&] {
    for (const auto &[name, digest] : files)
      json.object([&] {
        json.attribute("name", name);
        json.attribute("bytes", digest.bytes);
        json.attribute("sha256", digest.sha256);
      });
  });
}

std::string
mlir::fdpp::writeManifest(const ModelInfo &info, const EngineRequest &request,
                          const std::optional<TokenizerIds> &tokenizer,
                          ArrayRef<InputFile> inputs, const FileDigest &model,
                          const std::map<std::string, FileDigest> &files) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::json::OStream json(os, /*IndentSize=*/2);
  json.object([&] {
    writeVersions(json, request);
    writeTarget(json, request.arch);
    writeModel(json, info);
    writeLimits(json, info);
    if (tokenizer)
      writeTokenizer(json, *tokenizer);
    json.attributeObject("source", [&] {
      json.attribute("name", request.modelName);
      json.attribute("bytes", model.bytes);
      json.attribute("sha256", model.sha256);
    });
    writeStrings(json, "command", request.command);
    writeInputs(json, request.key, inputs);
    writeFiles(json, files);
  });
  os << "\n";
  return text;
}
