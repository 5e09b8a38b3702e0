// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// engine.json and phi.json of an engine folder, with every check that comes
// before model.so is loaded.

#include "Fuzz.h"
#include "Words.h"

#include "Error.h"
#include "Manifest.h"
#include "Phi.h"

using namespace fdpp::runtime;

/// Runs what may refuse the input.
template <typename Function> static void attempt(Function function) {
  try {
    function();
  } catch (const Error &error) {
    fuzz::requireOneLine(error.what());
    if (error.kind != ErrorKind::User)
      fuzz::defect("not blamed on the file", error.what());
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::Folder folder;
  folder.put("engine.json", data, size);
  std::string phi = folder.put("phi.json", data, size);
  attempt([&] {
    Manifest manifest = readManifest(folder.path);
    attempt([&] { checkTarget(manifest); });
    attempt([&] { checkFiles(manifest, /*hashes=*/true); });
  });
  attempt([&] { readPhi(phi, 2, 3); });
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
                                          size_t limit, unsigned seed) {
  return fuzz::mutateWords(
      data, size, limit, seed,
      {"null", "true", "[]", "{}", "\"a\"", "x86_64", "cpu"});
}
