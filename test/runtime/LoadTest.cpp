// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Engines that must be refused, each with one clear line.
#include "Engine.h"
#include "Error.h"
#include "Session.h"
#include "ToyEngine.h"
#include "ToyFormula.h"

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <random>

namespace fs = std::filesystem;
using namespace fdpp::runtime;
using nlohmann::json;
using testing::HasSubstr;

namespace {

/// The message an engine is refused with; "" when it loads.
std::string refusal(const std::string &folder, bool verify = false) {
  try {
    Engine engine(folder, verify);
  } catch (const Error &error) {
    EXPECT_EQ(error.kind, ErrorKind::User);
    std::string text = error.what();
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    EXPECT_THAT(text, testing::Not(testing::EndsWith(".")));
    EXPECT_THAT(text, testing::StartsWith(folder)) << "it must say where";
    return text;
  }
  return "";
}

TEST(LoadTest, AWholeEngineLoads) {
  toy::Engine engine;
  EXPECT_EQ(refusal(engine.folder(), true), "");
  engine.addTokenizer();
  EXPECT_EQ(refusal(engine.folder(), true), "");
  Engine loaded(engine.folder() + "//", false);
  EXPECT_EQ(loaded.manifest().folder, engine.folder());
  EXPECT_EQ(loaded.stopTokens(), std::vector<int32_t>{toy::kEos});
}

TEST(LoadTest, AnEngineThatNeedsALibrary) {
  toy::Engine engine("toy_sgemm");
  const std::string some = ": some of its linears are computed by a blas "
                           "library: ";
  setenv("FDPP_BLAS", "/no/such/blas.so", 1);
  EXPECT_EQ(refusal(engine.folder()),
            engine.folder() + some +
                "cannot open /no/such/blas.so (/no/such/blas.so: cannot open "
                "shared object file: No such file or directory); install "
                "libblis4-serial, name another library in FDPP_BLAS, or "
                "compile the model with --tuning=none");
  std::string none = engine.file("model.so"); // a library, but not of BLAS
  setenv("FDPP_BLAS", none.c_str(), 1);
  EXPECT_THAT(refusal(engine.folder()),
              HasSubstr(some + none + " has no cblas_sgemm; install "));
  // Nobody else asks for it.
  EXPECT_EQ(refusal(toy::Engine().folder()), "");
  setenv("FDPP_BLAS", (toy::libraryFolder() + "/toy_blas.so").c_str(), 1);
  Engine loaded(engine.folder(), false);
  unsetenv("FDPP_BLAS");
  Session session(loaded.view(), {.threads = 2, .context = 64});
  const int32_t token = 3;
  StepItem item{session.createSequence(0), &token, 1, true};
  session.step(&item, 1);
  EXPECT_NE(session.logits(item.sequence), nullptr);
}

TEST(LoadTest, FoldersThatAreNoEngine) {
  toy::TemporaryFolder empty;
  EXPECT_THAT(refusal("/no/such/engine"), HasSubstr("no such engine"));
  EXPECT_THAT(refusal(empty.path()), HasSubstr("it has no engine.json"));
  toy::Engine engine;
  EXPECT_THAT(refusal(engine.file("model.so")),
              HasSubstr("not an engine folder"));
}

TEST(LoadTest, ATruncatedManifestIsRefusedAtEveryLength) {
  toy::Engine engine;
  std::string whole = engine.get("engine.json");
  for (size_t length = 0; length + 1 < whole.size(); length += 7) {
    engine.put("engine.json", whole.substr(0, length));
    EXPECT_THAT(refusal(engine.folder()), HasSubstr("damaged")) << length;
  }
}

// Found by test/fuzz: such a number is no syntax error to the parser.
TEST(LoadTest, ANumberBeyondDoublesIsDamage) {
  toy::Engine engine;
  engine.put("engine.json", R"({"magic": 1e400})");
  EXPECT_EQ(refusal(engine.folder()),
            engine.file("engine.json") +
                ": damaged: no valid json; compile the model again");
}

// Names in a message come from the file; a terminal acts on some characters.
TEST(LoadTest, AMessageIsOneLineWithoutControlCharacters) {
  toy::Engine engine;
  engine.manifest["limits"]["entries"] = {"a\x1b[2J\nb\x7f"};
  engine.write();
  EXPECT_THAT(refusal(engine.folder()), HasSubstr("entry 'a?[2J?b?'"));
}

TEST(LoadTest, ADamagedManifestNeverCrashes) {
  toy::Engine engine;
  std::string whole = engine.get("engine.json");
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string text = whole;
    for (uint32_t n = 0; n <= i % 4u; ++n)
      text[random() % text.size()] = static_cast<char>(random());
    engine.put("engine.json", text);
    refused += refusal(engine.folder()) != "";
  }
  EXPECT_GT(refused, 600);
}

