// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes an engine folder around the toy model, and damages it on request.
#ifndef FDPP_TEST_RUNTIME_TOYENGINE_H
#define FDPP_TEST_RUNTIME_TOYENGINE_H

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace toy {

/// The folder where ctest put toy_model.so and its variants.
std::string libraryFolder();

/// An engine in a temporary folder, removed with the object.
class Engine {
public:
  /// `library`: which variant becomes model.so.
  explicit Engine(const std::string &library = "toy_model");
  ~Engine();

  const std::string &folder() const { return path; }
  std::string file(const std::string &name) const { return path + "/" + name; }

  /// engine.json as it will be written; change it, then `write`.
  nlohmann::json manifest;
  /// Puts engine.json down. `refresh` lists the files as they stand now.
  void write(bool refresh = true);

  void put(const std::string &name, const std::string &content) const;
  std::string get(const std::string &name) const;

  /// tokenizer.json (bytes), chat.json and generation_config.json.
  void addTokenizer();

private:
  void writeWeights() const;
  std::string path;
};

/// A temporary folder, removed with the object.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();
  const std::string &path() const { return name; }

private:
  std::string name;
};

} // namespace toy

#endif // FDPP_TEST_RUNTIME_TOYENGINE_H
