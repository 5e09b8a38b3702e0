// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_INSPECT_INSPECT_H
#define FDPP_TOOLS_INSPECT_INSPECT_H

#include <nlohmann/json.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace fdpp::inspect {

using Json = nlohmann::ordered_json;

/// What the user did wrong, as one line.
struct Failure : std::runtime_error {
  using runtime_error::runtime_error;
};

/// A function of model.so that was instantiated from the kernel headers.
struct Kernel {
  std::string name; // without namespaces, arguments and result
  uint64_t bytes;   // of machine code
};

/// What the files of an engine say. Nothing is run or checked against this
/// machine, so that engines for others can be looked at.
struct EngineFiles {
  std::string folder;
  Json manifest;     // engine.json
  Json report;       // report.json
  Json phi;          // phi.json; null without one
  std::string flags; // the command that made model.so; empty if not kept
  std::vector<Kernel> kernels;      // largest first
  std::vector<std::string> defects; // files missing or of another size
};

/// Throws Failure for a folder whose engine.json or report.json cannot be read.
EngineFiles readEngine(const std::string &folder);

/// The kernels in a shared library with a symbol table; none in another file.
std::vector<Kernel> readKernels(const std::string &path);

void printText(const EngineFiles &engine);
void printJson(const EngineFiles &engine);

/// Prints what differs, one line a value; false if nothing does.
bool printDifferences(const EngineFiles &before, const EngineFiles &after);

} // namespace fdpp::inspect

#endif // FDPP_TOOLS_INSPECT_INSPECT_H