TEST(LoadTest, EveryKeyIsNeededAndChecked) {
  // Take each key away, then give it each wrong type.
  const std::vector<std::string> keys = {"/magic",
                                         "/format",
                                         "/format/major",
                                         "/format/minor",
                                         "/versions",
                                         "/versions/product",
                                         "/versions/step_abi",
                                         "/target",
                                         "/target/name",
                                         "/target/machine",
                                         "/target/arch",
                                         "/target/features",
                                         "/model",
                                         "/model/layers",
                                         "/model/query_heads",
                                         "/model/kv_heads",
                                         "/model/head_dim",
                                         "/model/vocab_size",
                                         "/model/cache_dtype",
                                         "/limits",
                                         "/limits/max_context",
                                         "/limits/max_tokens",
                                         "/limits/max_sequences",
                                         "/limits/max_rows",
                                         "/limits/decode_tokens",
                                         "/limits/page_tokens",
                                         "/limits/page_bytes",
                                         "/limits/entries",
                                         "/step",
                                         "/step/weight_bytes",
                                         "/step/token_bytes",
                                         "/files",
                                         "/files/0/name",
                                         "/files/0/bytes",
                                         "/files/0/sha256"};
  toy::Engine engine;
  const json whole = engine.manifest;
  for (const std::string &key : keys) {
    json::json_pointer at(key);
    std::string last = at.back();
    std::vector<json> changes = {nullptr, true, -1, 1.5, 1e300};
    for (const json &change : changes) {
      engine.manifest = whole;
      engine.manifest[at] = change;
      engine.write(false);
      EXPECT_THAT(refusal(engine.folder()), HasSubstr(last)) << key << change;
    }
    engine.manifest = whole;
    engine.manifest[at.parent_pointer()].erase(last);
    engine.write(false);
    EXPECT_THAT(refusal(engine.folder()), HasSubstr(last)) << key;
  }
}

const json kCommand = {"fdpp-compile",  "my.onnx",      "--target=cuda",
                       "--arch=sm_90a", "--dtype=bf16", "--tuning=h200.json"};

TEST(LoadTest, OlderAndNewerFormatsGetTheirOwnAdvice) {
  toy::Engine engine;
  engine.manifest["command"] = kCommand;
  const std::string command =
      "beside my.onnx run: fdpp-compile my.onnx --target=cuda --arch=sm_90a "
      "--dtype=bf16 --tuning=h200.json -o " +
      engine.folder();
  engine.manifest["format"] = {{"major", 0}, {"minor", 9}};
  engine.write();
  EXPECT_THAT(refusal(engine.folder()),
              testing::AllOf(HasSubstr("format 0.9 is older"),
                             testing::EndsWith("reads; " + command)));
  engine.manifest["format"] = {{"major", 2}, {"minor", 0}};
  engine.write();
  EXPECT_THAT(
      refusal(engine.folder()),
      testing::AllOf(HasSubstr("format 2.0 is newer"),
                     testing::EndsWith("; update fdpp, or " + command)));
  // A newer minor may have keys that this runtime does not know.
  engine.manifest["format"] = {{"major", 1}, {"minor", 7}};
  engine.manifest["news"] = {1, 2};
  engine.manifest["model"]["rope"] = "yarn";
  engine.write();
  EXPECT_EQ(refusal(engine.folder(), true), "");
  engine.manifest["magic"] = "fdpp";
  engine.write();
  EXPECT_THAT(refusal(engine.folder()), HasSubstr("no engine of fdpp"));
}

TEST(LoadTest, TheCommandThatRebuildsIsShownToBePasted) {
  toy::Engine engine;
  auto with = [&](const json &command) {
    engine.manifest["versions"]["step_abi"] = 99;
    engine.manifest["command"] = command;
    engine.write();
    std::string text = refusal(engine.folder());
    return text.substr(text.find("; ") + 2);
  };
  EXPECT_EQ(with({"fdpp-compile", "it's one; rm *.onnx", "--max-context=9"}),
            "beside 'it'\\''s one; rm *.onnx' run: fdpp-compile "
            "'it'\\''s one; rm *.onnx' --max-context=9 -o " +
                engine.folder());
  // What is no command of fdpp-compile is not shown to be run.
  for (const json &command : std::vector<json>{json::array(),
                                               nullptr,
                                               "fdpp-compile m.onnx",
                                               {"fdpp-compile"},
                                               {"rm", "-rf", "/"},
                                               {"fdpp-compile", 7},
                                               {"fdpp-compile", "two\nlines"}})
    EXPECT_EQ(with(command), "compile the model again") << command;
}

