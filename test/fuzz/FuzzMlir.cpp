// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// MLIR text in any phase through the rest of the pipeline.

#include "Pipeline.h"
#include "Words.h"

#include "mlir/Parser/Parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef text(reinterpret_cast<const char *>(data), size);
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
