// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ModelFile.h - A parsed ONNX model and the files around it -*- C++
//-*-===//
#ifndef FDPP_LIB_IMPORT_ONNX_MODELFILE_H
#define FDPP_LIB_IMPORT_ONNX_MODELFILE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBufferRef.h"

#include <onnx/onnx_pb.h>

#include <string>

namespace mlir::fdpp {

/// Parses a model from binary or text form. Errors are one line.
llvm::Expected<::onnx::ModelProto> parseModel(llvm::MemoryBufferRef buffer);

/// A range of bytes of a file beside the model.
struct FileRange {
  std::string path; // relative to the model's folder
  uint64_t offset = 0;
  uint64_t size = 0;
};

/// Checks that `location` names a regular file inside `folder`, reached
/// without `..`, an absolute path or a symbolic link, that holds `size` bytes
/// at `offset`. Returns one line if not. `declaredLength` is external_data's
/// own length entry, if it has one.
llvm::Expected<FileRange> checkExternalData(llvm::StringRef folder,
                                            llvm::StringRef location,
                                            uint64_t offset, uint64_t size);

/// Reads a checked range.
llvm::Expected<std::string> readRange(llvm::StringRef folder,
                                      const FileRange &range);

} // namespace mlir::fdpp

#endif // FDPP_LIB_IMPORT_ONNX_MODELFILE_H