TEST(LoadTest, AnEngineForAnotherMachine) {
  toy::Engine engine;
  engine.manifest["command"] = kCommand;
  const std::string here =
      "beside my.onnx run: fdpp-compile my.onnx --target=cpu --arch=native "
      "--dtype=bf16 -o " +
      engine.folder();
  const json whole = engine.manifest;
  auto with = [&](const char *key, const json &value) {
    engine.manifest = whole;
    engine.manifest["target"][key] = value;
    engine.write();
    return refusal(engine.folder());
  };
  auto saying = [&](const char *text) {
    return testing::AllOf(HasSubstr(text), testing::EndsWith(here));
  };
  EXPECT_THAT(with("name", "hip"), saying("compiled for target 'hip'"));
  EXPECT_THAT(with("machine", "vax"), saying("compiled for vax"));
  EXPECT_THAT(with("features", {"avx99"}), saying("does not know"));
#if defined(__x86_64__)
  // No CPU is both AMD's and Intel's: one of these is missing everywhere.
  EXPECT_THAT(with("features", {"sse2", "sse4a", "amx-tile"}),
              saying("another cpu: this one lacks"));
  EXPECT_EQ(with("features", {"sse2", "x87"}), "");
#endif
}

TEST(LoadTest, FilesThatAreMissingShortOrChanged) {
  toy::Engine engine;
  std::string weights = engine.get("weights.safetensors");
  engine.put("weights.safetensors", weights.substr(0, weights.size() - 64));
  EXPECT_THAT(refusal(engine.folder()), HasSubstr("but engine.json says"));
  std::string changed = weights;
  changed[changed.size() - 5] ^= 1;
  engine.put("weights.safetensors", changed);
  EXPECT_EQ(refusal(engine.folder()), "") << "sizes agree";
  EXPECT_THAT(refusal(engine.folder(), true),
              HasSubstr("weights.safetensors: damaged: its sha-256"));
  engine.put("weights.safetensors", weights);
  EXPECT_EQ(refusal(engine.folder(), true), "");
  for (const char *name : {"model.so", "weights.safetensors"}) {
    fs::rename(engine.file(name), engine.file("away"));
    EXPECT_THAT(refusal(engine.folder()), HasSubstr("missing")) << name;
    fs::create_directory(engine.file(name));
    EXPECT_THAT(refusal(engine.folder()), HasSubstr("not a regular file"));
    fs::remove(engine.file(name));
    fs::rename(engine.file("away"), engine.file(name));
  }
}

TEST(LoadTest, FileNamesThatLeaveTheFolder) {
  toy::Engine engine;
  for (const char *name :
       {"../x", "/etc/passwd", "a/../../b", "", "a//b", "."}) {
    engine.write();
    engine.manifest["files"][0]["name"] = name;
    engine.write(false);
    EXPECT_THAT(refusal(engine.folder()), HasSubstr("leaves the engine"))
        << name;
  }
  engine.write();
  engine.manifest["files"].push_back(engine.manifest["files"][0]);
  engine.write(false);
  EXPECT_THAT(refusal(engine.folder()), HasSubstr("listed twice"));
}

/// A weight file with this header and `bytes` bytes of data.
void putWeights(toy::Engine &engine, std::string header, size_t bytes) {
  header.resize((header.size() + 8 + 63) / 64 * 64 - 8, ' ');
  uint64_t length = header.size();
  engine.put("weights.safetensors",
             std::string(reinterpret_cast<char *>(&length), 8) + header +
                 std::string(bytes, '\0'));
  engine.write();
}

