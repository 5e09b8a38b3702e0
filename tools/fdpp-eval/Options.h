// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef FDPP_TOOLS_FDPP_EVAL_OPTIONS_H
#define FDPP_TOOLS_FDPP_EVAL_OPTIONS_H

#include "Evaluate.h"

namespace fdpp::eval {

struct Options {
  std::string folder, text, reference, save;
  std::string stored = "f16"; // log-probabilities in the file of --save
  int32_t window = 0;         // tokens; 0: 512, or what the engine allows
  int32_t most = 0;           // windows; 0: all
  int32_t threads = 0;
  bool json = false;
  // Gates; unset: none.
  std::optional<double> maxChange, maxKl, minSameTop;
};

/// A value means: exit with it.
std::optional<int> parseOptions(int argc, char **argv, Options &options);

/// One line: model, dtype, target, version.
std::string describe(const tools::Engine &engine);

void print(const Options &options, const tools::Engine &engine,
           const ReferenceReader *reference, const Evaluation &evaluation);

/// Throws a failure that names the first gate that is not held.
void checkGates(const Options &options, const Evaluation &evaluation);

} // namespace fdpp::eval

#endif // FDPP_TOOLS_FDPP_EVAL_OPTIONS_H
