// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Target/CUDA/EmitCUDA.h"

#include "fdpp/Target/Common/ModelPrinter.h"

namespace fdpp {

mlir::LogicalResult emitCUDA(mlir::ModuleOp module, llvm::raw_ostream &os) {
  return printModel(module,
                    {.name = "cuda",
                     // What has none is named after the file's path, and
                     // two compiles would differ.
                     .enclosing = "model ",
                     .contextType = "Stream &",
                     .context = "stream",
                     .anyContext = "FDPP_ANY_CONTEXT ",
                     .qualifier = "__device__ ",
                     .elementType = "float"},
                    os);
}

} // namespace fdpp