TEST(LoadTest, DamagedWeightFiles) {
  toy::Engine engine;
  std::string whole = engine.get("weights.safetensors");
  size_t headerEnd = whole.find("}}") + 2;
  json header = json::parse(whole.substr(8, headerEnd - 8));
  size_t bytes = whole.size() - 8 - headerEnd;
  auto with = [&](const char *path, const json &value) {
    json changed = header;
    changed[json::json_pointer(path)] = value;
    putWeights(engine, changed.dump(), bytes);
    return refusal(engine.folder());
  };
  EXPECT_EQ(with("/__metadata__", {{"format", "fdpp"}}), "");
  EXPECT_THAT(with("/embed/dtype", "F64"), HasSubstr("dtype"));
  EXPECT_THAT(with("/embed/dtype", 3), HasSubstr("lacks dtype"));
  EXPECT_THAT(with("/embed/dtype", "F32"), HasSubstr("another dtype"));
  EXPECT_EQ(with("/embed", {{"dtype", "U8"},
                            {"shape", {4, toy::kVocab}},
                            {"data_offsets", {0, 4 * toy::kVocab}}}),
            "");
  EXPECT_THAT(with("/embed/shape", {toy::kVocab, 2}), HasSubstr("shape"));
  EXPECT_THAT(with("/embed/shape", {uint64_t{1} << 62, 64}),
              HasSubstr("shape"));
  EXPECT_THAT(with("/embed/shape", "x"), HasSubstr("shape"));
  EXPECT_THAT(with("/embed/data_offsets", {0, 1 << 30}),
              HasSubstr("outside the file"));
  EXPECT_THAT(with("/embed/data_offsets", {8, 0}), HasSubstr("outside"));
  EXPECT_THAT(with("/embed/data_offsets", {-1, 0}), HasSubstr("data_offsets"));
  EXPECT_THAT(with("/embed/data_offsets", {4, 4 + 4 * toy::kVocab}),
              HasSubstr("multiple of 64"));
  EXPECT_THAT(with("/embed/data_offsets", {1088, 1088 + 4 * toy::kVocab}),
              HasSubstr("overlap"));
  EXPECT_THAT(with("/extra",
                   {{"dtype", "U8"}, {"shape", {0}}, {"data_offsets", {0, 0}}}),
              HasSubstr("'extra' is not read"));
  json lacks = header;
  lacks.erase("bank");
  putWeights(engine, lacks.dump(), bytes);
  EXPECT_THAT(refusal(engine.folder()), HasSubstr("'bank' is missing"));
  lacks["bank"] = header["embed"];
  lacks.erase("embed");
  putWeights(engine, lacks.dump(), bytes);
  EXPECT_THAT(refusal(engine.folder()), HasSubstr("'embed' is missing"));
  lacks["embed"] = header["embed"];
  lacks["embed"]["data_offsets"] = {1088, 1088 + 4 * toy::kVocab};
  putWeights(engine, lacks.dump(), bytes);
  EXPECT_THAT(refusal(engine.folder()), HasSubstr("model.so reads"));

  for (const std::string &content :
       {std::string(), std::string("abc"), std::string(8, '\xff'),
        std::string(64, '\0'), std::string("\x02\0\0\0\0\0\0\0[]", 10)}) {
    engine.put("weights.safetensors", content);
    engine.write();
    EXPECT_THAT(refusal(engine.folder()), HasSubstr("damaged"));
  }
}

TEST(LoadTest, ModelsThatAreNone) {
  toy::Engine engine;
  engine.put("model.so", "this is no library");
  engine.write();
  EXPECT_THAT(refusal(engine.folder()), HasSubstr("cannot be loaded"));
  toy::Engine noSymbol("toy_no_symbol");
  EXPECT_THAT(refusal(noSymbol.folder()),
              HasSubstr("does not export fdpp_model_query"));
  toy::Engine wrongAbi("toy_wrong_abi");
  EXPECT_THAT(refusal(wrongAbi.folder()), HasSubstr("does not speak step abi"));
  toy::Engine claims;
  claims.manifest["versions"]["step_abi"] = 99;
  claims.write();
  EXPECT_THAT(refusal(claims.folder()), HasSubstr("step abi 99"));
  toy::Engine other;
  other.manifest["limits"]["max_tokens"] = 4096;
  other.write();
  EXPECT_THAT(refusal(other.folder()),
              HasSubstr("says max_tokens 8, but engine.json says 4096"));
}

TEST(LoadTest, DamagedPhi) {
  toy::Engine engine;
  for (const char *text :
       {"", "[]", R"({"magic": "x"})",
        R"({"magic": "fdpp-phi", "layers": 3, "query_heads": 2, "phi": []})",
        R"({"magic": "fdpp-phi", "layers": 2, "query_heads": 2, "phi": [[1]]})",
        R"({"magic": "fdpp-phi", "layers": 2, "query_heads": 2,
            "phi": [[1, 2], [1, "x"]]})",
        R"({"magic": "fdpp-phi", "layers": 2, "query_heads": 2,
            "phi": [[1, 2], [1, 1e99]]})"}) {
    engine.put("phi.json", text);
    engine.write();
    EXPECT_THAT(refusal(engine.folder()), HasSubstr("phi.json")) << text;
  }
}

TEST(LoadTest, DamagedTextFiles) {
  toy::Engine engine;
  for (const char *text :
       {"", "[]", R"({"eos_token_id": "x"})", R"({"eos_token_id": [1, -2]})"}) {
    engine.put("generation_config.json", text);
    engine.write();
    EXPECT_THAT(refusal(engine.folder()), HasSubstr("generation_config.json"));
  }
  engine.put("generation_config.json", R"({"eos_token_id": [7, 8]})");
  engine.manifest["tokenizer"] = {{"bos", nullptr}, {"eos", {8, 9}}};
  engine.put("tokenizer.json", "{}");
  engine.write();
  Engine loaded(engine.folder(), true);
  EXPECT_EQ(loaded.stopTokens(), (std::vector<int32_t>{8, 9, 7}));
  EXPECT_THROW(loaded.tokenizer(), Error);
  EXPECT_THROW(loaded.chat(), Error);
}

} // namespace
