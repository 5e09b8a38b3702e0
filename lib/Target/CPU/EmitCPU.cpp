// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "fdpp/Target/CPU/EmitCPU.h"

#include "fdpp/Target/Common/ModelPrinter.h"

namespace fdpp {

mlir::LogicalResult emitCPU(mlir::ModuleOp module, llvm::raw_ostream &os) {
  return printModel(module,
                    {.name = "cpu",
                     .enclosing = "",
                     .contextType = "Team &",
                     .context = "team",
                     .anyContext = "",
                     .qualifier = "",
                     .elementType = "auto"},
                    os);
}

} // namespace fdpp
