// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "TokenizerIds.h"

#include "OutputFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

#include <set>

using namespace mlir::fdpp;
using llvm::StringRef;
using llvm::json::Object;
using llvm::json::Value;

/// The object a companion holds; an empty one if it is not there.
static llvm::Expected<Object>
readObject(StringRef folder, StringRef name,
           llvm::ArrayRef<std::string> companions) {
  if (!llvm::is_contained(companions, name))
    return Object();
  std::string path = (folder + "/" + name).str();
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return fileError(path, "read the file", buffer.getError().value());
  llvm::Expected<Value> json = llvm::json::parse((*buffer)->getBuffer());
  if (!json) {
    llvm::consumeError(json.takeError());
    return llvm::createStringError(
        path + ": is no valid JSON; export the model again");
  }
  Object *object = json->getAsObject();
  if (!object)
    return llvm::createStringError(path + ": holds no JSON object");
  return std::move(*object);
}

/// Ids of the added tokens of a tokenizer.json, by their text.
static llvm::StringMap<int64_t> addedTokens(const Object &tokenizer) {
  llvm::StringMap<int64_t> ids;
  if (const llvm::json::Array *tokens = tokenizer.getArray("added_tokens"))
    for (const Value &value : *tokens)
      if (const Object *token = value.getAsObject()) {
        auto content = token->getString("content");
        auto id = token->getInteger("id");
        if (content && id)
          ids[*content] = *id;
      }
  return ids;
}

/// The id of a token that tokenizer_config.json names as text, or as an object
/// with its text.
static std::optional<int64_t> namedToken(const Object &config, StringRef key,
                                         const llvm::StringMap<int64_t> &ids) {
  std::optional<StringRef> text = config.getString(key);
  if (const Object *object = config.getObject(key))
    text = object->getString("content");
  if (!text || !ids.contains(*text))
    return std::nullopt;
  return ids.lookup(*text);
}

/// Adds an id, or each of a list of them.
static void addIds(const Object &object, StringRef key,
                   std::set<int64_t> &ids) {
  const Value *value = object.get(key);
  if (!value)
    return;
  if (auto id = value->getAsInteger())
    ids.insert(*id);
  if (const llvm::json::Array *list = value->getAsArray())
    for (const Value &entry : *list)
      if (auto id = entry.getAsInteger())
        ids.insert(*id);
}

llvm::Expected<std::optional<TokenizerIds>>
mlir::fdpp::readTokenizerIds(StringRef folder,
                             llvm::ArrayRef<std::string> companions) {
  if (!llvm::is_contained(companions, "tokenizer.json"))
    return std::nullopt;
  Object objects[4];
  StringRef names[] = {"tokenizer.json", "tokenizer_config.json",
                       "generation_config.json", "config.json"};
  for (auto [name, object] : llvm::zip(names, objects)) {
    llvm::Expected<Object> read = readObject(folder, name, companions);
    if (!read)
      return read.takeError();
    object = std::move(*read);
  }
  auto &[tokenizer, tokenizerConfig, generation, config] = objects;
  llvm::StringMap<int64_t> added = addedTokens(tokenizer);
  TokenizerIds ids;
  ids.bos = namedToken(tokenizerConfig, "bos_token", added);
  for (const Object *object : {&generation, &config})
    if (!ids.bos)
      ids.bos = object->getInteger("bos_token_id");
  std::set<int64_t> eos;
  if (auto id = namedToken(tokenizerConfig, "eos_token", added))
    eos.insert(*id);
  addIds(generation, "eos_token_id", eos);
  addIds(config, "eos_token_id", eos);
  auto valid = [](int64_t id) { return id >= 0 && id <= INT32_MAX; };
  if (ids.bos && !valid(*ids.bos))
    ids.bos.reset();
  llvm::copy_if(eos, std::back_inserter(ids.eos), valid);
  ids.chat = llvm::is_contained(companions, "chat.json");
  return ids;
}
