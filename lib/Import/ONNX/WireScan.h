// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- WireScan.h - Protobuf wire format of ONNX models ---------*- C++ -*-===//
#ifndef FDPP_LIB_IMPORT_ONNX_WIRESCAN_H
#define FDPP_LIB_IMPORT_ONNX_WIRESCAN_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>

namespace mlir::fdpp {

/// Fields that stripPayloads() gives a TensorProto in place of raw_data: where
/// the bytes lie in the file and how many there are (varints). The standard
/// defines no field numbers in this range; a file's own are dropped.
constexpr int kPayloadOffsetField = 50001;
constexpr int kPayloadSizeField = 50002;

/// A copy of the serialised model in which every raw_data longer than
/// `threshold` bytes is replaced by its place in `file`, so that gigabytes of
/// inline weights are neither copied nor parsed. Fails with one line on bytes
/// that are no protobuf message, are cut short or nest too deep.
llvm::Expected<std::string> stripPayloads(llvm::StringRef file,
                                          uint64_t threshold);

} // namespace mlir::fdpp

#endif // FDPP_LIB_IMPORT_ONNX_WIRESCAN_H
