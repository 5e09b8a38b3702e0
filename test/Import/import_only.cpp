// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-translate with nothing but --import-onnx, for sanitizers.

#include "fdpp/Import/ONNX/ImportONNX.h"

#include "mlir/Tools/mlir-translate/MlirTranslateMain.h"

int main(int argc, char **argv) {
  mlir::fdpp::registerImportONNXTranslation();
  return mlir::failed(
      mlir::mlirTranslateMain(argc, argv, "FDPP's import alone\n"));
}
