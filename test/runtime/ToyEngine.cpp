// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ToyEngine.h"

#include "Sha256.h"
#include "ToyFormula.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

namespace fs = std::filesystem;
using nlohmann::json;

namespace toy {
namespace {

std::string makeTemporaryFolder() {
  std::string name = fs::temp_directory_path() / "fdpp-toy-XXXXXX";
  if (!mkdtemp(name.data()))
    throw std::runtime_error("cannot make a temporary folder");
  return name;
}

json emptyManifest() {
  fdpp_model_limits l = limits();
  return {
      {"magic", "fdpp-engine"},
      {"format", {{"major", 1}, {"minor", 0}}},
      {"versions", {{"product", "0.1.0"}, {"step_abi", 1}, {"tuning", 0}}},
      {"target",
       {{"name", "cpu"},
        {"machine", FDPP_TEST_MACHINE},
        {"arch", {"toy"}},
        {"features", json::array()}}},
      {"model",
       {{"name", "toy"},
        {"family", "toy"},
        {"layers", l.layers},
        {"query_heads", l.query_heads},
        {"kv_heads", l.kv_heads},
        {"head_dim", l.head_dim},
        {"vocab_size", l.vocab_size},
        {"cache_dtype", "i32"}}},
      {"limits",
       {{"max_context", l.max_context},
        {"max_tokens", l.max_tokens},
        {"max_sequences", l.max_sequences},
        {"max_rows", l.max_rows},
        {"decode_tokens", l.decode_tokens},
        {"page_tokens", l.page_tokens},
        {"page_bytes", l.page_bytes},
        {"entries", {"prefill", "decode", "mixed"}}}},
      {"step", {{"weight_bytes", 2080}, {"token_bytes", 4}}},
      {"source", {{"name", "toy"}, {"bytes", 0}, {"sha256", ""}}},
      {"command", {"none"}},
      {"files", json::array()},
  };
}

} // namespace

std::string libraryFolder() { return FDPP_TEST_LIBRARIES; }

TemporaryFolder::TemporaryFolder() : name(makeTemporaryFolder()) {}
TemporaryFolder::~TemporaryFolder() { fs::remove_all(name); }

Engine::Engine(const std::string &library)
    : manifest(emptyManifest()), path(makeTemporaryFolder()) {
  fs::copy_file(libraryFolder() + "/" + library + ".so", file("model.so"));
  writeWeights();
  write();
}

Engine::~Engine() { fs::remove_all(path); }

void Engine::put(const std::string &name, const std::string &content) const {
  std::ofstream(file(name), std::ios::binary) << content;
}

std::string Engine::get(const std::string &name) const {
  std::ifstream stream(file(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void Engine::write(bool refresh) {
  if (refresh) {
    manifest["files"] = json::array();
    for (const auto &entry : fs::directory_iterator(path))
      if (entry.path().filename() != "engine.json")
        manifest["files"].push_back(
            {{"name", entry.path().filename().string()},
             {"bytes", entry.file_size()},
             {"sha256", fdpp::runtime::sha256OfFile(entry.path())}});
  }
  put("engine.json", manifest.dump(1));
}

void Engine::addTokenizer() {
  // Byte-level: printable bytes spell themselves, the others U+0100 and on.
  json vocab = json::object();
  for (int32_t byte = 0, other = 0; byte < 256; ++byte) {
    bool plain = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
    int32_t code = plain ? byte : 256 + other++;
    std::string spelling;
    if (code < 0x80)
      spelling += static_cast<char>(code);
    else
      spelling = {static_cast<char>(0xC0 | code >> 6),
                  static_cast<char>(0x80 | (code & 63))};
    vocab[spelling] = byte;
  }
  json added = json::array();
  const char *names[] = {"<eos>", "<user>", "<bot>", "<bos>"};
  for (int32_t i = 0; i < 4; ++i)
    added.push_back({{"id", kEos + i},
                     {"content", names[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  json bytes = {{"type", "ByteLevel"},
                {"add_prefix_space", false},
                {"trim_offsets", true},
                {"use_regex", false}};
  put("tokenizer.json", json{{"version", "1.0"},
                             {"truncation", nullptr},
                             {"padding", nullptr},
                             {"added_tokens", added},
                             {"normalizer", nullptr},
                             {"pre_tokenizer", bytes},
                             {"post_processor", nullptr},
                             {"decoder", bytes},
                             {"model",
                              {{"type", "BPE"},
                               {"dropout", nullptr},
                               {"unk_token", nullptr},
                               {"continuing_subword_prefix", nullptr},
                               {"end_of_word_suffix", nullptr},
                               {"fuse_unk", false},
                               {"byte_fallback", false},
                               {"ignore_merges", false},
                               {"vocab", vocab},
                               {"merges", json::array()}}}}
                            .dump());
  json plain = {{"prefix", ""}, {"suffix", ""}, {"trim", "none"}};
  json user = plain, bot = plain;
  user["prefix"] = "<user>";
  bot["prefix"] = "<bot>";
  put("chat.json", json{{"format", 1},
                        {"start", "<bos>"},
                        {"system", nullptr},
                        {"later_system", nullptr},
                        {"user", user},
                        {"assistant", bot},
                        {"alternate", false},
                        {"generation_prompt", "<bot>"}}
                       .dump());
  put("generation_config.json", json{{"eos_token_id", kEos}}.dump());
  write();
}

void Engine::writeWeights() const {
  std::vector<int32_t> data;
  for (int32_t id = 0; id < kVocab; ++id)
    data.push_back(embedWeight(id));
  while (data.size() * sizeof(int32_t) % 64 != 0)
    data.push_back(0);
  size_t bankAt = data.size() * sizeof(int32_t);
  for (int32_t layer = 0; layer < kLayers; ++layer)
    for (int32_t id = 0; id < kVocab; ++id)
      data.push_back(bankWeight(layer, id));
  size_t end = data.size() * sizeof(int32_t);
  json header = {
      {"embed",
       {{"dtype", "I32"},
        {"shape", {kVocab}},
        {"data_offsets", {0, kVocab * sizeof(int32_t)}}}},
      {"bank",
       {{"dtype", "I32"},
        {"shape", {kLayers, kVocab}},
        {"data_offsets", {bankAt, end}}}},
  };
  std::string text = header.dump();
  text.resize((text.size() + 8 + 63) / 64 * 64 - 8, ' ');
  uint64_t length = text.size();
  std::string content(reinterpret_cast<const char *>(&length), 8);
  content += text;
  content.append(reinterpret_cast<const char *>(data.data()), end);
  put("weights.safetensors", content);
}

} // namespace toy
