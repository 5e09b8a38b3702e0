// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/ReusedEngine.h"

#include "Manifest.h"
#include "OutputFile.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;
using namespace mlir::fdpp;
using llvm::Twine;

llvm::Error ReusedEngine::fail(const Twine &what) const {
  return llvm::createStringError("--reuse=" + folder + ": " + what +
                                 "; compile without --reuse");
}

//===----------------------------------------------------------------------===//
// Opening.
//===----------------------------------------------------------------------===//

llvm::Expected<ReusedEngine> ReusedEngine::open(StringRef folder) {
  ReusedEngine engine(folder.str(), {});
  auto buffer = llvm::MemoryBuffer::getFile(engine.pathOf("engine.json"));
  if (!buffer)
    return engine.fail("is no engine: it has no readable engine.json");
  llvm::Expected<llvm::json::Value> json =
      llvm::json::parse((*buffer)->getBuffer());
  if (!json) {
    llvm::consumeError(json.takeError());
    return engine.fail("its engine.json is damaged");
  }
  llvm::json::Object *root = json->getAsObject();
  if (!root || root->getString("magic") != StringRef("fdpp-engine"))
    return engine.fail("is no engine of fdpp");
  engine.manifest = std::move(*root);
  if (llvm::Error error = engine.checkVersions())
    return error;
  if (llvm::Error error = engine.readFiles())
    return error;
  return engine;
}

llvm::Error ReusedEngine::checkVersions() const {
  const llvm::json::Object *format = manifest.getObject("format");
  int64_t major = format ? format->getInteger("major").value_or(-1) : -1;
  int64_t minor = format ? format->getInteger("minor").value_or(-1) : -1;
  if (major != kFormatMajor || minor != kFormatMinor)
    return fail("has engine format " + Twine(major) + "." + Twine(minor) +
                ", and this compiler writes " + Twine(kFormatMajor) + "." +
                Twine(kFormatMinor));
  return llvm::Error::success();
}

/// The SHA-256 that a manifest lists for a file.
static std::optional<StringRef> listedHash(const llvm::json::Object &manifest,
                                           StringRef name) {
  if (const llvm::json::Array *files = manifest.getArray("files"))
    for (const llvm::json::Value &value : *files)
      if (const llvm::json::Object *file = value.getAsObject())
        if (file->getString("name") == name)
          return file->getString("sha256");
  return std::nullopt;
}

llvm::Error ReusedEngine::readFiles() {
  for (StringRef name : {"model.so", "source/model.cpp"}) {
    std::optional<StringRef> listed = listedHash(manifest, name);
    if (!listed)
      return fail("its engine.json does not list " + name);
    llvm::Expected<FileDigest> found = digestFile(pathOf(name));
    if (!found)
      return found.takeError();
    if (found->sha256 != *listed)
      return fail("its " + name + " is not the one it was written with");
    if (name == "model.so")
      libraryHash = found->sha256;
  }
  auto buffer = llvm::MemoryBuffer::getFile(pathOf("source/model.cpp"));
  if (!buffer)
    return fileError(pathOf("source/model.cpp"), "read the file",
                     buffer.getError().value());
  text = (*buffer)->getBuffer();
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Comparing.
//===----------------------------------------------------------------------===//

/// The options of a command that decide about code, by name: not the program,
/// the model, the seed of its weights and its phi.
static std::map<std::string, std::string>
codeOptions(ArrayRef<std::string> command) {
  std::map<std::string, std::string> options;
  for (StringRef word : command)
    if (StringRef name = word.split('=').first; word.starts_with("--") &&
                                                name != "--synthetic-weights" &&
                                                name != "--phi")
      options[name.str()] = word.str();
  return options;
}

llvm::Error ReusedEngine::checkRequest(StringRef product, StringRef kernels,
                                       ArrayRef<std::string> command) const {
  const llvm::json::Object *versions = manifest.getObject("versions");
  auto version = [&](StringRef key) {
    return versions ? versions->getString(key).value_or("") : StringRef();
  };
  if (version("product") != product)
    return fail("is of fdpp " + version("product") + ", and this is " +
                product);
  if (version("kernels") != kernels)
    return fail("was compiled with other kernel headers");
  std::vector<std::string> words;
  if (const llvm::json::Array *recorded = manifest.getArray("command"))
    for (const llvm::json::Value &word : *recorded)
      words.push_back(word.getAsString().value_or("").str());
  auto theirs = codeOptions(words), ours = codeOptions(command);
  for (const auto &[name, word] : ours)
    if (!theirs.count(name))
      return fail("was compiled without " + name + ", and this is " + word);
  for (const auto &[name, word] : theirs)
    if (!ours.count(name))
      return fail("was compiled with " + word + ", and this is without");
    else if (ours[name] != word)
      return fail("was compiled with " + word + ", and this is " + ours[name]);
  return llvm::Error::success();
}

llvm::Error ReusedEngine::checkModel(const ModelInfo &info) const {
  const fdpp_model_limits &limits = info.limits;
  struct Number {
    StringRef object, key;
    int64_t ours;
  };
  const Number numbers[] = {
      {"model", "layers", limits.layers},
      {"model", "hidden_size", info.model.getHidden()},
      {"model", "query_heads", limits.query_heads},
      {"model", "kv_heads", limits.kv_heads},
      {"model", "head_dim", limits.head_dim},
      {"model", "vocab_size", limits.vocab_size},
      {"limits", "max_context", limits.max_context},
      {"limits", "max_tokens", limits.max_tokens},
      {"limits", "max_sequences", limits.max_sequences},
      {"limits", "max_rows", limits.max_rows},
      {"limits", "decode_tokens", limits.decode_tokens},
      {"limits", "page_tokens", limits.page_tokens},
      {"limits", "page_bytes", int64_t(limits.page_bytes)},
  };
  for (const Number &number : numbers) {
    const llvm::json::Object *object = manifest.getObject(number.object);
    int64_t theirs =
        object ? object->getInteger(number.key).value_or(-1) : int64_t(-1);
    if (theirs != number.ours)
      return fail("has " + number.key + " " + Twine(theirs) +
                  ", and this model " + Twine(number.ours));
  }
  return llvm::Error::success();
}

llvm::Error ReusedEngine::checkSource(StringRef source) const {
  StringRef theirs = text, ours = source;
  if (theirs == ours)
    return llvm::Error::success();
  int64_t line = 1;
  StringRef theirLine, ourLine;
  while (true) {
    std::tie(theirLine, theirs) = theirs.split('\n');
    std::tie(ourLine, ours) = ours.split('\n');
    if (theirLine != ourLine || (theirs.empty() && ours.empty()))
      break;
    ++line;
  }
  auto quote = [](StringRef text) {
    return "'" + text.trim().take_front(60).str() + "'";
  };
  return fail("is of another graph: line " + Twine(line) +
              " of source/model.cpp is " + quote(theirLine) +
              ", and this model's " + quote(ourLine));
}
