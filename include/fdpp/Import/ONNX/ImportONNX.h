// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ImportONNX.h - ONNX model files to the onnx dialect ------*- C++ -*-===//
#ifndef FDPP_IMPORT_ONNX_IMPORTONNX_H
#define FDPP_IMPORT_ONNX_IMPORTONNX_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/MemoryBufferRef.h"

namespace mlir {
class DialectRegistry;
}

namespace mlir::fdpp {

/// Initializers up to this many bytes become constants; larger ones stay in
/// their file and become `fdpp.weight` symbols.
constexpr uint64_t kMaxConstantBytes = 1024;

/// Imports an ONNX model: binary protobuf, or its text form if the bytes are
/// text. The module holds `func @main` with the graph's own signature.
/// `model`'s identifier is the path of the model file: external data is looked
/// for in its folder, and weights inside the model itself refer to its name.
/// The buffer is only read during the call; weights are not copied from it.
/// On failure one error is emitted through `context` and null returned.
mlir::OwningOpRef<mlir::ModuleOp> importONNX(llvm::MemoryBufferRef model,
                                             mlir::MLIRContext *context);

/// Opens `path` (mapped, not read) and imports it.
mlir::OwningOpRef<mlir::ModuleOp> importONNXFile(llvm::StringRef path,
                                                 mlir::MLIRContext *context);

/// Adds the dialects that importONNX creates ops of.
void registerImportDialects(mlir::DialectRegistry &registry);

/// Registers `--import-onnx` with mlir-translate's registry.
void registerImportONNXTranslation();

} // namespace mlir::fdpp

#endif // FDPP_IMPORT_ONNX_IMPORTONNX_H
