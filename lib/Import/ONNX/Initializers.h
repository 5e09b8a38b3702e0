// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- Initializers.h - TensorProto to constants and weights ----*- C++ -*-===//
#ifndef FDPP_LIB_IMPORT_ONNX_INITIALIZERS_H
#define FDPP_LIB_IMPORT_ONNX_INITIALIZERS_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/Support/Error.h"

#include <onnx/onnx_pb.h>

namespace mlir::fdpp {

/// Where the model came from: its folder and the name of its file in it.
struct ModelPlace {
  std::string folder;
  std::string fileName;
};

/// An initializer: its type, and either its elements (a dense attribute; small
/// ones always) or a #fdpp.file or #fdpp.seeded attribute.
struct Initializer {
  RankedTensorType type;
  DenseElementsAttr elements;
  Attribute source;
};

/// The external location that fdpp-export --no-weights gives a weight whose
/// bytes do not exist; its offset is the seed.
inline constexpr llvm::StringLiteral kSeededLocation = "fdpp:seeded";

/// The IR type of a tensor with ONNX element type `elementType` and extents
/// `dims`; one line of error for types and extents that cannot be.
llvm::Expected<RankedTensorType> tensorType(MLIRContext *context,
                                            int32_t elementType,
                                            llvm::ArrayRef<int64_t> dims);

/// Bytes a tensor takes in a file: elements narrower than a byte are packed,
/// booleans take one byte. The type is static and its size fits.
uint64_t storedBytes(RankedTensorType type);

/// Packed little-endian bytes as ONNX stores them, as a dense attribute.
DenseElementsAttr elementsFrom(RankedTensorType type, llvm::StringRef bytes);

/// Reads `proto`, checking its data against its shape and its external data
/// against the file system. Elements are read from a file only if they are at
/// most kMaxConstantBytes.
llvm::Expected<Initializer> readInitializer(const ::onnx::TensorProto &proto,
                                            const ModelPlace &place,
                                            MLIRContext *context);

} // namespace mlir::fdpp

#endif // FDPP_LIB_IMPORT_ONNX_INITIALIZERS_H
