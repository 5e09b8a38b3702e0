// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===- ModelFile.cpp - A parsed ONNX model and the files around it --------===//
#include "ModelFile.h"

#include "WireScan.h"
#include "fdpp/Import/ONNX/ImportONNX.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

using llvm::StringRef;
using llvm::Twine;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

namespace mlir::fdpp {

template <typename... Parts> static llvm::Error fail(const Twine &message) {
  return llvm::createStringError(message);
}

//===----------------------------------------------------------------------===//
// Parsing
//===----------------------------------------------------------------------===//

/// Text form: everything near the start is printable. A serialised ModelProto
/// starts with a field tag below 0x20 or has one close by.
static bool looksLikeText(StringRef bytes) {
  StringRef start = bytes.take_front(256);
  return !start.empty() && llvm::all_of(start, [](unsigned char c) {
    return c >= 0x20 || c == '\n' || c == '\r' || c == '\t';
  });
}

namespace {
/// Keeps the first error of the text parser.
struct FirstError : google::protobuf::io::ErrorCollector {
  std::string text;
  void AddError(int line, int column, const std::string &message) override {
    if (text.empty())
      text = "line " + std::to_string(line + 1) + ": " + message;
  }
};
} // namespace

static llvm::Expected<::onnx::ModelProto> parseText(StringRef bytes) {
  ::onnx::ModelProto model;
  google::protobuf::TextFormat::Parser parser;
  FirstError error;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(bytes.str(), &model))
    return fail("not an ONNX model in text form: " + error.text);
  return model;
}

llvm::Expected<::onnx::ModelProto> parseModel(llvm::MemoryBufferRef buffer) {
  StringRef bytes = buffer.getBuffer();
  if (bytes.empty())
    return fail("the file is empty");
  if (looksLikeText(bytes))
    return parseText(bytes);
  auto stripped = stripPayloads(bytes, kMaxConstantBytes);
  if (!stripped)
    return stripped.takeError();
  ::onnx::ModelProto model;
  if (!model.ParseFromString(*stripped))
    return fail("not an ONNX model: its fields have wrong types");
  return model;
}

//===----------------------------------------------------------------------===//
// External data
//===----------------------------------------------------------------------===//

/// Walks `location` below `folder` and refuses whatever leaves it.
static llvm::Error checkPath(StringRef folder, StringRef location,
                             uint64_t &fileSize) {
  if (location.empty() || location.contains('\0'))
    return fail("external data has no valid location");
  if (path::is_absolute(location))
    return fail("external data '" + location +
                "' is an absolute path; it must lie in the model's folder");
  llvm::SmallString<256> current(folder);
  fs::file_status status;
  for (StringRef part :
       llvm::make_range(path::begin(location), path::end(location))) {
    if (part == "..")
      return fail("external data '" + location + "' leaves the model's folder");
    if (part == ".")
      continue;
    path::append(current, part);
    if (fs::status(current, status, /*follow=*/false))
      return fail("external data '" + location +
                  "' not found in the model's folder");
    if (status.type() == fs::file_type::symlink_file)
      return fail("external data '" + location +
                  "' is a symbolic link or lies behind one; copy the file "
                  "into the model's folder");
  }
  if (status.type() != fs::file_type::regular_file)
    return fail("external data '" + location + "' is not a file");
  fileSize = status.getSize();
  return llvm::Error::success();
}

llvm::Expected<FileRange> checkExternalData(StringRef folder,
                                            StringRef location, uint64_t offset,
                                            uint64_t size) {
  uint64_t fileSize = 0;
  if (llvm::Error error = checkPath(folder, location, fileSize))
    return std::move(error);
  if (offset > fileSize || size > fileSize - offset)
    return fail("external data '" + location + "' has " + Twine(fileSize) +
                " bytes, but " + Twine(size) + " are needed at offset " +
                Twine(offset) + "; the file is short or another model's");
  llvm::SmallString<256> clean(location);
  path::remove_dots(clean);
  return FileRange{clean.str().str(), offset, size};
}

llvm::Expected<std::string> readRange(StringRef folder,
                                      const FileRange &range) {
  llvm::SmallString<256> file(folder);
  path::append(file, range.path);
  auto slice = llvm::MemoryBuffer::getFileSlice(file, range.size, range.offset);
  if (!slice)
    return fail("external data '" + range.path +
                "': " + slice.getError().message());
  return (*slice)->getBuffer().str();
}

} // namespace mlir::fdpp
