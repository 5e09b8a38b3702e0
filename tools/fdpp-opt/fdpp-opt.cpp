// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-opt: runs passes and pipelines over .mlir files.

#include "fdpp/Pipelines/Registration.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  fdpp::registerAllDialects(registry);
  fdpp::registerAllPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "FDPP optimizer driver\n", registry));
}
