// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// fdpp-translate: between this compiler's IR and formats outside of it.

#include "fdpp/Import/ONNX/ImportONNX.h"
#include "fdpp/Pipelines/Registration.h"
#include "fdpp/Target/CPU/EmitCPU.h"
#include "fdpp/Target/CUDA/EmitCUDA.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-translate/MlirTranslateMain.h"
#include "mlir/Tools/mlir-translate/Translation.h"

int main(int argc, char **argv) {
  mlir::TranslateFromMLIRRegistration toCPU(
      "fdpp-to-cpu", "C++ for the CPU from a module in the phase 'emittable'",
      [](mlir::ModuleOp module, llvm::raw_ostream &os) {
        return fdpp::emitCPU(module, os);
      },
      fdpp::registerAllDialects);
  mlir::TranslateFromMLIRRegistration toCUDA(
      "fdpp-to-cuda", "CUDA C++ from a module in the phase 'emittable'",
      [](mlir::ModuleOp module, llvm::raw_ostream &os) {
        return fdpp::emitCUDA(module, os);
      },
      fdpp::registerAllDialects);
  mlir::fdpp::registerImportONNXTranslation();
  return mlir::failed(
      mlir::mlirTranslateMain(argc, argv, "FDPP translation driver\n"));
}
