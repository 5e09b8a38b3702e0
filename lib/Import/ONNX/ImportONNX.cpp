// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ImportONNX.cpp - ONNX model files to the onnx dialect --------------===//
#include "fdpp/Import/ONNX/ImportONNX.h"

#include "GraphImporter.h"
#include "ModelFile.h"
#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Dialect/ONNX/IR/ONNXDialect.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"

namespace mlir::fdpp {

static ModelPlace placeOf(StringRef file) {
  // What comes through a pipe has no folder of its own.
  if (file == "-" || file == "<stdin>")
    return {".", "-"};
  StringRef folder = llvm::sys::path::parent_path(file);
  return {folder.empty() ? "." : folder.str(),
          llvm::sys::path::filename(file).str()};
}

OwningOpRef<ModuleOp> importONNX(llvm::MemoryBufferRef buffer,
                                 MLIRContext *context) {
  context->loadDialect<onnx::ONNXDialect, FDPPDialect, func::FuncDialect>();
  Location loc =
      FileLineColLoc::get(context, buffer.getBufferIdentifier(), 0, 0);
  auto model = parseModel(buffer);
  if (!model) {
    emitError(loc) << llvm::toString(model.takeError());
    return {};
  }
  ModelPlace place = placeOf(buffer.getBufferIdentifier());
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  GraphImporter importer(*model, place, *module);
  if (failed(importer.importModel()) || failed(verify(*module)))
    return {};
  return module;
}

OwningOpRef<ModuleOp> importONNXFile(StringRef path, MLIRContext *context) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer) {
    emitError(FileLineColLoc::get(context, path, 0, 0))
        << "cannot read the model: " << buffer.getError().message();
    return {};
  }
  return importONNX((*buffer)->getMemBufferRef(), context);
}

void registerImportDialects(DialectRegistry &registry) {
  registry.insert<onnx::ONNXDialect, FDPPDialect, func::FuncDialect>();
}

void registerImportONNXTranslation() {
  static TranslateToMLIRRegistration registration(
      "import-onnx", "import an ONNX model, binary or text",
      [](llvm::SourceMgr &sources, MLIRContext *context) {
        const auto *buffer = sources.getMemoryBuffer(sources.getMainFileID());
        return OwningOpRef<Operation *>(
            importONNX(buffer->getMemBufferRef(), context).release());
      },
      registerImportDialects);
}

} // namespace mlir::fdpp
