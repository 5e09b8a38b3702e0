// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the code of an engine is compiled for.

#ifndef FDPP_ENGINE_TARGETARCH_H
#define FDPP_ENGINE_TARGETARCH_H

#include <string>
#include <vector>

namespace mlir::fdpp {

struct TargetArch {
  std::string target = "cpu"; // or cuda
  std::string name;           // as --arch takes it
  /// CPU features that the code may use, sorted.
  std::vector<std::string> features;
  std::vector<std::string> flags; // for the compiler
};

} // namespace mlir::fdpp

#endif // FDPP_ENGINE_TARGETARCH_H
