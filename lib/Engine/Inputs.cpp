// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Engine/Inputs.h"

#include "OutputFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace mlir::fdpp;
using llvm::StringRef;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

static std::string hexOf(llvm::BLAKE3 &hash) {
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

llvm::Expected<InputFile> mlir::fdpp::readInput(StringRef folder,
                                                StringRef name) {
  std::string full = (folder + "/" + name).str();
  auto buffer = llvm::MemoryBuffer::getFile(full, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return fileError(full, "read the file", buffer.getError().value());
  llvm::BLAKE3 hash;
  hash.update((*buffer)->getBuffer());
  return InputFile{name.str(), (*buffer)->getBufferSize(), hexOf(hash)};
}

std::string mlir::fdpp::hashTexts(llvm::ArrayRef<std::string> texts) {
  llvm::BLAKE3 hash;
  for (const std::string &text : texts) {
    hash.update(std::to_string(text.size()) + ":");
    hash.update(text);
  }
  return hexOf(hash);
}

std::vector<std::string> mlir::fdpp::findCompanions(StringRef folder) {
  static constexpr StringRef names[] = {
      "tokenizer.json",          "tokenizer_config.json",
      "chat_template.jinja",     "chat.json",
      "special_tokens_map.json", "config.json",
      "generation_config.json",  "phi.json"};
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; at != end && !error;
       at.increment(error)) {
    StringRef name = path::filename(at->path());
    bool wanted = llvm::is_contained(names, name) ||
                  name.starts_with("LICENSE") || name.starts_with("NOTICE");
    if (wanted && fs::is_regular_file(at->path()))
      found.push_back(name.str());
  }
  llvm::sort(found);
  return found;
}

/// Whether every file that the manifest lists has its size.
static bool isWhole(StringRef engine, const llvm::json::Array &files) {
  return llvm::all_of(files, [&](const llvm::json::Value &value) {
    const llvm::json::Object *file = value.getAsObject();
    if (!file)
      return false;
    auto name = file->getString("name");
    auto bytes = file->getInteger("bytes");
    uint64_t size = 0;
    return name && bytes && !fs::file_size(engine + "/" + *name, size) &&
           size == static_cast<uint64_t>(*bytes);
  });
}

/// Whether a file still is what the manifest says of it.
static bool isUnchanged(StringRef folder, const llvm::json::Object &recorded) {
  auto name = recorded.getString("name");
  auto bytes = recorded.getInteger("bytes");
  auto hash = recorded.getString("blake3");
  uint64_t size = 0;
  if (!name || !bytes || !hash || fs::file_size(folder + "/" + *name, size) ||
      size != static_cast<uint64_t>(*bytes))
    return false;
  llvm::Expected<InputFile> now = readInput(folder, *name);
  if (!now) {
    llvm::consumeError(now.takeError());
    return false;
  }
  return now->hash == *hash;
}

bool mlir::fdpp::isUpToDate(StringRef engine, StringRef key, StringRef folder,
                            llvm::ArrayRef<std::string> companions) {
  auto buffer = llvm::MemoryBuffer::getFile(engine + "/engine.json");
  if (!buffer)
    return false;
  llvm::Expected<llvm::json::Value> json =
      llvm::json::parse((*buffer)->getBuffer());
  if (!json) {
    llvm::consumeError(json.takeError());
    return false;
  }
  const llvm::json::Object *root = json->getAsObject();
  const llvm::json::Object *inputs = root ? root->getObject("inputs") : nullptr;
  const llvm::json::Array *files = root ? root->getArray("files") : nullptr;
  const llvm::json::Array *read = inputs ? inputs->getArray("files") : nullptr;
  if (!inputs || !files || !read || inputs->getString("key") != key ||
      !isWhole(engine, *files))
    return false;
  llvm::StringSet<> names;
  for (const llvm::json::Value &value : *read) {
    const llvm::json::Object *file = value.getAsObject();
    if (!file || !isUnchanged(folder, *file))
      return false;
    names.insert(*file->getString("name"));
  }
  auto belongs = [&](const std::string &name) { return names.contains(name); };
  return llvm::all_of(companions, belongs);
}
