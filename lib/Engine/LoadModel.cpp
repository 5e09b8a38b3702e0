// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "LoadModel.h"

#include "OutputFile.h"
#include "fdpp/Dialect/FDPP/IR/FDPP.h"
#include "fdpp/Import/ONNX/ImportONNX.h"
#include "fdpp/Pipelines/ParserGuard.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::fdpp;

//===----------------------------------------------------------------------===//
// Diagnostics.
//===----------------------------------------------------------------------===//

/// A location as the beginning of a line, or nothing.
static std::string prefixOf(Location location) {
  std::string text;
  llvm::raw_string_ostream os(text);
  auto line = dyn_cast<FileLineColLoc>(location);
  if (line && line.getLine() == 0)
    os << line.getFilename().getValue() << ": ";
  else if (line)
    os << line.getFilename().getValue() << ":" << line.getLine() << ":"
       << line.getColumn() << ": ";
  else if (auto name = dyn_cast<NameLoc>(location))
    os << "node '" << name.getName().getValue() << "': ";
  return text;
}

FirstError::FirstError(MLIRContext &context)
    : handler(&context, [this](Diagnostic &diagnostic) {
        if (diagnostic.getSeverity() != DiagnosticSeverity::Error ||
            !line.empty())
          return success();
        std::string text = prefixOf(diagnostic.getLocation());
        llvm::raw_string_ostream(text) << diagnostic;
        for (char &c : text)
          c = c == '\n' ? ' ' : c;
        line = text;
        return success();
      }) {}

std::string FirstError::take(StringRef otherwise) {
  std::string result = line.empty() ? otherwise.str() : line;
  line.clear();
  return result;
}

//===----------------------------------------------------------------------===//
// Loading.
//===----------------------------------------------------------------------===//

bool mlir::fdpp::isMLIR(StringRef path) {
  StringRef extension = llvm::sys::path::extension(path);
  if (extension == ".mlir" || extension == ".mlirbc")
    return true;
  auto head = llvm::MemoryBuffer::getFileSlice(path, 4, 0);
  return head && (*head)->getBuffer().starts_with("ML\xefR");
}

/// Fails unless `path` is a file that can be read and holds something.
static llvm::Error checkFile(StringRef path) {
  llvm::sys::fs::file_status status;
  if (std::error_code error = llvm::sys::fs::status(path, status))
    return fileError(path, "read the model", error.value());
  if (status.type() == llvm::sys::fs::file_type::directory_file)
    return llvm::createStringError(path +
                                   ": is a folder; give the model's file, such "
                                   "as " +
                                   path + "/model.onnx");
  if (status.getSize() == 0)
    return llvm::createStringError(path + ": is empty; export the model again");
  return llvm::Error::success();
}

/// A module of a file of MLIR text or bytecode; null if it is none.
static llvm::Expected<OwningOpRef<ModuleOp>> parseMLIR(StringRef path,
                                                       MLIRContext &context) {
  auto file = llvm::MemoryBuffer::getFile(path);
  if (!file)
    return fileError(path, "read the model", file.getError().value());
  if (llvm::Error error = checkParsable((*file)->getBuffer(), path))
    return error;
  return parseSourceString<ModuleOp>((*file)->getBuffer(),
                                     ParserConfig(&context), path);
}

llvm::Expected<OwningOpRef<ModuleOp>>
mlir::fdpp::loadModel(StringRef path, MLIRContext &context) {
  if (llvm::Error error = checkFile(path))
    return error;
  FirstError errors(context);
  llvm::Expected<OwningOpRef<ModuleOp>> module =
      isMLIR(path) ? parseMLIR(path, context)
                   : OwningOpRef<ModuleOp>(importONNXFile(path, &context));
  if (module && !*module)
    return llvm::createStringError(
        errors.take((path + ": cannot be read as a module").str()));
  return module;
}

void mlir::fdpp::makeWeightsSynthetic(ModuleOp module, uint64_t seed) {
  uint64_t next = (seed << 32) + 1;
  for (auto weight : module.getOps<WeightOp>()) {
    if (!weight.getSources())
      continue;
    SmallVector<Attribute> sources;
    ArrayAttr before = *weight.getSources();
    for (Attribute source : before)
      sources.push_back(isa<FileAttr, SeededAttr>(source)
                            ? SeededAttr::get(module.getContext(), next++)
                            : source);
    weight.setSourcesAttr(ArrayAttr::get(module.getContext(), sources));
  }
}
