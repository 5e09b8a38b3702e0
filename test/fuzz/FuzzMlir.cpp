// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// MLIR text in any phase through the rest of the pipeline.

#include "Pipeline.h"
#include "Words.h"

#include "fdpp/Pipelines/ParserGuard.h"

#include "mlir/Parser/Parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // libMLIR's parser looks some bytes behind the end of a text that it finds
  // cut short (22.1.8), where a file has its terminating zero.
  std::string padded(reinterpret_cast<const char *>(data), size);
  padded.append(16, '\0');
  llvm::StringRef text(padded.data(), size);
  // What libMLIR cannot survive, every reader of files refuses like this.
  if (llvm::Error refused = mlir::fdpp::checkParsable(text, "fuzz.mlir")) {
    fuzz::requireOneLine(llvm::toString(std::move(refused)));
    return 0;
  }
  fuzz::compile([&](mlir::MLIRContext *context) {
    return mlir::parseSourceString<mlir::ModuleOp>(
        text, mlir::ParserConfig(context), "fuzz.mlir");
  });
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
                                          size_t limit, unsigned seed) {
  return fuzz::mutateWords(data, size, limit, seed,
                           {"f32", "f16", "bf16", "i64", "i32", "i1", "index",
                            "f64", "i4", "tensor", "memref", "none"});
}
